"""Morpheus: how far what moves in a world's future keeps its energy.

Its own evaluation has a set of invariants for each experiment, in metres; the one that all share is mechanical energy.
Ours is that of the one thing that moves most, in the picture's own units: gravity is the number for which the true film
keeps its energy best. A future in which the thing is not found for long enough keeps nothing; of a film whose own thing
is not, nothing is said.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from vidworld.analysis.records import Value
from vidworld.evaluation.benchmark_scores.films import FilmScore, Stand
from vidworld.evaluation.benchmarks.benchmark import Entry
from vidworld.evaluation.benchmarks.morpheus import BENCHMARK
from vidworld.metrics.morpheus import physical_invariance
from vidworld.video.tracking import background_of, track
from vidworld.video_laws.futures import as_film

MOST_S = 5.0
"""Seconds that are predicted at most."""
WINDOW_S = 1.0
"""Of which the best window counts; of a shorter future all of it."""


def of_film(stand: Stand, entry: Entry, world: Any) -> Iterator[Value]:
    """The invariance score of a world's future of one film.

    Nothing where the film itself has none, or its thing is not seen in the context: the world could not know of it.
    """
    start, fps = stand.evaluator.context_frames, stand.shape.fps
    clip = stand.around(stand.clip(entry), start, round(MOST_S * fps))
    film = as_film(clip.frames[0])
    scene = background_of(film)
    unit = BENCHMARK.reading.size_px / film.shape[2]
    truth = track(film, 1, scene).position

    def kept(place: ndarray) -> float:
        energy = mechanical_energy(place[:, 0] * unit, truth[:, 0] * unit, fps)[start:]
        window = min(len(energy), max(3, round(WINDOW_S * fps)))
        return float(physical_invariance(energy[None, None], window)[0])

    value = kept(truth)
    if np.isnan(value) or np.isnan(truth[:start]).all():
        return
    if world is not None:
        future = torch.cat((clip.frames[:, :start], stand.future(world, clip)), dim=1)
        place = track(as_film(future[0]), 1, scene, truth[:start]).position
        value = float(np.nan_to_num(kept(place)))
    yield stand.value(world, entry, entry.property, "physical_invariance_score", "share", value)


def mechanical_energy(place: ndarray, truth: ndarray, fps: float) -> ndarray:
    """Per mass, of a path (time, 2) with y down: kinetic and, above the true film's lowest place, potential.

    Gravity is the regression of the true film's kinetic energy on its depth, over the frames that have both (a frame
    between two others has a velocity where it has no place itself). NaN where the path has no place, and throughout
    where no frame of the true film has both.
    """
    kinetic = [0.5 * (np.gradient(path, 1.0 / fps, axis=0) ** 2).sum(axis=1) for path in (place, truth)]
    seen = np.isfinite(kinetic[1]) & np.isfinite(truth[:, 1])
    if not seen.any():
        return np.full(len(place), np.nan)
    depth, motion = truth[seen, 1], kinetic[1][seen]
    spread = float(np.var(depth))
    gravity = max(0.0, float(np.cov(depth, motion, bias=True)[0, 1]) / spread) if spread > 0 else 0.0
    energy: ndarray = kinetic[0] + gravity * (float(depth.max()) - place[:, 1])
    return energy


SCORE = FilmScore(of_film)
