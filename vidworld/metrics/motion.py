"""How predicted and true objects move, measured the same way from their positions: what the laws share.

Three conventions hold for every metric of tracks:

- Tracks hold a whole clip. Frames before `start` are the context, which a model was shown: there the truth
  counts for both sides, so that a jump between the context and the first predicted frame shows.
- Only frames in which the truth is whole and in the open count. A readout may know of nothing else.
- What is missing is penalised: a predicted object that is not found counts as wrong by `worst`, the largest
  error of any prediction no faster than the fastest thing in the clip. To vanish never pays.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from vidworld.core.clip import Tracks
from vidworld.core.errors import UserError

WHOLE = 0.999
"""Visible share from which a disc counts as whole."""
SLOWEST_TOP_SPEED = 1.0
"""Units a second: a clip in which nothing moves penalises the missing as if this were its fastest."""
STILL = 0.1
"""Share of the true speed under which an object counts as standing still."""


@dataclass(frozen=True)
class Motion:
    """Velocities over the frames from `start` on, each from the step that leads to its frame."""

    predicted: Float[ndarray, "clip time object 2"]
    """NaN where missing; only to be read where `counted`."""
    true: Float[ndarray, "clip time object 2"]
    counted: Bool[ndarray, "clip time object"]
    """The truth is whole in this frame and the one before."""
    missing: Bool[ndarray, "clip time object"]
    """Counted, but not found in one of the two frames."""
    top_speed: Float[ndarray, " clip"]
    """Fastest true object over the counted frames."""

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
