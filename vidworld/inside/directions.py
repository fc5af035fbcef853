"""How features are to change so that a concept does: along a probe's weights, along means, at random, or to nothing."""

from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.analysis.ridge import Answer, Features, Ridge
from vidworld.core.counter_rng import Draws, clip_streams

DEGREES = (1, 3, 6)
"""Of the polynomials of a concept that means follow: 2, 9 and 27 dimensions of one that has two."""


class Direction(NamedTuple):
    name: str
    dimensions: int
    change: Callable[[Features, Answer], Features]
    """What is added to features so that the concept changes by the target."""
    span: Float[Tensor, "dimension feature"]
    """An orthonormal basis of what is changed, of features in their own deviations."""


def along_probe(ridge: Ridge) -> Direction:
    """The smallest change of which the probe reads the target."""
    weights = ridge.weights
    back = torch.linalg.pinv(weights)  # (answer, feature)

    def change(features: Features, target: Answer) -> Features:
        moved: Features = target @ back * ridge.scale
        return moved

    return Direction("probe", weights.shape[1], change, _basis(weights.T))


def along_means(ridge: Ridge, features: Features, answers: Answer, degree: int) -> Direction:
    """From the mean state of what is read to that of the target; means are polynomials of the concept.

    In one degree it is the difference of means. Source: patterns rather than weights, Haufe et al. 2014.
    """
    mean, scale = answers.mean(dim=0), answers.std(dim=0)
    low, high = answers.amin(dim=0), answers.amax(dim=0)

    def terms(answer: Answer) -> Features:
        x = ((answer.clamp(low, high) if degree > 1 else answer) - mean) / scale
        powers = [c for n in range(1, degree + 1) for c in combinations_with_replacement(range(x.shape[1]), n)]
        return torch.stack([x[:, list(power)].prod(dim=1) for power in powers], dim=1)

    known = terms(answers)
    spread = known.std(dim=0).clamp_min(1e-6)
    design = (known - known.mean(dim=0)) / spread
    penalty = 1e-3 * len(design) * torch.eye(design.shape[1])
    pattern = torch.linalg.solve(
        design.T @ design + penalty, design.T @ ((features - ridge.mean) / ridge.scale)
    )  # (term, feature)

    def change(features: Features, target: Answer) -> Features:
        read = ridge(features)
        moved: Features = (terms(read + target) - terms(read)) / spread @ pattern * ridge.scale
        return moved

    return Direction("means", len(pattern), change, _basis(pattern))


def at_random(like: Direction, ridge: Ridge, seed: int) -> Direction:
    """Changes as large as those of another direction, along directions that are drawn for each sample anew.

    One direction for all samples would have a share of the concept's own, by chance of 1/sqrt(features).
    """

    def change(features: Features, target: Answer) -> Features:
        size = (like.change(features, target) / ridge.scale).norm(dim=1, keepdim=True)
        turned = _drawn(len(features), features.shape[1], seed)
        moved: Features = turned / turned.norm(dim=1, keepdim=True) * size * ridge.scale
        return moved

    return Direction("random", like.dimensions, change, like.span[:0])


def ablated(like: Direction, ridge: Ridge, seed: int | None = None) -> Direction:
    """What a direction spans is put to its mean; with a seed as many directions that were drawn."""
    span = like.span if seed is None else _basis(_drawn(len(like.span), len(ridge.mean), seed))

    def change(features: Features, target: Answer) -> Features:
        moved: Features = -((features - ridge.mean) / ridge.scale @ span.T @ span) * ridge.scale
        return moved

    return Direction("ablated" if seed is None else "random ablated", len(span), change, span)


def _basis(rows: Float[Tensor, "row feature"]) -> Float[Tensor, "row feature"]:
    basis: Tensor = torch.linalg.qr(rows.T)[0].T
    return basis


def _drawn(count: int, features: int, seed: int) -> Float[Tensor, "count features"]:
    draws = Draws(clip_streams(f"inside/directions/{seed}", range(count), torch.device("cpu")))
    return draws.normal(features).float()
