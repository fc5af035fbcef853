"""Morpheus' physical invariance of a trajectory, as published.

Source: Zhang et al. 2025, "Morpheus" (arXiv 2504.02918).

Quirks, kept: for each invariant only the best window counts, and an object that stands still (or a window in
which nothing happens) conserves everything and scores 1. vidworld's own drifts compare with the true context
over every frame instead.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vidworld.metrics.metric import PerClip

LARGE_MEAN = 1.0
"""|mean| from which the standard deviation is taken relative to it."""


def physical_invariance(invariants: Float[ndarray, "clip invariant time"], window: int) -> PerClip:
    """Mean over invariants of the best window's 1 / (1 + std), in [0, 1]; 1 is best.

    std is relative where the window's mean is large. A window with a missing value does not count; NaN where
    an invariant has none without.
    """
    windows = np.lib.stride_tricks.sliding_window_view(invariants, window, axis=-1)
    mean, deviation = np.abs(windows.mean(axis=-1)), windows.std(axis=-1)
    relative = np.where(mean > LARGE_MEAN, deviation / np.maximum(mean, LARGE_MEAN), deviation)
    score = 1.0 / (1.0 + relative)
    best = np.where(np.isfinite(score), score, -np.inf).max(axis=-1)
    averaged: ndarray = np.where(np.isfinite(best), best, np.nan).mean(axis=-1)
    return averaged
