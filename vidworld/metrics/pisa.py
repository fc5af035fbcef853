"""PISA's three numbers of a dropped object, as published: from masks of one object, clip by clip.

Source: Li et al. 2025, "PISA experiments" (arXiv 2503.09595) and its code. Lower is better for the first two,
higher for the third.

Quirks, kept: its "L2" is the mean of |Δ| over coordinates over √2 times the size of the picture, and so no
L2; frames in which either side lacks the object are skipped, so that an object which vanishes costs nothing
(NaN where that leaves no frame). vidworld's own errors charge it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from numpy import ndarray
from scipy.spatial import cKDTree

from vidworld.metrics.metric import PerClip

Masks = Bool[ndarray, "clip time row column"]


class Pisa(NamedTuple):
    """One value a clip each."""

    l2: PerClip
    """Distance of the masks' centroids, in shares of the picture."""
    chamfer: PerClip
    """Both mean distances from a mask's pixels to the other's nearest, added; in shares of the picture."""
    iou: PerClip
    """Overlap of the masks."""


def pisa(predicted: Masks, truth: Masks) -> Pisa:
    """The three numbers, means over the frames in which both sides have the object.

    Source: the size is the picture's side; PISA's are square. Of others the width counts.
    """
    values = np.full((3, len(truth)), np.nan)
    size = float(truth.shape[-1])
    for clip in range(len(truth)):
        both = predicted[clip].any(axis=(1, 2)) & truth[clip].any(axis=(1, 2))
        frames = [_frame(predicted[clip, t], truth[clip, t], size) for t in np.flatnonzero(both)]
        if frames:
            values[:, clip] = np.mean(frames, axis=0)
    return Pisa(*values)


def _frame(predicted: ndarray, truth: ndarray, size: float) -> tuple[float, float, float]:
    """The three numbers of one frame's (row, column) masks, of which neither is empty."""
    ours, theirs = np.argwhere(predicted).astype(float), np.argwhere(truth).astype(float)
    l2 = float(np.abs(ours.mean(axis=0) - theirs.mean(axis=0)).mean()) / (np.sqrt(2) * size)
    there, back = cKDTree(theirs).query(ours)[0].mean(), cKDTree(ours).query(theirs)[0].mean()
    overlap = (predicted & truth).sum() / (predicted | truth).sum()
    return l2, float(there + back) / (np.sqrt(2) * size), float(overlap)
