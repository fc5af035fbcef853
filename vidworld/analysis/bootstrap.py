"""Intervals of what no formula gives one: percentiles of a statistic over clips that are drawn again."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import ndarray


class Resampled(NamedTuple):
    """A number, and where it lies in 95% of the resamplings."""

    value: float
    low: float
    high: float


def middle_95(drawn: ndarray | list[float]) -> tuple[float, float]:
    """Between which values 95% of those drawn lie; what is NaN does not count, and of nothing it is NaN."""
    if np.isnan(drawn).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def resampled(statistic: Callable[..., float], *groups: ndarray, draws: int) -> Resampled:
    """The statistic of these groups of clips (the last axis), with its interval: clips of each are drawn again."""
    generator, found = np.random.default_rng(0), []
    for _ in range(draws):
        found.append(statistic(*(g[..., generator.integers(g.shape[-1], size=g.shape[-1])] for g in groups)))
    return Resampled(statistic(*groups), *middle_95(found))
