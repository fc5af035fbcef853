"""Rollouts over simulated clips: each model's future, tracked and measured clip by clip."""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.analysis.records import Value
from vidworld.core.clip import Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.media import save_rollouts
from vidworld.evaluation.schema import measured_splits
from vidworld.evaluation.task import Case, Setup, Subject, Task, Unit, pieces
from vidworld.metrics import Metric
from vidworld.models.world_model import Encoded
from vidworld.simulation import SCENARIOS
from vidworld.simulation.tracker import locate_discs

ROLLOUTS_VERSION = 1
"""Of what is done between a model's future and a metric; raised when that gives other values."""
INPUTS = ("tracks", "samples")


def rollout_units(setup: Setup) -> Iterator[Unit]:
    """Every scenario and split, a batch of clips at a time: the references, then each subject that rolls out."""
    encoded = lru_cache(maxsize=1)(partial(_encoded, setup))
    for scenario, split in measured_splits(setup.config):
        metrics = metrics_of(setup, scenario)
        of_tracks = [metric for metric in metrics if metric.takes in INPUTS]
        for numbers in pieces(setup.config.clips, setup.config.clips_at_once):
            batch = f"rollouts_{scenario}_{split}_{numbers[0]}_{numbers[-1]}"
            depends_on = ["rollouts", ROLLOUTS_VERSION, scenario, SCENARIOS.version(scenario), split, list(numbers)]
            place = (setup.evaluator, scenario, split, metrics)
            seen = partial(encoded, scenario, split, numbers)
            yield setup.unit(batch, None, depends_on, metrics, partial(_references, seen, *place))
            for subject in setup.subjects:
                if subject.rolls_out:
                    samples = subject.samples or setup.config.samples
                    measured = partial(_of_subject, seen, *place, subject, samples)
                    yield setup.unit(batch, subject, [*depends_on, samples], of_tracks, measured)


def show_rollouts(setup: Setup, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Videos of a few rollouts of each scenario."""
    models = [subject.model for subject in setup.subjects if subject.rolls_out]
    few = range(min(setup.config.shown, setup.config.clips))
    entries = []
    for scenario in dict.fromkeys(name for name, _ in measured_splits(setup.config)) if few else ():
        clips = setup.clips(scenario, "id").clips(few)
        entries += save_rollouts(setup.evaluator, models, clips, scenario, folder)
    return {"rollouts": entries}


ROLLOUTS = Task(rollout_units, show_rollouts)


def metrics_of(setup: Setup, scenario: str) -> list[Metric]:
    """The metrics that apply to a scenario: they name it, or it names them."""
    named = SCENARIOS[scenario].metrics
    found = setup.metrics(*INPUTS, "frames", "places")
    return [metric for metric in found if scenario in metric.scenarios or metric.name in named]


def _encoded(setup: Setup, scenario: str, split: str, numbers: range) -> Encoded:
    return setup.evaluator.encode(setup.clips(scenario, split).clips(numbers))


def _references(
    encoded: Callable[[], Encoded], evaluator: Evaluator, scenario: str, split: str, metrics: list[Metric]
) -> Iterator[Value]:
    """What no model can be better than: the truth by tracker and probe, and what the tokenizer keeps."""
    seen = encoded()
    clips, truth = seen.clips, _truth(seen)
    place = (scenario, split, evaluator.seed)
    by_pixels = evaluator.by_pixels(clips.frames[:, evaluator.context_frames :], truth)
    yield from _measured(Case("truth", "pixels", *place), [by_pixels], seen, evaluator, metrics)
    decoded = evaluator.decode(seen.tokens)
    if not torch.equal(decoded, clips.frames):  # a tokenizer without loss has nothing to measure
        case = Case("reconstruction", "pixels", *place)
        yield from _kept_by_tokenizer(case, decoded, seen, evaluator, metrics)
        tracks = evaluator.by_pixels(decoded[:, evaluator.context_frames :], truth)
        yield from _measured(case, [tracks], seen, evaluator, metrics)
    if evaluator.probes:
        tracks = evaluator.by_probe("", seen.tokens[:, evaluator.context_length :], truth)
        yield from _measured(Case("truth", "probe", *place), [tracks], seen, evaluator, metrics)


def _of_subject(
    encoded: Callable[[], Encoded],
    evaluator: Evaluator,
    scenario: str,
    split: str,
    metrics: list[Metric],
    subject: Subject,
    samples: int,
) -> Iterator[Value]:
    """Every metric of a subject's futures, by the tracker and, where there is one, by the probe."""
    seen = encoded()
    truth = _truth(seen)
    rollout = evaluator.roll_out(subject.model, seen, samples)
    place = (scenario, split, evaluator.seed)
    tracks = _of_samples(lambda x: evaluator.by_pixels(evaluator.decode_future(seen, x), truth), rollout.tokens)
    yield from _measured(Case(subject.name, "pixels", *place), tracks, seen, evaluator, metrics)
    if evaluator.probes:
        tracks = _of_samples(lambda x: evaluator.by_probe(subject.name, x, truth), rollout.embeddings)
        yield from _measured(Case(subject.name, "probe", *place), tracks, seen, evaluator, metrics)


def _of_samples(read: Callable[[Tensor], Tracks], samples: Float[Tensor, "clip sample *rest"]) -> list[Tracks]:
    """The tracks of each sample: once, where samples are equal, as those of a model that predicts one future."""
    first, *others = samples.unbind(dim=1)
    tracks = read(first)
    return [tracks, *(tracks if torch.equal(other, first) else read(other) for other in others)]


def _measured(
    case: Case, samples: list[Tracks], seen: Encoded, evaluator: Evaluator, metrics: list[Metric]
) -> Iterator[Value]:
    """One value a clip and metric: the mean over the samples, for metrics of one prediction."""
    clips, start = seen.clips, evaluator.context_frames
    truth = _truth(seen)
    distinct = samples[:1] if all(tracks is samples[0] for tracks in samples) else samples
    for metric in metrics:
        if metric.takes == "samples" and len(samples) > 1:
            numbers = metric.function(samples, truth, clips.dt_s, start)
        elif metric.takes == "tracks":
            numbers = np.mean([metric.function(tracks, truth, clips.dt_s, start) for tracks in distinct], axis=0)
        else:
            continue
        yield from case.values(metric, clips.identity, numbers.tolist())


def _kept_by_tokenizer(
    case: Case, decoded: Tensor, seen: Encoded, evaluator: Evaluator, metrics: list[Metric]
) -> Iterator[Value]:
    """What clips have lost by being encoded and decoded, from the first frame on that is encoded."""
    clips, truth = seen.clips, _truth(seen)
    decoded, frames = (each[:, evaluator.tokenizer.unseen_frames :] for each in (decoded, clips.frames))
    places, true_places = (locate_discs(each, truth.color, truth.radius).double().numpy() for each in (decoded, frames))
    given: dict[str, tuple[Any, ...]] = {
        "frames": (decoded.numpy(), frames.numpy()),
        "places": (places, true_places, WORLD_SIZE / clips.frames.shape[-1]),
    }
    for metric in metrics:
        if metric.takes in given:
            yield from case.values(metric, clips.identity, metric.function(*given[metric.takes]).tolist())


def _truth(seen: Encoded) -> Tracks:
    assert seen.clips.tracks is not None
    return seen.clips.tracks
