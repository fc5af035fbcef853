"""Morpheus: how far what moves in recorded experiments keeps its energy.

Source: Zhang et al. 2025 (arXiv 2504.02918), data set physics-from-video/morpheus-real-world: videos of 1280 x 1024.
Its own evaluation has invariants for each experiment, in metres; all share mechanical energy. Ours is that of the one
thing that moves most, in the picture's own units: gravity is the number for which the true video keeps its energy best.
What counts ends where the thing is seen for the last time: a projectile flies out of the picture within a second. A
future in which it is not found for long enough keeps nothing; a video whose own thing is not has no score, which is
said.

Quirks of the published invariance, kept: for each invariant only the best window counts, and an object that stands
still (or a window in which nothing happens) conserves everything and scores 1. vidworld's own drifts compare with the
true context over every frame instead.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from vidworld.analysis.records import Value
from vidworld.evaluation.benchmarks.benchmark import Benchmark, ContinuationScore, Entry, Reading
from vidworld.evaluation.benchmarks.continuation import BenchmarkContext
from vidworld.metrics import PerClip
from vidworld.video.tracking import background_of, track
from vidworld.video_laws.futures import as_video

MAX_PREDICTED_S = 5.0
_WINDOW_S = 1.0  # of which the best window counts; of a shorter future all of it
_FEWEST = 3  # frames of a window
LARGE_MEAN = 1.0  # |mean| from which the standard deviation is taken relative to it
_METRIC = "physical_invariance_score"
_READING = Reading(256)
_MORPHEUS_LAYOUT = """\
FOLDER/
  real-world-cropped/EXPERIMENT/VIDEO/
    cropped_video.mp4
    info.json
    frames_for_tracking/*.jpg      not needed here"""


def _experiments(folder: Path) -> list[Entry]:
    places = [(path.parent.name, path) for path in sorted(folder.glob("real-world-cropped/*/*")) if path.is_dir()]
    return [
        Entry(f"{kind}/{place.name}", kind, kind, True, place / "cropped_video.mp4", (place / "info.json",))
        for kind, place in places
    ]


def _energy_of(context: BenchmarkContext, entry: Entry, model: Any) -> Iterator[Value]:
    """The invariance score of a model's future; none where the video has none or shows nothing in the context."""
    start, fps = context.evaluator.context_frames, context.shape.fps
    clip = context.around(context.clip(entry), start, round(MAX_PREDICTED_S * fps))
    video = as_video(clip.frames[0])
    scene = background_of(video)
    unit = _READING.size_px / video.shape[2]
    truth = track(video, 1, scene)

    def energy(place: ndarray) -> ndarray:
        return mechanical_energy(place[:, 0] * unit, truth[:, 0] * unit, fps)[start:]

    seen = np.flatnonzero(np.isfinite(energy(truth)))
    end = 0 if len(seen) == 0 else int(seen[-1]) + 1
    if end < _FEWEST or np.isnan(truth[:start]).all():
        return

    def kept(place: ndarray) -> float:
        window = min(end, max(_FEWEST, round(_WINDOW_S * fps)))
        return float(physical_invariance(energy(place)[None, None, :end], window)[0])

    value = kept(truth)
    if np.isnan(value):
        return
    if model is not None:
        future = torch.cat((clip.frames[:, :start], context.future(model, clip)), dim=1)
        place = track(as_video(future[0]), 1, scene, truth[:start])
        value = float(np.nan_to_num(kept(place)))
    yield context.value(model, entry, entry.property, _METRIC, "share", value)


def mechanical_energy(place: ndarray, truth: ndarray, fps: float) -> ndarray:
    """Per mass, of a path (time, 2) with y down: kinetic and, above the true video's lowest place, potential.

    Gravity is the regression of the true video's kinetic energy on its depth, over the frames that have both (a frame
    between two others has a velocity where it has no place itself). NaN where the path has no place, and throughout
    where no frame of the true video has both.
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


def physical_invariance(invariants: Float[ndarray, "clip invariant time"], window: int) -> PerClip:
    """Mean over invariants of the best window's 1 / (1 + std), in [0, 1]; 1 is best.

    std is relative where the window's mean is large. A window with a missing value does not count; NaN where
    an invariant has none without.
    """
    windows = np.lib.stride_tricks.sliding_window_view(invariants, window, axis=-1)
    score = 1.0 / (1.0 + windows.std(axis=-1) / np.maximum(np.abs(windows.mean(axis=-1)), LARGE_MEAN))
    best = np.where(np.isfinite(score), score, -np.inf).max(axis=-1)
    averaged: ndarray = np.where(np.isfinite(best), best, np.nan).mean(axis=-1)
    return averaged


def _left_out(values: Sequence[Value], entries: Sequence[Entry]) -> Iterator[str]:
    """A line for each video without a score."""
    scored = {value.identity for value in values}
    for entry in entries:
        if entry.identity not in scored:
            less = f"{_WINDOW_S:g} s on end after them (if it leaves the picture before, {_FEWEST} frames)"
            why = f"what moves is not found in the frames given, or not for {less}"
            yield f"morpheus: {entry.identity} has no score, of any model: in the true video {why}"


_ENERGY = ContinuationScore(_energy_of, (_METRIC,), notes=_left_out)
MORPHEUS = Benchmark(
    "morpheus", "Morpheus", "arXiv 2504.02918", _MORPHEUS_LAYOUT, _READING, _experiments, _ENERGY, version=2
)
