"""Ridge regression of one number from features, with the interval that left-out clips say it has."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

RIDGE_PENALTIES = 10.0 ** np.arange(-2, 5)  # of standardised features; leaving out one clip at a time chooses
NORMAL_90 = 1.645  # standard deviations on either side of the middle that hold 90% of a normal distribution


class RidgeReading(NamedTuple):
    """What a ridge reads of clips that it was not fitted to."""

    value: Float[ndarray, " clip"]
    deviation: float  # of the truth about it: the root mean square over fitted clips, each left out in turn


def ridge_reading(
    features: Float[ndarray, "fitted feature"],
    answers: Float[ndarray, " fitted"],
    asked: Float[ndarray, "clip feature"],
) -> RidgeReading:
    """The answers for `asked` of the ridge that is best for each fitted clip when it is left out.

    Leaving out is exact, by the hat matrix (Source: Golub, Heath & Wahba 1979, before they generalise it).
    """
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, np.inf)
    x, middle = (features - mean) / scale, answers.mean()
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    projected = u.T @ (answers - middle)
    best: tuple[float, Float[ndarray, " feature"]] | None = None
    for penalty in RIDGE_PENALTIES * len(x):
        shrunk = s**2 / (s**2 + penalty)
        hat = (u**2 * shrunk).sum(axis=1) + 1 / len(x)
        residual = (answers - middle - u @ (shrunk * projected)) / (1 - hat).clip(1e-3)
        error = float(np.sqrt(np.mean(residual**2)))
        if best is None or error < best[0]:
            best = error, vt.T @ (s / (s**2 + penalty) * projected)
    assert best is not None
    return RidgeReading(np.asarray((asked - mean) / scale @ best[1] + middle), best[0])


def r_squared(read: Float[ndarray, " clip"], true: Float[ndarray, " clip"]) -> float:
    """The share of the variance that is read: 1 for all of it, 0 for no better than the mean, below 0 for worse."""
    return float(1 - np.mean((read - true) ** 2) / np.var(true))


def concordance(read: Float[ndarray, " clip"], true: Float[ndarray, " clip"]) -> float:
    """The share of pairs of clips that are in the right order; a tie, or a clip that says nothing (NaN), is half."""
    first, second = np.triu_indices(len(true), 1)
    apart, truly = read[first] - read[second], true[first] - true[second]
    right = np.where(np.isnan(apart) | (apart == 0), 0.5, np.sign(apart) == np.sign(truly))
    return float(right[truly != 0].mean()) if (truly != 0).any() else float("nan")


def share_covered(reading: RidgeReading, true: Float[ndarray, " clip"]) -> float:
    """The share of clips whose truth lies within the reading's 90% interval."""
    return float(np.mean(np.abs(reading.value - true) <= NORMAL_90 * reading.deviation))


def bootstrapped(statistic: object, *columns: Float[ndarray, " clip"], draws: int = 200) -> tuple[float, float]:
    """The 95% interval of a statistic of clips, by drawing clips anew."""
    assert callable(statistic)
    random = np.random.default_rng(0)
    found = []
    for _ in range(draws):
        some = random.integers(len(columns[0]), size=len(columns[0]))
        found.append(statistic(*(column[some] for column in columns)))
    low, high = np.nanquantile(found, [0.025, 0.975])
    return float(low), float(high)
