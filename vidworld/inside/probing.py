"""What can be read of each concept in each layer of each model, beside what must not be readable: to probes.json."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vidworld.analysis.bootstrap import Resampled
from vidworld.analysis.inside import ORDER, SHUFFLED, ProbeResults, ProbeRow
from vidworld.analysis.labels import UNTRAINED
from vidworld.analysis.ridge import Spectrum
from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, provenance, write_json
from vidworld.evaluation.evaluator import Evaluator, evaluation_accelerator, evaluator_of, subjects_of
from vidworld.evaluation.physics import models_of
from vidworld.inside.concepts import CONCEPTS, Part, Samples, hidden_samples, scene_samples
from vidworld.inside.features import features_of, grid_of
from vidworld.inside.probes import network_of, score
from vidworld.inside.schema import InsideConfig
from vidworld.models.states import TOKENS, layer_names

PARTS: tuple[Part, ...] = ("fit", "choose", "test")
ByPart = dict[Part, Samples]


class Looked(NamedTuple):
    """Models that are looked into, by name, and what encodes their clips."""

    evaluator: Evaluator
    models: dict[str, Any]


def looked_into(config: InsideConfig) -> Looked:
    """The tokens, the models of a configuration and, if it says so, untrained ones of each form. Raises UserError."""
    accelerator = evaluation_accelerator(config.mixed_precision)
    if accelerator.num_processes > 1:
        raise UserError(f"{config.out}: what is inside is looked at in one process; start it without a launcher")
    evaluator = evaluator_of(config.physics, accelerator)
    models: dict[str, Any] = {TOKENS: None} if config.tokenizer is not None else {}
    forms = set()
    for subject in subjects_of(config.physics, evaluator):
        if subject.name in config.models:
            models[subject.name] = subject.model
        elif config.untrained and subject.name.startswith(UNTRAINED):
            form = str(sorted((k, str(v)) for k, v in subject.model.network.config.items() if not k.startswith("_")))
            if form not in forms:
                models[subject.name] = subject.model
            forms.add(form)
    return Looked(evaluator, models)


def probe_models(config: InsideConfig) -> ProbeResults:
    """Read every concept in every layer, and write probes.json. Raises UserError: a model has no states to read."""
    prepare_folder(config.out)
    looked = looked_into(config)
    results = ProbeResults(
        schema=1, provenance=provenance(config.seed), models=models_of(config.physics),
        concepts={name: concept.label for name, concept in CONCEPTS.items()}, rows=[],
    )  # fmt: skip
    for name, model in looked.models.items():
        results.rows.extend(_rows_of(config, looked.evaluator, name, model))
        write_json(config.out / "probes.json", asdict(results))
    return results


def scenes(config: InsideConfig, evaluator: Evaluator, shuffled: bool = False) -> dict[str, ByPart]:
    """The samples `discs` and `scene`, by part."""
    grid, found = grid_of(evaluator, config.shape), {}
    for part, count in zip(PARTS, (config.fit, config.choose, config.test), strict=True):
        found[part] = scene_samples(part, config.shape, config.context_frames, count, grid, shuffled)
    return {kind: {part: found[part][kind] for part in PARTS} for kind in ("discs", "scene")}


def what_is_hidden(config: InsideConfig) -> dict[str, ByPart]:
    """The samples `hidden` and `screens`, by part."""
    counts = dict(zip(PARTS, (config.quadruplets, config.quadruplets // 2, config.quadruplets), strict=True))
    return {
        kind: {part: hidden_samples(kind, part, config.shape, config.context_frames, n) for part, n in counts.items()}
        for kind in ("hidden", "screens")
    }


def _rows_of(config: InsideConfig, evaluator: Evaluator, name: str, model: Any) -> Iterator[ProbeRow]:
    """The rows of a model, those of its controls included; of an untrained network they are few."""
    controls = not name.startswith(UNTRAINED)
    yield from _read(config, evaluator, name, model, scenes(config, evaluator), controls)
    for kind, parts in what_is_hidden(config).items():
        yield from _read(config, evaluator, name, model, {kind: parts}, controls)
    if controls and name != TOKENS:
        mixed = {"discs": scenes(config, evaluator, shuffled=True)["discs"]}
        yield from _read(config, evaluator, name, model, mixed, False, ORDER)


def _read(
    config: InsideConfig, evaluator: Evaluator, name: str, model: Any, kinds: Mapping[str, ByPart], controls: bool,
    control: str = "",
) -> Iterator[ProbeRow]:  # fmt: skip
    """The rows of samples that are of the same clips."""
    features: dict[Part, list[list[Tensor]]] = {}
    for part in PARTS:
        samples, grid = [parts[part] for parts in kinds.values()], grid_of(evaluator, config.shape)
        features[part] = features_of(model, evaluator, samples, grid, config.clips_at_once, f"{name}, {part}")
    for number, parts in enumerate(kinds.values()):
        layers = len(features["fit"][number])
        for layer, label in enumerate(layer_names(model, layers)):
            depth = 0.0 if model is None else (layer + 1) / layers
            cut = {part: features[part][number][layer] for part in PARTS}
            for row in _of_layer(cut, parts, controls):
                concept = CONCEPTS[row.concept]
                yield ProbeRow(
                    name, label, depth, row.concept, row.probe, control or row.control,
                    "accuracy" if concept.binary else "R2", *row.read, row.chosen, row.selectivity,
                    len(parts["test"].group.unique()), row.samples,
                )  # fmt: skip


class _Found(NamedTuple):
    concept: str
    probe: str
    control: str
    read: Resampled
    chosen: float
    selectivity: float
    samples: int


def _of_layer(features: dict[Part, Tensor], parts: ByPart, controls: bool) -> Iterator[_Found]:
    """Every concept of these samples; those that the same samples know are read by the same networks."""
    answers = {part: parts[part].answers for part in PARTS}
    known = {name: tuple(~answers[part][name].isnan().any(dim=1) for part in PARTS) for name in answers["fit"]}
    masks: list[tuple[Tensor, ...]] = []
    for mask in known.values():
        if not any(all(map(torch.equal, mask, other)) for other in masks):
            masks.append(mask)
    for mask in masks:
        names = [name for name in known if all(map(torch.equal, mask, known[name]))]
        cut = {part: features[part][rows] for part, rows in zip(PARTS, mask, strict=True)}
        true = {p: {name: answers[p][name][rows] for name in names} for p, rows in zip(PARTS, mask, strict=True)}
        groups = {part: parts[part].group[rows] for part, rows in zip(PARTS, mask, strict=True)}
        spectrum = Spectrum(cut["fit"])
        for name in names:
            yield from _ridges(spectrum, cut, {part: true[part][name] for part in PARTS}, groups, name, controls)
        if controls:
            small = {part: spectrum.components(cut[part]) for part in PARTS}
            network = network_of(small["fit"], true["fit"], small["choose"], true["choose"])
            reads = {part: network(small[part]) for part in PARTS[1:]}
            for name in names:
                mean, binary = true["fit"][name].mean(dim=0), CONCEPTS[name].binary
                choose, test = (
                    score(reads[part][name], true[part][name], mean, groups[part], binary) for part in PARTS[1:]
                )
                yield _Found(name, "mlp", "", test, choose.value, float("nan"), len(cut["test"]))


def _ridges(
    spectrum: Spectrum, cut: dict[Part, Tensor], true: dict[Part, Tensor], groups: dict[Part, Tensor], name: str,
    controls: bool,
) -> Iterator[_Found]:  # fmt: skip
    """The linear reading of a concept, and that of answers that belong to other samples."""

    def of(answers: dict[Part, Tensor]) -> tuple[Resampled, float]:
        ridge, mean = spectrum.ridge(answers["fit"], cut["choose"], answers["choose"]), answers["fit"].mean(dim=0)
        chosen, test = (
            score(ridge(cut[part]), answers[part], mean, groups[part], CONCEPTS[name].binary) for part in PARTS[1:]
        )
        return test, chosen.value

    found, chosen = of(true)
    shuffled = Resampled(*[float("nan")] * 3)
    if controls:
        mixed = {part: values[mixed_order(f"{name}/{part}", len(values))] for part, values in true.items()}
        shuffled, chance = of(mixed)
        yield _Found(name, "ridge", SHUFFLED, shuffled, chance, float("nan"), len(cut["test"]))
    yield _Found(name, "ridge", "", found, chosen, found.value - shuffled.value, len(cut["test"]))


def mixed_order(name: str, count: int) -> Tensor:
    """A random order of so many samples."""
    return Draws(clip_streams(f"inside/shuffled/{name}", [0], torch.device("cpu"))).order(count)[0]
