"""phyworld: the error of velocities that its own parser reads in a world's future.

Its films are read at the worlds' size, and the frames given are the worlds' context rather than three; the errors are
those after it. A film is in distribution where all radii and speeds are within the ranges that phyworld trains on;
those with discs too small for its parser are left out, as there.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from vidworld.analysis.records import Value
from vidworld.core.clip import Tracks
from vidworld.core.errors import UserError
from vidworld.evaluation.benchmark_scores.films import FilmScore, Stand
from vidworld.evaluation.benchmarks.benchmark import Entry
from vidworld.evaluation.benchmarks.phyworld_hdf5 import BENCHMARK, radii_and_speeds, true_positions
from vidworld.metrics.phyworld import (
    FIRST_FRAME,
    collision_errors,
    mean_position_error,
    mean_velocity_error,
    parse,
)

SPEED = (1.0, 4.0)
RADIUS = {"uniform_motion": (0.7, 1.4), "parabola": (0.7, 1.4), "collision": (0.5, 1.5)}
"""The ranges trained on (Source: arXiv 2411.02385)."""
LEAST_RADIUS = {"uniform_motion": 0.6, "parabola": 0.6, "collision": 0.5}


def of_film(stand: Stand, entry: Entry, world: Any) -> Iterator[Value]:
    """phyworld's error of one film: of velocity; of the parabola, of place."""
    rate = BENCHMARK.reading.fps
    if stand.shape.fps != rate:
        raise UserError(
            f"phyworld's films have {rate:g} frames a second, and the worlds' {stand.shape.fps:g}"
        )
    law, (radius, speed) = entry.property, radii_and_speeds(entry)
    if radius.min() < LEAST_RADIUS[law]:
        return
    inside = [
        ((of >= low) & (of <= high)).all() for of, (low, high) in ((radius, RADIUS[law]), (speed, SPEED))
    ]
    start = stand.evaluator.context_frames
    clip = stand.around(stand.clip(entry), start)
    future = clip.frames[:, start:] if world is None else stand.future(world, clip)
    before = max(0, start - FIRST_FRAME)  # the metric leaves out the first three frames
    frames = torch.cat((clip.frames[:, before:start], future), dim=1)
    truth = _tracks(entry, radius, 1.0 / rate).between(before, before + frames.shape[1])
    place = parse(frames, len(radius))
    if law == "collision":
        error, unit = collision_errors(place, truth, 1.0 / rate).velocity_after, "units/s"
    elif law == "parabola":
        error, unit = mean_position_error(place, truth), "units"
    else:
        error, unit = mean_velocity_error(place, truth, 1.0 / rate), "units/s"
    if np.isfinite(error[0]):
        split = "id" if all(inside) else "ood"
        yield stand.value(world, entry, law, "phyworld_error", unit, float(error[0]), split)


def _tracks(entry: Entry, radius: np.ndarray, dt_s: float) -> Tracks:
    """The true tracks of one film."""
    position = torch.from_numpy(true_positions(entry)).float()[None]
    _, time, discs, _ = position.shape
    of_disc = torch.from_numpy(radius).float()[None]
    return Tracks(
        position=position,
        velocity=torch.gradient(position, spacing=dt_s, dim=1)[0],
        radius=of_disc,
        mass=of_disc**2,
        color=torch.eye(3)[[0, 2]][None, :discs],
        present=torch.ones(1, time, discs, dtype=torch.bool),
        visible=torch.ones(1, time, discs),
    )


SCORE = FilmScore(of_film)
