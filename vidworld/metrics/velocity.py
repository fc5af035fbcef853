"""Uniform motion: what moves goes on moving."""

from collections.abc import Sequence

import numpy as np

from vidworld.core.clip import Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.errors import UserError
from vidworld.metrics import Metric, PerClip
from vidworld.metrics.motion import STILL, is_whole, mean_where, measure_motion, positions, speed

VELOCITY_SCENARIOS = ("uniform", "parabola", "collision", "bounce", "billiards", "occlusion")
ANYWHERE = WORLD_SIZE / np.sqrt(6)
"""Deviation of a place that is known only to be in the picture: what a missing sample is penalised with."""
MIN_DISPLACEMENT = 0.5
"""Units: with less true displacement in a clip than this, a share of it says nothing."""


def velocity_error(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Mean over frames and objects of |v̂ - v|, in units a second; missing ones penalised in full."""
    motion = measure_motion(predicted, truth, dt_s, start)
    error = np.where(motion.missing, motion.worst, speed(motion.predicted - motion.true))
    return mean_where(error, motion.counted)


def motion_ratio(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Predicted over true path length: 0 for frozen or empty, 1 true; NaN where nothing moves."""
    motion = measure_motion(predicted, truth, dt_s, start)
    found = motion.counted & ~motion.missing
    path = np.where(found, speed(motion.predicted), 0.0).sum(axis=(1, 2)) * dt_s
    true_path = np.where(motion.counted, speed(motion.true), 0.0).sum(axis=(1, 2)) * dt_s
    return np.where(true_path > MIN_DISPLACEMENT, path / np.maximum(true_path, MIN_DISPLACEMENT), np.nan)


def determinism_spread(samples: Sequence[Tracks], truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Spread of the samples' final positions over the true displacement: what a sampler gambles.

    Spread: root mean square distance from the samples' mean, summed over objects, over the sum of the true
    displacements since the last context frame; objects that are in the open at the end count. A sample that
    lacks an object, or in which it never left where it was, counts as one that could be anywhere. NaN where
    less than half a unit is covered.

    Raises: UserError for fewer than two samples.
    """
    if len(samples) < 2:
        raise UserError(f"determinism_spread needs two samples or more, not {len(samples)}")
    _, true_position = positions(truth, truth, start)
    moved = true_position[:, -1] - true_position[:, start - 1]  # (clip, object, 2)
    counted = is_whole(truth)[:, -1] & np.isfinite(moved).all(axis=-1)
    ends = np.stack([positions(sample, truth, start)[0][:, -1] for sample in samples])
    displaced = speed(ends - true_position[:, start - 1])
    lost = ~np.isfinite(displaced) | ((displaced < STILL * speed(moved)) & (speed(moved) > 0))
    ends = np.where(lost[..., None], np.nan, ends)
    found = (~lost).sum(axis=0)
    mean = np.nansum(ends, axis=0) / np.maximum(found, 1)[..., None]
    squared = np.where(lost, ANYWHERE**2, speed(ends - mean) ** 2)
    spread = np.where(counted, np.sqrt(squared.mean(axis=0)), 0.0).sum(axis=1)
    displacement = np.where(counted, speed(moved), 0.0).sum(axis=1)
    enough = displacement > MIN_DISPLACEMENT
    return np.where(enough, spread / np.maximum(displacement, MIN_DISPLACEMENT), np.nan)


VELOCITY_ERROR = Metric(
    "velocity_error", "uniform motion", "units/s", False, velocity_error, VELOCITY_SCENARIOS, headline=True,
    description="Mean distance between predicted and true velocity.",
)  # fmt: skip
MOTION_RATIO = Metric(
    "motion_ratio", "uniform motion", "ratio", None, motion_ratio, VELOCITY_SCENARIOS, ideal=1.0,
    description="Predicted over true path length; 1 is right, 0 is frozen.",
)  # fmt: skip
DETERMINISM_SPREAD = Metric(
    "determinism_spread", "uniform motion", "ratio", False, determinism_spread, VELOCITY_SCENARIOS, "samples",
    description="Spread of the samples over the true displacement; a disc that is lost or frozen counts as "
    "one that could be anywhere, so that a model without chance may have some.",
)  # fmt: skip
