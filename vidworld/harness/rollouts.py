"""Rollouts of worlds over simulated clips, read out and measured clip by clip."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from vidworld.data.clip import WORLD_SIZE, Clips, Tracks
from vidworld.harness.bench import Bench, Value
from vidworld.metrics import METRICS, Metric, PerClip
from vidworld.readout import locate_discs
from vidworld.shapes import Frames
from vidworld.world import World

IN_THE_OPEN = 0.9
"""Share of a disc that shows from which on its centroid is that of the disc."""


def measure_rollouts(
    bench: Bench, worlds: Sequence[World], clips: Clips, scenario: str, split: str, samples: int
) -> Iterator[Value]:
    """Every metric that applies to the scenario: of each world, of the reconstruction and of the truth."""
    truth = clips.tracks
    assert truth is not None
    seen = bench.encode(clips)
    decoded = bench.decode(seen.tokens)
    yield from _measure_reconstruction(decoded, clips, truth, scenario, split, bench)
    future = seen.tokens[:, bench.context_length :]
    cases: list[tuple[str, str, list[Tracks]]] = [
        ("truth", "pixels", [bench.by_pixels(clips.frames[:, bench.context_frames :], truth)]),
        ("reconstruction", "pixels", [bench.by_pixels(decoded[:, bench.context_frames :], truth)]),
        ("truth", "probe", [bench.by_probe("", future, truth)]),
    ]
    for world in worlds:
        rollout = bench.roll_out(world, seen, samples)
        each = range(samples)
        cases.append(
            (world.name, "pixels", [bench.by_pixels(bench.decode(rollout.tokens[:, i]), truth) for i in each])
        )
        probed = [bench.by_probe(world.name, rollout.embeddings[:, i], truth) for i in each]
        cases.append((world.name, "probe", probed))
    for name, readout, tracks in cases:
        yield from _measure(name, readout, tracks, clips, truth, scenario, split, bench)


def _measure_reconstruction(
    decoded: Frames, clips: Clips, truth: Tracks, scenario: str, split: str, bench: Bench
) -> Iterator[Value]:
    """What whole clips have lost by being encoded and decoded."""
    places, true_places = (
        locate_discs(frames, truth.color, truth.radius).double().numpy() for frames in (decoded, clips.frames)
    )
    given = {
        "frames": (decoded.numpy(), clips.frames.numpy()),
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
    for metric in METRICS.values():
        if scenario not in metric.scenarios or metric.takes not in ("tracks", "samples"):
            continue
        if metric.takes == "samples" and len(samples) < 2:
            continue
        if metric.takes == "samples":
            values = metric.function(samples, truth, clips.dt_s, bench.context_frames)
        else:
            each = [metric.function(tracks, truth, clips.dt_s, bench.context_frames) for tracks in samples]
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
