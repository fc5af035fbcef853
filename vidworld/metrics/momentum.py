"""Momentum and energy: what no outside force takes away stays.

Both compare with the true context, so a model that freezes has lost everything it had. They count the frames up to the
first that an outside force reaches (a wall, a floor; gravity from the first, so clips with gravity are NaN throughout),
as the exact velocities of the truth tell. An object is a part of the sum only when all are in the open.
"""

from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from vidworld.core.clip import Tracks
from vidworld.metrics import PerClip, metric_of
from vidworld.metrics.velocity import Motion, as_array, mean_where, measure_motion, speed

UNCHANGED = 1e-3  # share of the whole up to which a true sum counts as unchanged (tracks are float32)
_metric = partial(metric_of, "momentum", scenarios=("uniform", "collision", "billiards", "occlusion"))


@_metric("ratio", "Change of total momentum, relative to what was there.", headline=True)
def momentum_drift(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Mean over frames of |P̂(t) - P(0)| / Σ m|v(0)|, with P(0) from the last context frame.

    A missing object is penalised with its mass times the worst velocity error, and one that stands still although
    the truth moves its whole true momentum, beside the drift of the others: otherwise the momenta of two
    vanished or frozen discs, met head-on, would cancel.
    """
    motion = measure_motion(predicted, truth, dt_s, start)
    mass = as_array(truth.mass)
    velocity = _true_velocity(truth, start)
    total = (mass[:, None, :, None] * velocity).sum(axis=2)  # (clip, time, 2)
    scale = np.sum(mass * speed(velocity[:, 0]), axis=-1)
    counted = _closed(motion, truth, start, speed(total - total[:, :1]), scale)

    lost = motion.missing | motion.still
    used = np.where(lost[..., None], motion.true, motion.predicted)
    momentum = (mass[:, None, :, None] * np.where(motion.counted[..., None], used, 0.0)).sum(axis=2)
    charge = np.where(motion.missing, motion.worst, np.where(motion.still, speed(motion.true), 0.0))
    drift = speed(momentum - total[:, :1]) + np.nansum(mass[:, None] * charge, axis=-1)
    return mean_where(drift / np.where(scale > 0, scale, np.nan)[:, None], counted)


@_metric("ratio", "Change of total energy, relative to what was there.")
def energy_drift(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Mean over frames of |Ê(t) - E(0)| / E(0), the kinetic energy; frames after a loss do not count.

    A missing object is penalised with the energy it would have at the clip's top speed. Steps across a true contact
    do not count: a velocity from two positions has no meaning there.
    """
    motion = measure_motion(predicted, truth, dt_s, start)
    mass = as_array(truth.mass)
    velocity = _true_velocity(truth, start)
    energy = np.sum(0.5 * mass[:, None] * speed(velocity) ** 2, axis=-1)  # (clip, time)
    counted = _closed(motion, truth, start, np.abs(energy - energy[:, :1]), energy[:, 0])
    step = np.where(motion.counted, speed(np.diff(velocity, axis=1)), 0.0).max(axis=-1)
    counted &= step <= UNCHANGED * motion.top_speed[:, None]

    used = np.where(motion.missing, speed(motion.true), speed(motion.predicted))
    predicted_energy = np.sum(0.5 * mass[:, None] * np.where(motion.counted, used, 0.0) ** 2, axis=-1)
    charge = np.sum(0.5 * mass[:, None] * motion.missing, axis=-1) * motion.top_speed[:, None] ** 2
    drift = np.abs(predicted_energy - energy[:, :1]) + charge
    return mean_where(drift / np.where(energy[:, :1] > 0, energy[:, :1], np.nan), counted)


def _true_velocity(truth: Tracks, start: int) -> Float[ndarray, "clip time object 2"]:
    """Exact velocities from the last context frame on; 0 for what is not there."""
    velocity = as_array(truth.velocity)[:, start - 1 :]
    present = truth.present.cpu().numpy()[:, start - 1 :]
    return np.where(present[..., None], np.nan_to_num(velocity), 0.0)


def _closed(
    motion: Motion, truth: Tracks, start: int, change: Float[ndarray, "clip step"], scale: Float[ndarray, " clip"]
) -> Bool[ndarray, "clip time"]:
    """Horizon frames before the first outside force in which every object is in the open."""
    unchanged = np.logical_and.accumulate(change <= UNCHANGED * scale[:, None], axis=1)[:, 1:]
    present = truth.present.cpu().numpy()[:, start:]
    in_the_open = (motion.counted | ~present).all(axis=-1) & present.any(axis=-1)
    return np.asarray(unchanged & in_the_open & (scale > 0)[:, None])
