"""Families of models whose trainings scatter, and studies of them: what statistics over runs are tried on."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import ndarray
from numpy.random import Generator
from scipy.special import ndtri

SIXTEEN = (.54, .71, .65, .76, .82, .88, .91, .95, .78, .80, .69, .84, .85, .85, .94, .84)  # fmt: skip
"""Permanence of sixteen trainings of the diffusion model (docs/log/2026-11.md, 2026-11-23)."""


class Family(NamedTuple):
    """How the accuracy, or the error, of a family's trainings is distributed."""

    draw: Callable[[Generator, int], ndarray]  # of so many trainings
    mean: float


FAMILIES = {
    "uniform": Family(lambda rng, n: rng.uniform(0.54, 0.95, n), 0.745),
    "exponential": Family(lambda rng, n: 1 - np.minimum(rng.exponential(0.1, n), 1), 0.9 + 0.1 * np.exp(-10)),
    "beta": Family(lambda rng, n: rng.beta(5, 1, n), 5 / 6),
    "two-humped": Family(lambda rng, n: np.where(rng.random(n) < 0.5, 0.55, 0.90), 0.725),
    "sixteen trainings": Family(lambda rng, n: rng.choice(SIXTEEN, n), float(np.mean(SIXTEEN))),
}
STEADY = Family(lambda rng, n: np.full(n, 0.8), 0.8)


def accuracies(rng: Generator, families: list[Family], runs: int, quads: int = 200) -> list[ndarray]:
    """Accuracies (run, quad) of a study of these families on quads in common, hard ones hard for all.

    Each of a quad's two futures is right where a normal number, half of whose variance is the quad's, lies below
    what gives the training's accuracy.
    """
    shared, found = rng.normal(size=(1, quads, 2)), []
    for family in families:
        limit = ndtri(family.draw(rng, runs).clip(1e-9, 1 - 1e-9))[:, None, None]
        found.append((np.sqrt(0.5) * (shared + rng.normal(size=(runs, quads, 2))) < limit).mean(axis=2))
    return found


def errors(rng: Generator, families: list[Family], runs: int, clips: int = 100) -> list[ndarray]:
    """Skewed errors (run, clip) of mean 2 less what a training is accurate, on clips in common."""
    shared = rng.gamma(2, 0.5, (1, clips)) - 1
    return [2 - family.draw(rng, runs)[:, None] + shared + 0.3 * rng.normal(size=(runs, clips)) for family in families]
