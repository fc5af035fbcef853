"""How good what a model says of its own uncertainty is: proper scores, coverage, readings against the truth.

Arrays in, arrays out. Samples come first: `sample` futures of one thing, of which `truth` is what happened.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

LEVELS_OF_COVERAGE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of a predictive distribution whose central regions are looked at."""


def crps(samples: Float[ndarray, "sample *case"], truth: Float[ndarray, "*case"]) -> Float[ndarray, "*case"]:
    """The continuous ranked probability score, in the unit of the values; one sample is a point.

    E|X - y| - E|X - X'| / 2, the second over pairs of different samples, so that few score on average as many do.
    Source: Gneiting & Raftery (2007), eq. 21; Ferro (2014), fair scores.
    """
    return vector_energy_score(samples[..., None], truth[..., None])


def vector_energy_score(
    samples: Float[ndarray, "sample *case dim"], truth: Float[ndarray, "*case dim"]
) -> Float[ndarray, "*case"]:
    """The same for vectors, by their distances. Source: Gneiting & Raftery (2007), eq. 22."""
    count = len(samples)
    wrong = _norm(samples - truth).mean(axis=0)
    apart = np.zeros_like(wrong)
    for i in range(count - 1):
        apart += _norm(samples[i + 1 :] - samples[i]).sum(axis=0)
    score: ndarray = wrong - apart / max(count * (count - 1), 1)
    return score


def _norm(vector: ndarray) -> ndarray:
    length: ndarray = np.sqrt(np.square(vector).sum(axis=-1))
    return length


def central_share(
    samples: Float[ndarray, "sample *case"], truth: Float[ndarray, "*case"], level: float
) -> Float[ndarray, "*case"]:
    """Whether the truth lies in the samples' central region of this level: 0, 1, or a share where it is undecided.

    By the truth's rank among the samples. Between two samples, and where some equal it, its rank is taken as evenly
    spread over what is possible, so that any number of samples of the true distribution, which need not be continuous,
    covers `level` of the truths on average.
    """
    least, equal = (samples < truth).sum(axis=0), (samples == truth).sum(axis=0)
    low, high = least / (len(samples) + 1), (least + equal + 1) / (len(samples) + 1)
    inside = np.minimum(high, (1 + level) / 2) - np.maximum(low, (1 - level) / 2)
    share: ndarray = inside.clip(0) / (high - low)
    return share


def calibration_error(coverage: Float[ndarray, " level"]) -> float:
    """Mean distance of what central regions cover from what they should: 0 calibrated, at most 0.5."""
    return float(np.abs(np.asarray(coverage) - np.asarray(LEVELS_OF_COVERAGE)).mean())


class ReadingLine(NamedTuple):
    """How a reading follows the truth."""

    slope: float  # 1: read as it is; 0: the reading does not follow
    r2: float  # share of the reading's variance that the line explains; 0 where the reading does not vary


def line_of(read: Float[ndarray, " case"], true: Float[ndarray, " case"]) -> ReadingLine:
    """Least squares of the reading over the truth. NaN where the truth does not vary."""
    x, y = true - true.mean(), read - read.mean()
    varies, answers = float(x @ x), float(y @ y)
    if not varies > 1e-12 * float(true @ true):
        return ReadingLine(np.nan, np.nan)
    slope = float(x @ y) / varies
    r2 = slope * float(x @ y) / answers if answers > 1e-24 else 0.0
    return ReadingLine(slope, r2)


def separation(low: Float[ndarray, " known"], high: Float[ndarray, " unknown"]) -> float:
    """AUROC: how often one of the second exceeds one of the first, ties counting half. 1 all, 0.5 chance."""
    ordered = np.sort(low)
    below, up_to = np.searchsorted(ordered, high, "left"), np.searchsorted(ordered, high, "right")
    return float((below + up_to).mean() / (2 * len(low)))


def selective_errors(
    error: Float[ndarray, " case"], uncertainty: Float[ndarray, " case"], shares: Sequence[float]
) -> Float[ndarray, " share"]:
    """Mean error of the share of cases that are kept, the least uncertain ones; ties keep their order."""
    ordered = error[np.argsort(uncertainty, kind="stable")]
    return np.array([ordered[: max(1, round(share * len(ordered)))].mean() for share in shares])


def excess_of_selection(error: Float[ndarray, " case"], uncertainty: Float[ndarray, " case"]) -> float:
    """Where selecting by this uncertainty lies: 0 as by the error itself, 1 as by nothing.

    Area below the selective errors at every share, less that of the best order, over the same of the mean error.
    """
    shares = [(i + 1) / len(error) for i in range(len(error))]
    ours, best = (selective_errors(error, by, shares).mean() for by in (uncertainty, error))
    span = error.mean() - best
    return float((ours - best) / span) if span > 0 else float("nan")
