"""Uniform motion, momentum and energy; and how motion is measured, which the other laws share.

Three conventions hold for every metric of tracks:

- Tracks hold a whole clip. Frames before `start` are the context, which a model was shown: there the truth
  counts for both sides, so that a jump between the context and the first predicted frame shows.
- Only frames in which the truth is whole and in the open count. A readout may know of nothing else.
- What is missing is penalised: a predicted object that is not found counts as wrong by `worst`, the largest
  error of any prediction no faster than the fastest thing in the clip. To vanish never pays.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from vidworld.core.clip import Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.errors import UserError
from vidworld.metrics import PerClip, metric_of

WHOLE = 0.999  # visible share from which a disc counts as whole
SLOWEST_TOP_SPEED = 1.0  # units a second: a clip in which nothing moves penalises the missing as if it were its fastest
STILL = 0.1  # share of the true speed under which an object counts as standing still
ANYWHERE = WORLD_SIZE / np.sqrt(6)
"""Deviation of a place that is known only to be in the picture: what a missing object is penalised with."""
MIN_DISPLACEMENT = 0.5  # units: with less true displacement in a clip than this, a share of it says nothing
UNCHANGED = 1e-3  # share of the whole up to which a true sum counts as unchanged (tracks are float32)
VELOCITY_SCENARIOS = ("uniform", "parabola", "collision", "bounce", "billiards", "occlusion")
_metric = partial(metric_of, "uniform motion", scenarios=VELOCITY_SCENARIOS)
_of_momentum = partial(metric_of, "momentum", scenarios=("uniform", "collision", "billiards", "occlusion"))


@dataclass(frozen=True)
class Motion:
    """Velocities over the frames from `start` on, each from the step that leads to its frame."""

    predicted: Float[ndarray, "clip time object 2"]  # NaN where missing; only to be read where `counted`
    true: Float[ndarray, "clip time object 2"]
    counted: Bool[ndarray, "clip time object"]  # the truth is whole in this frame and the one before
    missing: Bool[ndarray, "clip time object"]  # counted, but not found in one of the two frames
    top_speed: Float[ndarray, " clip"]  # of the fastest true object over the counted frames

    @property
    def worst(self) -> Float[ndarray, "clip time object"]:
        """The largest velocity error of a prediction that keeps to the clip's top speed."""
        return np.asarray(speed(self.true) + self.top_speed[:, None, None])

    @property
    def still(self) -> Bool[ndarray, "clip time object"]:
        """Found, but standing still although the truth moves."""
        return np.asarray(self.counted & ~self.missing & (speed(self.predicted) < STILL * speed(self.true)))


def measure_motion(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> Motion:
    """The motion of both sides over the horizon.

    Objects of the prediction beyond those of the truth are left out (`phantom_objects` counts them).

    Raises: UserError where the shapes do not fit or there is no context frame.
    """
    predicted_position, true_position = positions(predicted, truth, start)
    predicted_velocity = np.diff(predicted_position[:, start - 1 :], axis=1) / dt_s
    true_velocity = np.diff(true_position[:, start - 1 :], axis=1) / dt_s
    whole = is_whole(truth)[:, start - 1 :]
    counted = whole[:, 1:] & whole[:, :-1]
    fastest = np.where(counted, speed(np.nan_to_num(true_velocity)), 0.0).max(axis=(1, 2))
    missing = counted & ~np.isfinite(predicted_velocity).all(-1)
    return Motion(predicted_velocity, true_velocity, counted, missing, np.maximum(fastest, SLOWEST_TOP_SPEED))


def positions(
    predicted: Tracks, truth: Tracks, start: int
) -> tuple[Float[ndarray, "clip time object 2"], Float[ndarray, "clip time object 2"]]:
    """Predicted and true positions of the truth's objects; the prediction's context is the truth's."""
    true_position = as_array(truth.position)
    predicted_position = as_array(predicted.position)
    clips, frames, objects, _ = true_position.shape
    if predicted_position.shape[:2] != (clips, frames) or predicted_position.shape[2] < objects:
        raise UserError(
            f"predicted tracks {predicted_position.shape} do not fit the true ones {true_position.shape}: "
            "they need the same clips and frames (context included), and at least the same objects"
        )
    if not 1 <= start < frames:
        raise UserError(f"start={start} must leave a context frame and a horizon in {frames} frames")
    predicted_position = predicted_position[:, :, :objects].copy()
    predicted_position[:, :start] = true_position[:, :start]
    return predicted_position, true_position


def is_whole(truth: Tracks) -> Bool[ndarray, "clip time object"]:
    """Where an object is there, and all of it shows."""
    return np.asarray(truth.present.cpu().numpy() & (as_array(truth.visible) >= WHOLE))


def speed(velocity: Float[ndarray, "*axes 2"]) -> Float[ndarray, "*axes"]:
    """Length of each vector."""
    return np.asarray(np.linalg.norm(velocity, axis=-1))


def mean_where(values: Float[ndarray, "clip *axes"], where: Bool[ndarray, "clip *axes"]) -> Float[ndarray, " clip"]:
    """Mean a clip of the values that count; NaN where none does."""
    axes = tuple(range(1, values.ndim))
    count = where.sum(axis=axes)
    total = np.where(where, values, 0.0).sum(axis=axes)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def as_array(tensor: Tensor) -> ndarray:
    """The values in float64, on the processor."""
    return np.asarray(tensor.detach().cpu().double().numpy())


@_metric("units/s", "Mean distance between predicted and true velocity.", headline=True)
def velocity_error(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Mean over frames and objects of |v̂ - v|, in units a second; missing ones penalised in full."""
    motion = measure_motion(predicted, truth, dt_s, start)
    error = np.where(motion.missing, motion.worst, speed(motion.predicted - motion.true))
    return mean_where(error, motion.counted)


@_metric("ratio", "Predicted over true path length; 1 is right, 0 is frozen.", None, ideal=1.0)
def motion_ratio(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Predicted over true path length: 0 for frozen or empty, 1 true; NaN where nothing moves."""
    motion = measure_motion(predicted, truth, dt_s, start)
    found = motion.counted & ~motion.missing
    path = np.where(found, speed(motion.predicted), 0.0).sum(axis=(1, 2)) * dt_s
    true_path = np.where(motion.counted, speed(motion.true), 0.0).sum(axis=(1, 2)) * dt_s
    return np.where(true_path > MIN_DISPLACEMENT, path / np.maximum(true_path, MIN_DISPLACEMENT), np.nan)


# --- momentum and energy: what no outside force takes away stays ---
#
# Both compare with the true context, so a model that freezes has lost everything it had. They count the frames up to
# the first that an outside force reaches (a wall, a floor; gravity from the first, so clips with gravity are NaN
# throughout), as the exact velocities of the truth tell. An object is a part of the sum only when all are in the open.


@_of_momentum("ratio", "Change of total momentum, relative to what was there.", headline=True)
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


@_of_momentum("ratio", "Change of total energy, relative to what was there.")
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
