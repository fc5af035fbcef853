"""IntPhys' accuracies of surprise, relative and absolute, as V-JEPA's evaluation computes them.

Source: Riochet et al. 2018 (arXiv 1803.07616); Garrido et al. 2025, "Intuitive physics understanding emerges
from self-supervised pretraining on natural videos" (arXiv 2502.11831) and its code.

Quirks, kept: a tie is wrong; clips are paired by scene alone, so that an emptier future surprises less
whatever happened; and the threshold of the absolute accuracy is taken from the possible clips that it is then
tested on. Not kept: the context length is no choice of this module (there it is chosen on the test set).
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vidworld.metrics.metric import PerClip
from vidworld.metrics.surprise import Aggregation

ByWindow = Float[ndarray, "clip window"]
THRESHOLD_PERCENTILE = 90.0


def clip_score(surprise: ByWindow, aggregation: Aggregation = "mean") -> PerClip:
    """One surprise a clip: the mean or the maximum over its windows."""
    scores: ndarray = np.nanmean(surprise, axis=1) if aggregation == "mean" else np.nanmax(surprise, axis=1)
    return scores


def relative_accuracy(
    possible: Float[ndarray, "pair window"],
    impossible: Float[ndarray, "pair window"],
    aggregation: Aggregation = "mean",
) -> PerClip:
    """1 for each pair whose possible clip surprises less than its impossible one; a tie is 0."""
    right: ndarray = clip_score(possible, aggregation) < clip_score(impossible, aggregation)
    return np.where(right, 1.0, 0.0)


def absolute_accuracy(
    possible: Float[ndarray, "possible window"], impossible: Float[ndarray, "impossible window"]
) -> PerClip:
    """1 for each clip on its side of the threshold, possible clips first.

    The threshold is the 90th percentile of the possible clips' maxima over windows.
    """
    low, high = clip_score(possible, "max"), clip_score(impossible, "max")
    threshold = np.percentile(low, THRESHOLD_PERCENTILE)
    return np.concatenate([np.where(low <= threshold, 1.0, 0.0), np.where(high > threshold, 1.0, 0.0)])


def auroc(
    possible: Float[ndarray, "possible window"],
    impossible: Float[ndarray, "impossible window"],
    aggregation: Aggregation = "mean",
) -> float:
    """The chance that an impossible clip surprises more than a possible one, a tie one half."""
    low, high = clip_score(possible, aggregation), clip_score(impossible, aggregation)
    difference = high[:, None] - low[None]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())
