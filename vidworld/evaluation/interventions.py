"""Interventions: each model's rollouts of the same scenes without and with one change, under common random numbers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from vidworld.analysis.interventions import NO_EFFECT, OTHER_SCENE, InterventionResults, PairStrip, reach_of
from vidworld.analysis.records import Value
from vidworld.analysis.results import rows_from_clips
from vidworld.core.clip import Clips, Tracks
from vidworld.core.errors import UserError
from vidworld.core.media import stacked, write_png
from vidworld.core.records import prepare_folder, provenance, write_json, writing
from vidworld.evaluation.evaluator import Evaluator, Subject, evaluator_of, needs_actions, subjects_of, takes_actions
from vidworld.evaluation.paired_schema import InterventionConfig
from vidworld.evaluation.physics import models_of, refuse
from vidworld.evaluation.presentation import names_of
from vidworld.evaluation.task import Case, Setup, TaskPlace, Unit, measure, media_name, pieces
from vidworld.metrics import Metric
from vidworld.metrics.interventions import Worlds
from vidworld.models.world_model import Encoded, Rollout
from vidworld.simulation import SCENARIOS
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.acted_pairs import acted_pairs
from vidworld.simulation.interventions import INTERVENTIONS_VERSION, LEAST_EFFECT, world_pairs

MEASURED_VERSION = 1  # of what is done between two rollouts and a metric; raised when that gives other values
ACT = "act"
SeenPair = tuple[Encoded, Encoded]
PairOf = Callable[[], SeenPair]


def measure_interventions(config: InterventionConfig, accelerator: Accelerator) -> InterventionResults | None:
    """Measure what is not measured yet and write interventions.json; None in processes that are not the main one.

    Raises UserError: of models that fail, after the others' results are written.
    """
    physics = config.physics(config.context_frames)
    evaluator = evaluator_of(physics, accelerator)
    setup = Setup(physics, evaluator, subjects_of(physics, evaluator), None, prepare_folder(config.out / "units"))
    check_acting(config, setup.subjects)
    values, failures = measure(list(intervention_units(config, setup)), accelerator, "interventions")
    if not accelerator.is_main_process:
        return None
    results = InterventionResults(
        schema=1, provenance=provenance(config.seed), models=models_of(physics.without(failures)),
        rows=rows_from_clips(values), reach=[*reach_of(values)], strips=list(_strips(config, setup.without(failures))),
        context_frames=config.context_frames, failures=list(failures.values()),
    )  # fmt: skip
    write_json(config.out / "interventions.json", asdict(results))
    refuse(failures)
    return results


def places_of(config: InterventionConfig) -> Iterator[tuple[str, str, str]]:
    """Each scenario or environment, with what is done and the split, of those that have it."""
    for name, kinds in config.interventions.items():
        for split in config.splits:
            if ACT not in kinds and split == "more" and not SCENARIOS[name].more:
                continue
            for kind in kinds:
                if kind != ACT or split == "id":
                    yield name, kind, split


def intervention_units(config: InterventionConfig, setup: Setup) -> Iterator[Unit]:
    """A batch of pairs at a time: the references, then each subject that rolls out (and, where it is done, acts)."""
    metrics = [metric for metric in setup.metrics("worlds") if metric.law == "interventions"]

    @lru_cache(maxsize=1)
    def encoded(name: str, kind: str, split: str, numbers: range) -> SeenPair:
        one, other = pair_of(config, name, kind, split, numbers)
        return setup.evaluator.encode(one), setup.evaluator.encode(other)

    for name, kind, split in places_of(config):
        mine = [metric for metric in metrics if name in metric.scenarios or not metric.name.startswith("chain_")]
        place = (name, kind if split == "id" else f"{kind}_{split}", config.seed)
        version = ENVIRONMENTS.version(name) if kind == ACT else SCENARIOS.version(name)
        for numbers in pieces(config.pairs, config.pairs_at_once):
            batch = f"do_{name}_{kind}_{split}_{numbers[0]}_{numbers[-1]}"
            depends_on = [MEASURED_VERSION, INTERVENTIONS_VERSION, name, version, kind, split, list(numbers)]
            given = (partial(encoded, name, kind, split, numbers), setup.evaluator, place, mine)
            yield setup.unit(batch, None, depends_on, mine, partial(_references, *given))
            for subject in setup.subjects:
                if _is_measured(subject, kind):
                    samples = 1 if kind == ACT else subject.samples or config.samples
                    measured = partial(_of_subject, *given, subject, samples)
                    yield setup.unit(batch, subject, [*depends_on, samples], mine, measured)


def pair_of(
    config: InterventionConfig, name: str, kind: str, split: str, numbers: Sequence[int]
) -> tuple[Clips, Clips]:
    """The clips without and with the change. Raises UserError: there are none."""
    if kind == ACT:
        given = (numbers, config.context_frames, config.shape, LEAST_EFFECT)
        return acted_pairs(name, split, config.seed, *given)
    shape = (config.context_frames, config.shape, config.nuisance)
    pair = world_pairs(name, kind, split, config.seed, numbers, *shape)
    return pair.factual, pair.changed


def check_acting(config: InterventionConfig, subjects: Sequence[Subject]) -> None:
    """Raise UserError where a model of the configuration has nothing that it could be measured on."""
    kinds = [kind for of_place in config.interventions.values() for kind in of_place]
    for subject in subjects:
        able = not subject.rolls_out or any(_is_measured(subject, kind) for kind in kinds)
        if subject.name in config.models and not able:
            what = "takes no actions" if ACT in kinds else "needs actions, and in these clips nobody acts"
            raise UserError(f"{subject.name}: {what}; leave it out, or name interventions that it can follow")


def _is_measured(subject: Subject, kind: str) -> bool:
    """Whether a subject rolls out, and hears what is done where that is the intervention (a frozen frame needs not)."""
    hears = takes_actions(subject) or subject.name == "copy_last"
    return subject.rolls_out and (hears if kind == ACT else not needs_actions(subject))


def roll_out_both(evaluator: Evaluator, subject: Subject, pair: SeenPair, samples: int) -> tuple[Rollout, Rollout]:
    """What a model predicts of both worlds, by the same draws: those of the world without the change."""
    seeds = evaluator.seeds(names_of(pair[0].clips.frames[:, : evaluator.context_frames]))
    found = []
    for seen in pair:
        heard = None if subject.name == "copy_last" else seen.actions
        done = None if heard is None else heard[:, None, evaluator.context_length :]
        found.append(evaluator.roll_out(subject.model, seen, samples, seeds, done))
    return found[0], found[1]


def true_worlds(pair: SeenPair) -> Worlds:
    """The true tracks of both."""
    return Worlds(*(seen.clips.truth for seen in pair))


def true_and_reconstructed(
    encoded: PairOf, evaluator: Evaluator, place: TaskPlace, metrics: Sequence[Metric]
) -> Iterator[Value]:
    """The truth by the tracker, and what the tokenizer keeps of it."""
    pair, start = encoded(), evaluator.context_frames
    truth = true_worlds(pair)
    shown = {"truth": [seen.clips.without_nuisance for seen in pair]}
    shown["reconstruction"] = [evaluator.decode(seen.tokens) for seen in pair]
    for name, frames in shown.items():
        tracks = Worlds(*(evaluator.by_pixels(each[:, start:], true) for each, true in zip(frames, truth, strict=True)))
        yield from measured_pair(Case(name, "pixels", *place), [tracks], pair, evaluator, metrics)


def _references(encoded: PairOf, evaluator: Evaluator, place: TaskPlace, metrics: Sequence[Metric]) -> Iterator[Value]:
    """The truth and the tokenizer's, and the answers that need no model."""
    yield from true_and_reconstructed(encoded, evaluator, place, metrics)
    pair, start = encoded(), evaluator.context_frames
    truth = true_worlds(pair)
    none = _with_effect(truth, torch.zeros_like(truth.factual.position), start)
    effect = (truth.changed.position - truth.factual.position).nan_to_num()
    others = _with_effect(truth, (effect - effect[:, start - 1 : start]).roll(1, dims=0), start)
    for name, tracks in ((NO_EFFECT, none), (OTHER_SCENE, others)):
        yield from measured_pair(Case(name, "pixels", *place), [tracks], pair, evaluator, metrics)


def _with_effect(truth: Worlds, effect: torch.Tensor, start: int) -> Worlds:
    """The true world without the change, and one that differs from it by what the context shows and this effect."""
    one, other = truth
    shown = (other.position - one.position)[:, start - 1 : start]
    position = torch.cat((other.position[:, :start], (one.position + shown + effect)[:, start:]), dim=1)
    return Worlds(one, replace(other, position=position))


def _of_subject(
    encoded: PairOf, evaluator: Evaluator, place: TaskPlace, metrics: list[Metric], subject: Subject, samples: int
) -> Iterator[Value]:
    """Every metric of a subject's pair of rollouts, by the tracker and, where there is one, by the probe."""
    pair = encoded()
    both = roll_out_both(evaluator, subject, pair, samples)
    for readout, worlds in read_worlds(evaluator, subject, pair, both):
        yield from measured_pair(Case(subject.name, readout, *place), worlds, pair, evaluator, metrics)


def read_worlds(
    evaluator: Evaluator, subject: Subject, pair: SeenPair, both: tuple[Rollout, Rollout]
) -> Iterator[tuple[str, list[Worlds]]]:
    """Tracks of each sample of both rollouts, by the tracker and, where there is one, by the probe.

    Where samples are equal there is one.
    """
    truth = true_worlds(pair)

    def by_pixels(sample: int, world: int) -> Tracks:
        frames = evaluator.decode_future(pair[world], both[world].tokens[:, sample])
        return evaluator.by_pixels(frames, truth[world])

    def by_probe(sample: int, world: int) -> Tracks:
        return evaluator.by_probe(subject.name, both[world].embeddings[:, sample], truth[world])

    equal = all(torch.equal(each.tokens[:, :1].expand_as(each.tokens), each.tokens) for each in both)
    count = 1 if equal else both[0].tokens.shape[1]
    for name, read in (("pixels", by_pixels), *([("probe", by_probe)] if evaluator.probes else [])):
        yield name, [Worlds(read(sample, 0), read(sample, 1)) for sample in range(count)]


def measured_pair(
    case: Case, samples: Sequence[Worlds], pair: SeenPair, evaluator: Evaluator, metrics: Sequence[Metric]
) -> Iterator[Value]:
    """One value a pair and metric: the mean over the samples."""
    seen = pair[0].clips
    for metric in metrics:
        numbers = [metric.function(each, true_worlds(pair), seen.dt_s, evaluator.context_frames) for each in samples]
        yield from case.values(metric, names_of_pairs(seen), np.mean(numbers, axis=0).tolist())


def names_of_pairs(clips: Clips) -> list[str]:
    """Of each pair, by its first clip."""
    return [identity.removesuffix("/factual") for identity in clips.identity]


def _strips(config: InterventionConfig, setup: Setup) -> Iterator[PairStrip]:
    """Of the first pairs of each kind, after writing a picture for the truth and every model."""
    folder, evaluator = prepare_folder(config.out / "media"), setup.evaluator
    for name, kind, split in places_of(config) if config.shown else ():
        clips = pair_of(config, name, kind, split, range(config.shown))
        pair = (evaluator.encode(clips[0]), evaluator.encode(clips[1]))
        futures = {"truth": [each.frames[:, config.context_frames :] for each in clips]}
        for subject in setup.subjects:
            if _is_measured(subject, kind) and (subject.name in config.models or subject.name == "oracle"):
                both = zip(pair, roll_out_both(evaluator, subject, pair, 1), strict=True)
                futures[subject.name] = [evaluator.decode_future(seen, each.tokens[:, 0]) for seen, each in both]
        for i, identity in enumerate(clips[0].identity):
            identity = identity.removesuffix("/factual")
            for model, both_futures in futures.items():
                file = folder / f"{media_name(identity)}_{model}.png"
                _write_strip(file, [(c.frames[i], f[i]) for c, f in zip(clips, both_futures, strict=True)], config)
                yield PairStrip(
                    name, kind if split == "id" else f"{kind}_{split}", identity, model, f"media/{file.name}"
                )


def _write_strip(file: Path, rows: Sequence[tuple[torch.Tensor, torch.Tensor]], config: InterventionConfig) -> None:
    """The last frames of the context and the future, every second one, without the change above and with it below."""
    wholes = [torch.cat((frames[: config.context_frames], future)) for frames, future in rows]
    with writing(file):
        write_png(file, stacked([whole[config.context_frames % 2 :: 2] for whole in wholes], gap_px=1))
