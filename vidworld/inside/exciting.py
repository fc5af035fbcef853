"""The dictionary of each model's states, scored against concepts, and what its features are most active at."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vidworld.analysis.bootstrap import Resampled
from vidworld.analysis.inside import SHUFFLED, DictionaryResults, DictionaryRow, FeatureRow, Strip
from vidworld.core.clip import Clips
from vidworld.core.media import stacked
from vidworld.core.records import prepare_folder, provenance, write_json
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.physics import models_of
from vidworld.inside.concepts import CONCEPTS, Part, Samples
from vidworld.inside.dictionary import DICTIONARY, Agreement, Code, about, agreement, along, codes_of, sparse_coders
from vidworld.inside.features import features_of, grid_of
from vidworld.inside.mapping import save_strip
from vidworld.inside.probes import ratio_over
from vidworld.inside.probing import PARTS, looked_into, mixed_order, scenes, what_is_hidden
from vidworld.inside.schema import InsideConfig
from vidworld.models.states import Grid, layer_names

RECORDED_FEATURES = 64
"""Features of each model that are recorded: those that go with a concept best on other clips."""
EXCITING = 5
"""Clips that are shown of a feature."""
_CHANCE = {"rank correlation": 0.0, "AUROC": 0.5}
_YELLOW = torch.tensor([255, 230, 0], dtype=torch.uint8)[:, None, None]
_Grids = dict[Part, Grid]


class _Written(NamedTuple):
    """The states of a model's layer, written in features."""

    model: str
    layer: str
    code: Code
    codes: _Grids
    samples: Mapping[Part, Mapping[str, Samples]]
    """By kind; those of a part are of the same clips."""

    @property
    def clips(self) -> Clips:
        return self.samples["test"]["scene"].clips

    def row(self, control: str, concept: str, metric: str, feature: int, read: Resampled, clips: int) -> DictionaryRow:
        return DictionaryRow(self.model, self.layer, self.code.name, control, concept, metric, feature, *read, clips)


class _Scored(NamedTuple):
    """How far every feature goes with a concept: on the clips that features are chosen on, and on others."""

    metric: str
    chosen: Float[Tensor, " feature"]
    test: Agreement
    group: Int[Tensor, " sample"]

    def of(self, feature: int) -> Resampled:
        return ratio_over(self.test.above[:, feature], self.test.below[:, feature], self.group)


def dictionaries_of(config: InsideConfig) -> DictionaryResults:
    """Make a dictionary of every model's states, and write dictionary.json and its pictures. Raises UserError."""
    sparse_coders()  # before anything is computed
    prepare_folder(config.out / "media")
    looked = looked_into(config)
    samples = _samples(config, looked.evaluator)
    results = DictionaryResults(1, provenance(config.seed), models_of(config.physics), [], [], [])
    for name, model in looked.models.items():
        layer, states = _states(config, looked.evaluator, name, model, samples)
        fitted = states["fit"].flatten(0, 2)
        sizes = (config.dictionary_features, config.dictionary_active, config.dictionary_steps)
        for code in codes_of(fitted, *sizes, name):
            codes = {part: code.encode(states[part]) for part in PARTS[1:]}
            written = _Written(name, layer, code, codes, samples)
            scored = _scored(written)
            results.rows.extend([*_of_states(written, states["test"]), *_of_concepts(written, scored)])
            if code.name == DICTIONARY:
                features, mixed = _features(written, scored), _scored(written, SHUFFLED)
                results.rows.extend(_of_concepts(written, mixed, SHUFFLED))
                for control, each in (("", features), (SHUFFLED, _features(written, mixed))):
                    results.rows.append(_following(written, each, control))
                if name in config.models:
                    results.features.extend(features[:RECORDED_FEATURES])
                    results.strips.append(_picture(config, written, scored))
        write_json(config.out / "dictionary.json", asdict(results))
    return results


def _samples(config: InsideConfig, evaluator: Evaluator) -> dict[Part, dict[str, Samples]]:
    """The samples of each part by kind, all of the same clips: those of scenes, then those with hidden discs."""
    kinds, found = scenes(config, evaluator) | what_is_hidden(config), {}
    for part in PARTS:
        each = {kind: parts[part] for kind, parts in kinds.items()}
        several = [each[kind].clips for kind in ("scene", "hidden", "screens")]
        names = tuple(name for clips in several for name in clips.identity)
        clips = Clips(torch.cat([clips.frames for clips in several]), config.shape.fps, names)
        first = {"hidden": len(several[0]), "screens": len(several[0]) + len(several[1])}
        found[part] = {k: replace(s, clips=clips, clip=s.clip + first.get(k, 0)) for k, s in each.items()}
    return found


def _states(
    config: InsideConfig, evaluator: Evaluator, name: str, model: Any, samples: Mapping[Part, Mapping[str, Samples]]
) -> tuple[str, _Grids]:
    """The layer's name and its states after the last chunk shown, centred and scaled by those of the part `fit`."""
    (h, w), layer, found = grid_of(evaluator, config.shape), "", {}
    for part in PARTS:
        clips = samples[part]["scene"].clips
        whole = Samples(clips, torch.arange(len(clips)), torch.arange(len(clips)), None, {})
        (by_layer,) = features_of(model, evaluator, [whole], (h, w), config.clips_at_once, f"{name}, {part}")
        number = max(round(config.dictionary_depth * len(by_layer)) - 1, 0)
        layer, found[part] = layer_names(model, len(by_layer))[number], by_layer[number].unflatten(1, (h, w, -1))
    mean = found["fit"].mean(dim=(0, 1, 2))
    scale = (found["fit"] - mean).square().mean().sqrt().clamp_min(1e-9)
    return layer, {part: (x - mean) / scale for part, x in found.items()}


def _of_states(written: _Written, states: Grid) -> Iterator[DictionaryRow]:
    """How much of the states the features make up again, and of a dictionary how many of them it takes."""
    codes, clip = written.codes["test"], torch.arange(len(states))
    missed, there = ((x - states).square().sum(dim=(1, 2, 3)) for x in (written.code.decode(codes), 0.0))
    found = {"R2": ratio_over(there - missed, there, clip)}
    if written.code.name == DICTIONARY:
        used = (codes > 0).float().mean(dim=(1, 2))  # (clip, feature)
        found["L0"] = ratio_over(used.sum(dim=1), torch.ones_like(there), clip)
        found["never active"] = Resampled(*[float((used.amax(dim=0) == 0).float().mean())] * 3)
    for metric, read in found.items():
        yield written.row("", "", metric, -1, read, len(clip))


def _scored(written: _Written, control: str = "") -> dict[str, _Scored]:
    """By concept, every feature's score."""
    found = {}
    choose, test = (written.samples[part] for part in PARTS[1:])
    for kind in test:
        near = [about(written.codes[part], written.samples[part][kind]) for part in PARTS[1:]]
        for name in test[kind].answers:
            answers = [each[kind].answers[name] for each in (choose, test)]
            rows = [~each.isnan().any(dim=1) for each in answers]
            codes, true = ([x[kept] for x, kept in zip(each, rows, strict=True)] for each in (near, answers))
            if control == SHUFFLED:
                true = [x[mixed_order(f"{name}/{part}", len(x))] for x, part in zip(true, PARTS[1:], strict=True)]
            direction, binary = along(codes[0], true[0]), CONCEPTS[name].binary
            scores = [agreement(x, y, direction, binary) for x, y in zip(codes, true, strict=True)]
            chosen = scores[0].above.sum(dim=0) / scores[0].below.sum(dim=0)
            metric = "AUROC" if binary else "rank correlation"
            found[name] = _Scored(metric, chosen.nan_to_num(), scores[1], test[kind].group[rows[1]])
    return found


def _of_concepts(written: _Written, scored: Mapping[str, _Scored], control: str = "") -> Iterator[DictionaryRow]:
    """Of each concept the feature that goes with it best on the clips that it is chosen on, judged on others."""
    for concept, found in scored.items():
        feature = int(found.chosen.argmax())
        yield written.row(control, concept, found.metric, feature, found.of(feature), len(found.group.unique()))


def _features(written: _Written, scored: Mapping[str, _Scored]) -> list[FeatureRow]:
    """Every feature that is ever active, those first that go with a concept best on the clips that it is chosen on."""
    chance = [_CHANCE[each.metric] for each in scored.values()]
    over = torch.stack([(x.chosen - least) / (1 - least) for x, least in zip(scored.values(), chance, strict=True)])
    codes, concepts, found = written.codes["test"], list(scored), []
    share = (codes > 0).float().mean(dim=(0, 1, 2))
    for feature in over.amax(dim=0).argsort(descending=True).tolist():
        if share[feature] > 0:
            concept = concepts[int(over[:, feature].argmax())]
            at = [f"{written.clips.identity[clip]} at {y},{x}" for clip, y, x in exciting(codes[..., feature])]
            read = (scored[concept].metric, *scored[concept].of(feature), at)
            found.append(FeatureRow(written.model, feature, float(share[feature]), concept, *read))
    return found


def _following(written: _Written, features: list[FeatureRow], control: str) -> DictionaryRow:
    """The share of features, of those ever active, that go with their concept: the interval lies above chance."""
    follows = torch.tensor([row.low > _CHANCE[row.metric] for row in features]).float()
    read = ratio_over(follows, torch.ones_like(follows), torch.arange(len(follows)))
    return written.row(control, "", "follow a concept", -1, read, len(written.clips))


def exciting(codes: Float[Tensor, "clip h w"]) -> list[tuple[int, int, int]]:
    """The clips in which a feature is most active, the most active first, with the row and column where it is."""
    most, cell = codes.flatten(1).max(dim=1)
    clips = [clip for clip in most.argsort(descending=True)[:EXCITING].tolist() if most[clip] > 0]
    return [(clip, *divmod(int(cell[clip]), codes.shape[2])) for clip in clips]


def _picture(config: InsideConfig, written: _Written, scored: Mapping[str, _Scored]) -> Strip:
    """A row for each feature that goes best with a concept: two frames of clips it is most active in."""
    frames, codes, rows = written.clips.frames, written.codes["test"], []
    said: dict[int, list[str]] = {}
    for row in _of_concepts(written, scored):
        said.setdefault(row.feature, []).append(f"{row.concept} ({row.metric} {row.value:.2f})")
    for feature in said:
        rows.append(frames.new_zeros(2 * EXCITING, *frames.shape[2:]))
        for place, (clip, *cell) in enumerate(exciting(codes[..., feature])):
            for number, frame in enumerate((-min(4, frames.shape[1]), -1)):
                drawn = marked(frames[clip, frame], (cell[0], cell[1]), (codes.shape[1], codes.shape[2]))
                rows[-1][2 * place + number] = drawn
    best = "; ".join(" and ".join(each) for each in said.values())
    title = (
        f"{written.model}, {written.layer}, where features are most active; from the top, those that follow best {best}"
    )
    return save_strip(config, title, f"media/dictionary_{written.model}.png", stacked(rows))


def marked(
    frame: UInt8[Tensor, "3 height width"], cell: tuple[int, int], grid: tuple[int, int]
) -> UInt8[Tensor, "3 height width"]:
    """A picture with a line around one cell of so many rows and columns."""
    drawn, (height, width) = frame.clone(), (frame.shape[1] // grid[0], frame.shape[2] // grid[1])
    rows, columns = (slice(n * size, (n + 1) * size) for n, size in zip(cell, (height, width), strict=True))
    drawn[:, rows, columns] = _YELLOW
    drawn[:, rows, columns][:, 1:-1, 1:-1] = frame[:, rows, columns][:, 1:-1, 1:-1]
    return drawn
