"""Hidden properties: what a model's state tells of them, and whether its rollouts follow them, before and after."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np
from accelerate import Accelerator

from vidworld.analysis.hidden import HIDDEN_SCHEMA, HiddenResults, PropertyProbe
from vidworld.analysis.records import Value
from vidworld.analysis.results import rows_from_clips
from vidworld.analysis.ridge import bootstrapped, concordance, r_squared, ridge_reading, share_covered
from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, provenance, write_json
from vidworld.evaluation.evaluator import BASELINES_VERSION, Evaluator, Subject, evaluator_of, subjects_of
from vidworld.evaluation.interventions import (
    SeenPair,
    measured_pair,
    names_of_pairs,
    read_worlds,
    roll_out_both,
    true_worlds,
)
from vidworld.evaluation.paired_schema import HiddenConfig
from vidworld.evaluation.physics import models_of
from vidworld.evaluation.states import StateFeatures, has_states, state_features, token_features
from vidworld.evaluation.task import Case, Setup, Unit, measure, pieces
from vidworld.metrics import Metric
from vidworld.metrics.hidden import true_property
from vidworld.metrics.interventions import Worlds
from vidworld.models.oracle import Oracle
from vidworld.models.property_oracle import PropertyOracle
from vidworld.models.world_model import Encoded
from vidworld.simulation import SCENARIOS
from vidworld.simulation.properties import HIDDEN_DISC, moment_of_reveal_s, moment_of_test_s, property_pairs
from vidworld.simulation.simulated import SimulatedClips

HIDDEN_VERSION = 1  # of what is done between two rollouts and a metric; raised when that gives other values
WITHOUT_MEMORY = "oracle_without_memory"
"""A physicist who sees how discs move, and takes all for elastic and of the mass of their size."""
_SPREAD = "implied_spread"
_Fitted = tuple[Encoded, Encoded]  # the clips that probes are fitted to, and those that they are read on


def measure_hidden(config: HiddenConfig, accelerator: Accelerator) -> HiddenResults | None:
    """Measure what is not measured yet and write hidden.json; None in processes that are not the main one.

    Rollouts are kept by work units; what probes read is computed again, in seconds. Raises UserError: of models that
    fail, after the others' results are written.
    """
    contexts = {"before": config.before_frames, "after": config.after_frames}
    physics = {moment: config.physics(frames, oracle=False) for moment, frames in contexts.items()}
    evaluator = evaluator_of(physics["after"], accelerator)
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
        schema=HIDDEN_SCHEMA, provenance=provenance(config.seed), models=models_of(physics["after"].without(failures)),
        rows=rows_from_clips(value for value in values if value.model not in failures), probes=probes,
        contexts=contexts, failures=list(failures.values()),
    )  # fmt: skip
    write_json(config.out / "hidden.json", asdict(results))
    if failures:
        raise UserError("\n".join(f"{line}; its rows are left out" for line in failures.values()))
    return results


def _subjects(config: HiddenConfig, evaluator: Evaluator) -> list[Subject]:
    """The models, the physicist who remembers, the one who does not, and what needs no training."""
    every = subjects_of(config.physics(config.after_frames, oracle=False), evaluator)
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
    def encoded(scenario: str, split: str, numbers: range) -> SeenPair:
        pair = property_pairs(scenario, split, config.seed, numbers, config.shape, config.nuisance)
        return setup.evaluator.encode(pair.own), setup.evaluator.encode(pair.other)

    for scenario in config.scenarios:
        for split in config.splits:
            place = (scenario, moment if split == "id" else f"{moment}_{split}", config.seed)
            for numbers in pieces(config.pairs, config.pairs_at_once):
                batch = f"hidden_{scenario}_{moment}_{split}_{numbers[0]}_{numbers[-1]}"
                depends_on = [HIDDEN_VERSION, scenario, SCENARIOS.version(scenario), moment, split, list(numbers)]
                given = (partial(encoded, scenario, split, numbers), setup.evaluator, place, metrics)
                yield setup.unit(batch, None, depends_on, metrics, partial(_references, *given))
                for subject in setup.subjects:
                    if subject.rolls_out:
                        samples = subject.samples or config.samples
                        measured = partial(_of_subject, *given, subject, samples)
                        yield setup.unit(batch, subject, [*depends_on, samples], metrics, measured)


def _references(
    encoded: Callable[[], SeenPair], evaluator: Evaluator, place: tuple[str, str, int], metrics: list[Metric]
) -> Iterator[Value]:
    """The truth by the tracker, and what the tokenizer keeps of it."""
    pair, start = encoded(), evaluator.context_frames
    truth, of_one = true_worlds(pair), [metric for metric in metrics if metric.name != _SPREAD]
    shown = {"truth": [seen.clips.without_nuisance for seen in pair]}
    shown["reconstruction"] = [evaluator.decode(seen.tokens) for seen in pair]
    for name, frames in shown.items():
        tracks = Worlds(*(evaluator.by_pixels(each[:, start:], true) for each, true in zip(frames, truth, strict=True)))
        yield from measured_pair(Case(name, "pixels", *place), [tracks], pair, evaluator, of_one)


def _of_subject(
    encoded: Callable[[], SeenPair],
    evaluator: Evaluator,
    place: tuple[str, str, int],
    metrics: list[Metric],
    subject: Subject,
    samples: int,
) -> Iterator[Value]:
    """Every metric of a subject's pair of rollouts; how far samples differ, of those that draw several."""
    pair = encoded()
    both, own = roll_out_both(evaluator, subject, pair, samples), true_worlds(pair).factual
    for readout, worlds in read_worlds(evaluator, subject, pair, both):
        case = Case(subject.name, readout, *place)
        for metric in metrics:
            if metric.name != _SPREAD:
                yield from measured_pair(case, worlds, pair, evaluator, [metric])
                continue
            neighbours = [Worlds(one.factual, next_.factual) for one, next_ in pairwise(worlds)]
            given = (Worlds(own, own), pair[0].clips.dt_s, evaluator.context_frames)
            if neighbours:
                apart = np.mean([metric.function(each, *given) for each in neighbours], axis=0)
                yield from case.values(metric, names_of_pairs(pair[0].clips), apart.tolist())


# --- what probes read of states ---


def _probes(config: HiddenConfig, evaluator: Evaluator, subjects: list[Subject]) -> Iterator[PropertyProbe]:
    """Of the tokens of each chunk alone, of every model's state and of that of the same network untrained."""
    for scenario in config.scenarios if config.tokenizer is not None else ():  # whole frames are no features
        fitted = _encoded(config, evaluator, scenario, "val", config.fitted)
        for split in config.splits:
            read = _encoded(config, evaluator, scenario, split, config.read)
            clips = (fitted, read)
            tokens = (token_features(fitted, HIDDEN_DISC), token_features(read, HIDDEN_DISC))
            yield from _readings("tokens", scenario, split, clips, tokens)
            for subject in subjects:
                if has_states(subject.model):
                    of = partial(state_features, subject.model, evaluator, disc=HIDDEN_DISC)
                    yield from _readings(subject.name, scenario, split, clips, (of(fitted), of(read)))


def _encoded(config: HiddenConfig, evaluator: Evaluator, scenario: str, split: str, count: int) -> Encoded:
    clips = SimulatedClips(scenario, split, config.seed, count, config.shape, nuisance=config.nuisance)
    return evaluator.encode(clips.clips(range(count)))


def _readings(
    model: str, scenario: str, split: str, clips: _Fitted, features: tuple[StateFeatures, StateFeatures]
) -> Iterator[PropertyProbe]:
    """A ridge for each chunk."""
    fitted, read = features
    tracks = [seen.clips.tracks for seen in clips]
    assert tracks[0] is not None and tracks[1] is not None
    dt_s = clips[0].clips.dt_s
    answers, true = (true_property(each, dt_s) for each in tracks if each is not None)
    frames = clips[0].clips.frames.shape[1] // fitted.shape[1]
    for chunk in range(fitted.shape[1]):
        reading = ridge_reading(fitted[:, chunk], answers, read[:, chunk])
        last_s = ((chunk + 1) * frames - 1) * dt_s
        yield PropertyProbe(
            model, scenario, split, chunk, (chunk + 1) * frames,
            float((moment_of_reveal_s(tracks[1]) <= last_s).double().mean()),
            float((moment_of_test_s(tracks[1]) <= last_s).double().mean()),
            r_squared(reading.value, true), *bootstrapped(r_squared, reading.value, true),
            concordance(reading.value, true), *bootstrapped(concordance, reading.value, true),
            share_covered(reading, true), reading.deviation / float(answers.std()), len(true),
        )  # fmt: skip
