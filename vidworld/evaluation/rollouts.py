"""Rollouts of worlds over simulated clips, read out and measured clip by clip."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.analysis.records import Value
from vidworld.core.clip import Clips, Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.shapes import Frames
from vidworld.evaluation.bench import Bench
from vidworld.metrics import METRICS, Metric, PerClip
from vidworld.models.world_model import Encoded, WorldModel
from vidworld.simulation.tracker import locate_discs

IN_THE_OPEN = 0.9
"""Share of a disc that shows from which on its centroid is that of the disc."""


def measure_rollouts(
    bench: Bench, worlds: Sequence[WorldModel], clips: Clips, scenario: str, split: str, samples: int
) -> Iterator[Value]:
    """Every metric that applies to the scenario: of each world, of the reconstruction and of the truth."""
    seen = bench.encode(clips)
    yield from measure_references(bench, seen, scenario, split)
    yield from measure_worlds(bench, worlds, seen, scenario, split, samples)


def measure_references(bench: Bench, seen: Encoded, scenario: str, split: str) -> Iterator[Value]:
    """What no world can be better than: the truth by each read-out, and what the tokenizer keeps."""
    clips, truth = seen.clips, seen.clips.tracks
    assert truth is not None
    decoded = bench.decode(seen.tokens)
    future = seen.tokens[:, bench.context_length :]
    cases: list[tuple[str, str, list[Tracks]]] = [
        ("truth", "pixels", [bench.by_pixels(clips.frames[:, bench.context_frames :], truth)])
    ]
    if not torch.equal(decoded, clips.frames):  # a tokenizer without loss has nothing to measure
        yield from _measure_reconstruction(decoded, clips, truth, scenario, split, bench)
        reconstructed = bench.by_pixels(decoded[:, bench.context_frames :], truth)
        cases.append(("reconstruction", "pixels", [reconstructed]))
    if bench.probes:
        cases.append(("truth", "probe", [bench.by_probe("", future, truth)]))
    for name, readout, tracks in cases:
        yield from _measure(name, readout, tracks, clips, truth, scenario, split, bench)


def measure_worlds(
    bench: Bench, worlds: Sequence[WorldModel], seen: Encoded, scenario: str, split: str, samples: int
) -> Iterator[Value]:
    """Every metric that applies to the scenario, of each world's rollouts."""
    clips, truth = seen.clips, seen.clips.tracks
    assert truth is not None
    cases: list[tuple[str, str, list[Tracks]]] = []
    for world in worlds:
        rollout = bench.roll_out(world, seen, samples)

        def by_pixels(tokens: Tensor) -> Tracks:
            return bench.by_pixels(bench.decode_future(seen, tokens), truth)

        def by_probe(embeddings: Tensor, name: str = world.name) -> Tracks:
            return bench.by_probe(name, embeddings, truth)

        cases.append((world.name, "pixels", _of_samples(by_pixels, rollout.tokens)))
        if bench.probes:
            cases.append((world.name, "probe", _of_samples(by_probe, rollout.embeddings)))
    for name, readout, tracks in cases:
        yield from _measure(name, readout, tracks, clips, truth, scenario, split, bench)


def _of_samples(
    read: Callable[[Tensor], Tracks], samples: Float[Tensor, "clip sample *rest"]
) -> list[Tracks]:
    """What is read out of each sample: once, where they are equal, as those of a world that predicts one future.

    There are fewer than were asked for where a world has no more to give.
    """
    first, *others = samples.unbind(dim=1)
    tracks = read(first)
    return [tracks, *(tracks if torch.equal(other, first) else read(other) for other in others)]


def _measure_reconstruction(
    decoded: Frames, clips: Clips, truth: Tracks, scenario: str, split: str, bench: Bench
) -> Iterator[Value]:
    """What clips have lost by being encoded and decoded, from the first frame on that is encoded."""
    decoded, frames = (each[:, bench.tokenizer.unseen_frames :] for each in (decoded, clips.frames))
    places, true_places = (
        locate_discs(each, truth.color, truth.radius).double().numpy() for each in (decoded, frames)
    )
    given = {
        "frames": (decoded.numpy(), frames.numpy()),
        "places": (places, true_places, WORLD_SIZE / clips.frames.shape[-1]),
    }
    for metric in METRICS.values():
        if metric.takes in given and scenario in metric.scenarios:
            values = metric.function(*given[metric.takes])
            yield from _values("reconstruction", "pixels", metric, values, clips, scenario, split, bench)


def _measure(
    world: str,
    readout: str,
    samples: list[Tracks],
    clips: Clips,
    truth: Tracks,
    scenario: str,
    split: str,
    bench: Bench,
) -> Iterator[Value]:
    """One value a clip and metric: the mean over the samples, for metrics of one prediction."""
    distinct = samples[:1] if all(tracks is samples[0] for tracks in samples) else samples
    for metric in METRICS.values():
        if scenario not in metric.scenarios or metric.takes not in ("tracks", "samples"):
            continue
        if metric.takes == "samples" and len(samples) < 2:
            continue
        if metric.takes == "samples":
            values = metric.function(samples, truth, clips.dt_s, bench.context_frames)
        else:
            each = [metric.function(tracks, truth, clips.dt_s, bench.context_frames) for tracks in distinct]
            values = np.mean(each, axis=0)
        yield from _values(world, readout, metric, values, clips, scenario, split, bench)


def _values(
    world: str,
    readout: str,
    metric: Metric,
    values: PerClip,
    clips: Clips,
    scenario: str,
    split: str,
    bench: Bench,
) -> Iterator[Value]:
    """The metric's value of each clip to which it applies."""
    place = (world, readout, scenario, metric.law, split, metric.name, metric.unit)
    for identity, value in zip(clips.identity, values.tolist(), strict=True):
        if math.isfinite(value):
            yield Value(*place, identity, value, bench.seed)
