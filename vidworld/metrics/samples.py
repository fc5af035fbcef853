"""Samples of the future: how well they say what may happen, by a proper score, and what is measured beside it.

All are distances of places in units, averaged over the frames of the horizon and the objects that are in the open in
truth. A model that predicts one future is a point: each of its three errors is the plain one, and its spread is 0. A
sample that lacks an object is as wrong as a place that knows nothing, and has no share in the spread: to vanish pays
neither as an error nor as doubt.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from vidworld.core.clip import Tracks
from vidworld.metrics import PerClip, metric_of
from vidworld.metrics.permanence import KNOWS_NOTHING
from vidworld.metrics.velocity import is_whole, mean_where, positions, speed

# `bounce` has the verdict: in two thirds of its clips the context leaves the restitution open.
SCENARIOS_OF_SAMPLES = ("bounce", "collision", "uniform", "parabola", "billiards", "occlusion")
_metric = partial(metric_of, "prediction", "units", takes="samples", scenarios=SCENARIOS_OF_SAMPLES)


class _Sampled(NamedTuple):
    """Where the samples have the objects in the frames of the horizon."""

    places: Float[ndarray, "sample clip time object 2"]  # zero where the object is not found
    found: Bool[ndarray, "sample clip time object"]
    error: Float[ndarray, "sample clip time object"]  # distance from the truth; penalised where it is not found
    counted: Bool[ndarray, "clip time object"]  # the truth is in the open

    @property
    def apart(self) -> Float[ndarray, "clip time object"]:
        """Sum over all pairs of samples that have the object, in both orders, of how far apart they have it."""
        total = np.zeros(self.error.shape[1:])
        for i, place in enumerate(self.places):
            both = self.found[i] & self.found[i + 1 :]
            total += 2 * np.where(both, speed(self.places[i + 1 :] - place), 0.0).sum(axis=0)
        return total


def _sampled(samples: Sequence[Tracks], truth: Tracks, start: int) -> _Sampled:
    _, true = positions(truth, truth, start)
    places = np.stack([positions(sample, truth, start)[0][:, start:] for sample in samples])
    found = np.isfinite(places).all(axis=-1)
    error = np.where(found, speed(places - true[:, start:]), KNOWS_NOTHING)
    return _Sampled(np.where(found[..., None], places, 0.0), found, error, is_whole(truth)[:, start:])


@_metric(
    "How far the places of the samples lie from the truth, less half of how far they lie from each other: neither "
    "hedging nor confidence is rewarded by itself. One future is a point, and scores its plain error.",
    headline=True,
)
def energy_score(samples: Sequence[Tracks], truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Mean over frames and objects of E|X - y| - E|X - X'| / 2, in units; least, on average, for the true distribution.

    X, X' are two samples' places of an object, y its true one. The second mean is over pairs of different samples, so
    that few samples score on average as many do; with good ones a clip's score may therefore be negative.
    Source: Gneiting & Raftery (2007), section 4.3; Ferro (2014), "Fair scores for ensemble forecasts".
    """
    found, count = _sampled(samples, truth, start), len(samples)
    pairs = max(count * (count - 1), 1)  # of one sample there is none
    return mean_where(found.error.mean(axis=0) - found.apart / pairs / 2, found.counted)


@_metric("How far the mean of the samples' places lies from the truth: it rewards hedging.")
def error_of_mean(samples: Sequence[Tracks], truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Mean over frames and objects of the distance from the truth of the mean place, in units."""
    found = _sampled(samples, truth, start)
    count = found.found.sum(axis=0)
    _, true = positions(truth, truth, start)
    mean = found.places.sum(axis=0) / np.maximum(count, 1)[..., None]
    share = count / len(samples)
    error = np.where(count > 0, share * speed(mean - true[:, start:]), 0.0) + (1 - share) * KNOWS_NOTHING
    return mean_where(error, found.counted)


@_metric("Error of the best of the samples: it rewards many different ones.")
def best_of_n_error(samples: Sequence[Tracks], truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Mean over frames and objects of the distance from the truth, of the sample of which that is least, in units."""
    found = _sampled(samples, truth, start)
    best: PerClip = np.stack([mean_where(error, found.counted) for error in found.error]).min(axis=0)
    return best


@_metric("Spread of the samples about their mean, of the objects that were found; the aim is the oracle's.", None)
def determinism_spread(samples: Sequence[Tracks], truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Mean over frames and objects of the samples' standard deviation of place, in units: 0 where samples are equal.

    An object counts in frames in which two samples or more have it, with the deviation of these alone. NaN where none
    does, as where there is one sample: it says nothing of chance.
    """
    found = _sampled(samples, truth, start)
    count = found.found.sum(axis=0)
    mean = found.places.sum(axis=0) / np.maximum(count, 1)[..., None]
    squared = np.where(found.found, speed(found.places - mean) ** 2, 0.0).sum(axis=0)
    return mean_where(np.sqrt(squared / np.maximum(count - 1, 1)), found.counted & (count > 1))
