"""Surprise over quadruplets: does the impossible future surprise more than the possible one?

Every function takes surprise of shape (quad, past, future, chunk): past 0 is that of clip A, past 1 that of
B, and so for futures; `[q, p, f]` is how badly the future f was predicted after the past p, chunk by chunk.
The possible clips lie on the diagonal. Each returns one value a quadruplet; a tie counts one half.
"""

from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vidworld.core.errors import UserError
from vidworld.metrics import PerClip, metric_of

Aggregation = Literal["mean", "max"]
Surprise = Float[ndarray, "quad 2 2 chunk"]
_share = partial(metric_of, "", "share", higher_is_better=True, takes="surprise", bounds=(0.0, 1.0), ideal=1.0)


def over_chunks(surprise: Surprise, aggregation: Aggregation = "mean") -> Float[ndarray, "quad 2 2"]:
    """One surprise a clip: mean or maximum over the horizon's chunks that are numbers; UserError where none is."""
    surprise = np.asarray(surprise, dtype=np.float64)
    if not np.isfinite(surprise).any(axis=-1).all():
        raise UserError("surprise has a clip without a single finite value: the world that made it diverged")
    return np.asarray(np.nanmean(surprise, axis=-1) if aggregation == "mean" else np.nanmax(surprise, axis=-1))


@_share("Futures that surprise more after the wrong past than after their own; a tie counts one half.", headline=True)
def surprise_accuracy(surprise: Surprise, aggregation: Aggregation = "mean") -> PerClip:
    """Share of the two futures that surprise less after their own past than after the other's.

    The headline: the target is identical on both sides, so how crowded or hard it is cancels.
    """
    values = over_chunks(surprise, aggregation)
    return np.asarray((_less(values[:, 0, 0], values[:, 1, 0]) + _less(values[:, 1, 1], values[:, 0, 1])) / 2)


@_share("The usual form: one past, two futures. An emptier scene surprises less.")
def surprise_accuracy_usual(surprise: Surprise) -> PerClip:
    """Share of the two pasts after which their own future surprises less than the other (IntPhys' form)."""
    values = over_chunks(surprise)
    return np.asarray((_less(values[:, 0, 0], values[:, 0, 1]) + _less(values[:, 1, 1], values[:, 1, 0])) / 2)


@_share("Quadruplets whose possible clips together surprise less than the impossible ones.")
def surprise_accuracy_within_quadruplet(surprise: Surprise) -> PerClip:
    """1 where the two possible clips together surprise less than the two impossible ones, else 0.

    Both sums hold the same two pasts and the same two futures: what a past or a future is like cancels.
    """
    values = over_chunks(surprise)
    return _less(values[:, 0, 0] + values[:, 1, 1], values[:, 0, 1] + values[:, 1, 0])


@_share("As the first, by the maximum over time and not the mean: cheap cues show more.")
def surprise_accuracy_maximum(surprise: Surprise) -> PerClip:
    """`surprise_accuracy` of the chunk that surprises most."""
    return surprise_accuracy(surprise, "max")


@_share("How well surprise alone separates impossible from possible clips.")
def surprise_auroc(surprise: Surprise) -> PerClip:
    """Values a quadruplet whose mean is the AUROC of impossible over possible clips, over all clips.

    The value of a quadruplet is its possible clips' placement plus its impossible clips' placement less the AUROC
    (its Hájek projection; Source: DeLong et al. 1988): a bootstrap over quadruplets then has the AUROC's variance.
    Single values may leave [0, 1].
    """
    values = over_chunks(surprise)
    possible = np.stack([values[:, 0, 0], values[:, 1, 1]], axis=1)
    impossible = np.stack([values[:, 0, 1], values[:, 1, 0]], axis=1)
    area = _share_above(possible, impossible).mean()
    placements = _share_above(possible, impossible).mean(axis=1)
    mirrored = _share_above(-impossible, -possible).mean(axis=1)
    return np.asarray(placements + mirrored - area)


def _less(possible: Float[ndarray, " quad"], impossible: Float[ndarray, " quad"]) -> Float[ndarray, " quad"]:
    """1 where the possible surprises less, one half for a tie."""
    return np.asarray((possible < impossible) + 0.5 * (possible == impossible))


def _share_above(values: Float[ndarray, "quad 2"], others: Float[ndarray, "quad 2"]) -> Float[ndarray, "quad 2"]:
    """For each value the share of the others above it, ties one half."""
    ordered = np.sort(others.ravel())
    above = len(ordered) - np.searchsorted(ordered, values, side="right")
    equal = len(ordered) - above - np.searchsorted(ordered, values, side="left")
    return np.asarray((above + 0.5 * equal) / len(ordered))
