"""Permanence: what is hidden is still there."""

from functools import partial

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from vidworld.core.clip import Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.metrics import PerClip, metric_of
from vidworld.metrics.velocity import as_array, is_whole, mean_where, positions, speed

KNOWS_NOTHING = 0.5214 * WORLD_SIZE
"""Mean distance of two random places in the picture: what the place of a missing object is penalised with.

Source: (2 + √2 + 5 ln(1 + √2)) / 15 in a unit square."""
_metric = partial(metric_of, "permanence", scenarios=("occlusion",))


@_metric("share", "Hidden objects that come back as themselves.", True, headline=True, bounds=(0.0, 1.0), ideal=1.0)
def reappearance(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Share of hidden objects that come back in their identity, in [0, 1].

    Counts the objects all of which were hidden and then all of which show within the horizon. Such a one has
    come back when, in at least half of those frames, it is found within two radii of where it is. NaN where
    no object comes back in truth.
    """
    back, error = _back(predicted, truth, start)
    radius = as_array(truth.radius)[:, None]
    frames, hits = np.sum(back, axis=1), np.sum(back & (error <= 2 * radius), axis=1)
    return mean_where(np.where(2 * hits >= frames, 1.0, 0.0), frames > 0)


@_metric("units", "How far from the truth they come back.", headline=True)
def reappearance_error(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Mean distance to the truth after it has come back, in units; what is missing could be anywhere."""
    back, error = _back(predicted, truth, start)
    return mean_where(np.where(np.isfinite(error), error, KNOWS_NOTHING), back)


@_metric("frames", "How long after the truth they come back.")
def reappearance_delay(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Mean of how many frames too early or late an object is on its path after it has come back.

    The part of the error along the true velocity, over the true step of a frame; at most the horizon, which
    is also the penalty for a missing object.
    """
    back, _ = _back(predicted, truth, start)
    predicted_position, true_position = positions(predicted, truth, start)
    velocity = as_array(truth.velocity)[:, start:]
    squared = np.maximum((velocity**2).sum(axis=-1), 1e-6)
    lag = ((true_position - predicted_position)[:, start:] * velocity).sum(axis=-1) / squared / dt_s
    horizon = float(back.shape[1])
    return mean_where(np.minimum(np.nan_to_num(np.abs(lag), nan=horizon), horizon), back)


@_metric(
    "objects", "Objects that appear from nowhere.", headline=True, bounds=(0.0, float("inf")),
    scenarios=("occlusion", "uniform", "parabola", "collision", "bounce", "billiards"),
)  # fmt: skip
def phantom_objects(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Objects a clip that appear from nowhere: found in a frame of the horizon in which there is none.

    Duplicates come as further objects of the predicted tracks, after those of the truth.
    """
    found = np.isfinite(as_array(predicted.position)).all(axis=-1)[:, start:]
    present = np.zeros_like(found)
    present[:, :, : truth.present.shape[2]] = truth.present.cpu().numpy()[:, start:]
    return np.asarray((found & ~present).any(axis=1).sum(axis=1).astype(np.float64))


def _back(predicted: Tracks, truth: Tracks, start: int) -> tuple[Bool[ndarray, "clip time object"], ndarray]:
    """Frames of the horizon in which what was hidden is whole again, and the distances to the truth."""
    predicted_position, true_position = positions(predicted, truth, start)
    hidden = truth.present.cpu().numpy() & (as_array(truth.visible) <= 0.0)
    was_hidden = np.logical_or.accumulate(hidden, axis=1)
    back = (is_whole(truth) & was_hidden)[:, start:]
    # What had come back before the horizon began, and stays, has not to come back any more.
    back &= hidden[:, start - 1 :].any(axis=1, keepdims=True)
    return back, speed(predicted_position - true_position)[:, start:]
