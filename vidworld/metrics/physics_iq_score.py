"""Physics-IQ's score of a model: its four measures against how much two takes of one scene differ.

Source: Motamed et al. 2025 (arXiv 2501.09038), the score of its leaderboard; and its verified form (arXiv 2606.18943),
which is an average over films. Both are 100 where a model's films differ from the truth as two takes do.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vidworld.metrics.metric import PerClip

Measures = Float[ndarray, "film 4"]
"""Spatial, spatiotemporal and weighted spatial IoU, and MSE."""


class PhysicsIqScore(NamedTuple):
    """Of one model, in percent."""

    original: float
    """100 (mean over the three IoU of model / takes - (MSE - takes' MSE)), of data-set means, held to 0 to 100."""
    verified: PerClip
    """A film's 100 times the mean of model / takes for each IoU and takes / model for the MSE, each held to 0 to 1."""


def physics_iq_score(model: Measures, takes: Measures) -> PhysicsIqScore:
    """The scores of films, given the same measures between the two takes of each film's scene and side.

    Where the takes agree in nothing (an IoU of 0), every model has 1: nothing less could be asked of it.
    """
    mean, among = model.mean(axis=0), takes.mean(axis=0)
    original = np.mean(_ratio(mean[:3], among[:3])) - (mean[3] - among[3])
    parts = np.concatenate([_ratio(model[:, :3], takes[:, :3]), _ratio(takes[:, 3:], model[:, 3:])], axis=1)
    return PhysicsIqScore(100.0 * float(np.clip(original, 0, 1)), 100.0 * np.clip(parts, 0, 1).mean(axis=1))


def _ratio(above: ndarray, below: ndarray) -> ndarray:
    """above / below, 1 where below is 0."""
    ratio: ndarray = np.where(below > 0, above / np.where(below > 0, below, 1.0), 1.0)
    return ratio
