"""Hidden properties: what a model's state holds of them, and whether its rollouts follow them, before and after."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor

from vidworld.analysis.bootstrap import resampled
from vidworld.analysis.hidden import WITHOUT_MEMORY, HiddenResults, PropertyProbe
from vidworld.analysis.records import Value
from vidworld.analysis.results import rows_from_clips
from vidworld.analysis.ridge import Spectrum, concordance, r_squared, share_covered
from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, provenance, write_json
from vidworld.evaluation import interventions as pairs
from vidworld.evaluation.evaluator import (
    BASELINES_VERSION,
    Evaluator,
    Subject,
    check_chunks,
    evaluator_of,
    needs_actions,
    subjects_of,
)
from vidworld.evaluation.paired_schema import HiddenConfig
from vidworld.evaluation.physics import models_of, refuse
from vidworld.evaluation.task import Case, Setup, TaskPlace, Unit, measure, pieces
from vidworld.metrics import Metric
from vidworld.metrics.hidden import true_property
from vidworld.metrics.interventions import Worlds
from vidworld.models.oracle import Oracle, PropertyOracle
from vidworld.models.states import cells_of, has_states, hidden_states
from vidworld.models.world_model import Encoded
from vidworld.simulation import SCENARIOS
from vidworld.simulation.properties import HIDDEN_DISC, moment_of_reveal_s, moment_of_test_s, property_pairs
from vidworld.simulation.simulated import SimulatedClips

HIDDEN_VERSION = 1  # of what is done between two rollouts and a metric; raised when that gives other values
CLIPS_READ_AT_ONCE = 16
StateFeatures = Float[Tensor, "clip chunk feature"]
_SPREAD = "implied_spread"
_DRAWN = 200
"""Resamplings of clips, of what probes read."""


def measure_hidden(config: HiddenConfig, accelerator: Accelerator) -> HiddenResults | None:
    """Measure what is not measured yet and write hidden.json; None in processes that are not the main one.

    Rollouts are kept by work units; what probes read is computed again, in seconds. Raises UserError: of models that
    fail, after the others' results are written.
    """
    contexts = {"before": config.before_frames, "after": config.after_frames}
    physics = {moment: config.physics(frames, oracle=False) for moment, frames in contexts.items()}
    evaluator = evaluator_of(physics["after"], accelerator)
    check_chunks(evaluator.tokenizer.patch_size[0], {"before_frames": [config.before_frames]})
    subjects, folder = _subjects(config, evaluator), prepare_folder(config.out / "units")
    units: list[Unit] = []
    for moment, of_moment in physics.items():
        shown = replace(evaluator, context_frames=contexts[moment])
        units += hidden_units(config, Setup(of_moment, shown, subjects, None, folder), moment)
    values, failures = measure(units, accelerator, "hidden properties")
    if not accelerator.is_main_process:
        return None
    probes = list(_probes(config, evaluator, [subject for subject in subjects if subject.name not in failures]))
    results = HiddenResults(
        schema=1, provenance=provenance(config.seed), models=models_of(physics["after"].without(failures)),
        rows=rows_from_clips(values), probes=probes,
        contexts=contexts, failures=list(failures.values()),
    )  # fmt: skip
    write_json(config.out / "hidden.json", asdict(results))
    refuse(failures)
    return results


def _subjects(config: HiddenConfig, evaluator: Evaluator) -> list[Subject]:
    """The models, the physicist who remembers, the one who does not, and what needs no training."""
    every = subjects_of(config.physics(config.after_frames, oracle=False), evaluator)
    for subject in every:
        if needs_actions(subject):
            raise UserError(f"{subject.name}: needs actions, and in these clips nobody acts; leave it out")
    version = str(BASELINES_VERSION)
    oracles = [
        Subject("oracle", PropertyOracle(evaluator.tokenizer), version),
        Subject(WITHOUT_MEMORY, Oracle(evaluator.tokenizer), version),
    ]
    return [*every[: len(config.models)], *oracles, *every[len(config.models) :]]


def hidden_units(config: HiddenConfig, setup: Setup, moment: str) -> Iterator[Unit]:
    """A batch of pairs at a time: the references, then each subject that rolls out."""
    metrics = [metric for metric in setup.metrics("worlds") if metric.law == "hidden property"]

    @lru_cache(maxsize=1)
    def encoded(scenario: str, split: str, numbers: range) -> pairs.SeenPair:
        pair = property_pairs(scenario, split, config.seed, numbers, config.shape, config.nuisance)
        return setup.evaluator.encode(pair.own), setup.evaluator.encode(pair.other)

    for scenario in config.scenarios:
        for split in config.splits:
            place = (scenario, moment if split == "id" else f"{moment}_{split}", config.seed)
            for numbers in pieces(config.pairs, config.pairs_at_once):
                batch = f"hidden_{scenario}_{moment}_{split}_{numbers[0]}_{numbers[-1]}"
                depends_on = [HIDDEN_VERSION, scenario, SCENARIOS.version(scenario), moment, split, list(numbers)]
                given = (partial(encoded, scenario, split, numbers), setup.evaluator, place, metrics)
                of_one = [metric for metric in metrics if metric.name != _SPREAD]
                truth = partial(pairs.true_and_reconstructed, *given[:-1], of_one)
                yield setup.unit(batch, None, depends_on, metrics, truth)
                for subject in setup.subjects:
                    if subject.rolls_out:
                        samples = subject.samples or config.samples
                        measured = partial(_of_subject, *given, subject, samples)
                        yield setup.unit(batch, subject, [*depends_on, samples], metrics, measured)


def _of_subject(
    encoded: pairs.PairOf, evaluator: Evaluator, place: TaskPlace, metrics: list[Metric], subject: Subject, samples: int
) -> Iterator[Value]:
    """Every metric of a subject's pair of rollouts; how far samples differ, of those that draw several."""
    pair = encoded()
    both, own = pairs.roll_out_both(evaluator, subject, pair, samples), pairs.true_worlds(pair).factual
    for readout, worlds in pairs.read_worlds(evaluator, subject, pair, both):
        case = Case(subject.name, readout, *place)
        for metric in metrics:
            if metric.name != _SPREAD:
                yield from pairs.measured_pair(case, worlds, pair, evaluator, [metric])
                continue
            if neighbours := [Worlds(one.factual, next_.factual) for one, next_ in pairwise(worlds)]:
                given = (Worlds(own, own), pair[0].clips.dt_s, evaluator.context_frames)
                apart = np.mean([metric.function(each, *given) for each in neighbours], axis=0)
                yield from case.values(metric, pairs.names_of_pairs(pair[0].clips), apart.tolist())


# --- what probes read of states: what networks remember of a disc ---


def state_features(model: Any, evaluator: Evaluator, seen: Encoded, disc: int) -> StateFeatures:
    """The state that the next chunk is predicted from, at the cell where the disc is at each chunk's end, and its mean.

    model: one of ours, whose state is that after its last block, or one that offers states; None for the tokens of each
    chunk alone: what shows at the moment, without any memory.
    """
    clips, chunks = seen.tokens.shape[:2]
    states = []
    for start in range(0, clips, CLIPS_READ_AT_ONCE):
        some = slice(start, start + CLIPS_READ_AT_ONCE)
        with evaluator.accelerator.autocast():
            states.append(hidden_states(model, Encoded(seen.clips.at(some), seen.tokens[some]))[:, :, -1].cpu())
    stream, step = torch.cat(states), seen.clips.frames.shape[1] // chunks
    aspect = seen.clips.frames.shape[-2] / seen.clips.frames.shape[-1]
    place, grid = seen.clips.truth.position[:, step - 1 :: step, disc], (stream.shape[2], stream.shape[3])
    row, column = cells_of(place, grid, aspect).unbind(dim=-1)
    own = stream[torch.arange(clips)[:, None], torch.arange(chunks), row, column]
    return torch.cat((own, stream.flatten(2, 3).mean(dim=2)), dim=-1).double()


def _probes(config: HiddenConfig, evaluator: Evaluator, subjects: Sequence[Subject]) -> Iterator[PropertyProbe]:
    """Of the tokens of each chunk alone, of every model's state and of that of the same network untrained."""
    trained = [subject for subject in subjects if subject.name in config.models]
    if without := [subject.name for subject in trained if not has_states(subject.model)]:
        print(f"{', '.join(without)}: no hidden_states to read; rollouts alone are measured")
    models = {"tokens": None} | {each.name: each.model for each in subjects if has_states(each.model)}
    for scenario in config.scenarios if config.tokenizer is not None else ():  # whole frames are no features
        fitted = _encoded(config, evaluator, scenario, "val", config.fitted)
        for split in config.splits:
            read = _encoded(config, evaluator, scenario, split, config.read)
            for name, model in models.items():
                features = [state_features(model, evaluator, each, HIDDEN_DISC) for each in (fitted, read)]
                yield from _readings(name, scenario, split, (fitted, read), features)


def _encoded(config: HiddenConfig, evaluator: Evaluator, scenario: str, split: str, count: int) -> Encoded:
    clips = SimulatedClips(scenario, split, config.seed, count, config.shape, nuisance=config.nuisance)
    return evaluator.encode(clips.clips(range(count)))


def _readings(
    model: str, scenario: str, split: str, clips: pairs.SeenPair, features: Sequence[StateFeatures]
) -> Iterator[PropertyProbe]:
    """A ridge for each chunk, fitted to the first of these clips and read on the others."""
    fitted, asked = features
    tracks, dt_s = pairs.true_worlds(clips), clips[0].clips.dt_s
    answers, true = (true_property(each, dt_s) for each in tracks)
    reveal_s, test_s = moment_of_reveal_s(tracks[1]), moment_of_test_s(tracks[1])
    frames = clips[0].clips.frames.shape[1] // fitted.shape[1]
    for chunk in range(fitted.shape[1]):
        scale = fitted[:, chunk].std(dim=0, correction=0)
        spectrum = Spectrum(fitted[:, chunk], torch.where(scale > 1e-9, scale, torch.inf))
        ridge, deviation = spectrum.ridge_left_out(torch.from_numpy(answers)[:, None])
        both = np.stack((ridge(asked[:, chunk])[:, 0].numpy(), true))
        last_s = ((chunk + 1) * frames - 1) * dt_s
        yield PropertyProbe(
            model, scenario, split, chunk, (chunk + 1) * frames,
            float((reveal_s <= last_s).double().mean()), float((test_s <= last_s).double().mean()),
            *resampled(lambda pair: r_squared(*pair), both, draws=_DRAWN),
            *resampled(lambda pair: concordance(*pair), both, draws=_DRAWN),
            share_covered(both[0], true, deviation), deviation / float(answers.std()), len(true),
        )  # fmt: skip
