"""A disc that is hidden behind a screen, put into a model's state or taken out of it, and what comes of it.

The clips are pairs that look the same in the last frame of the context: in A a disc is behind the screen, in B none.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.analysis.inside import SteeringRow
from vidworld.analysis.ridge import Answer, Features, Others, Spectrum
from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.presentation import names_of
from vidworld.inside.concepts import Part, pairs_of
from vidworld.inside.directions import Direction, along_means, along_probe, at_random
from vidworld.inside.probes import ratio_over
from vidworld.inside.steering import Steered, Steering
from vidworld.models.states import layers_of

EXISTENCE = "hidden_existence"
TAKEN_OUT, PUT_IN = "existence of a hidden disc (taken out)", "existence of a hidden disc (put in)"
_FULL = 2.0
"""From no disc (-1) to a disc (1)."""


def hidden_pairs(evaluator: Evaluator, part: Part, shape: ClipShape, count: int) -> Steered:
    """The A's of so many pairs, then their B's, both with the truth of A; the target is that they change places."""
    context = evaluator.context_frames
    a, b = pairs_of("legacy_permanence", part, shape, context, count)
    truth = a.truth
    kept = ((truth.visible[:, context - 1, 0] == 0) & truth.present[:, context - 1, 0]).nonzero()[:, 0]
    a, b = a.at(kept), b.at(kept)
    tracks = a.truth.at(torch.arange(len(kept)).repeat(2))
    clips = Clips(torch.cat((a.frames, b.frames)), shape.fps, (*a.identity, *b.identity), tracks)
    target = torch.full((2 * len(kept), 1), _FULL)
    target[: len(kept)] *= -1
    nothing = torch.zeros(2 * len(kept), tracks.radius.shape[1], dtype=torch.bool)
    disc = torch.zeros(2 * len(kept), dtype=torch.int64)
    names = tuple(names_of(a.frames[:, :context]))
    return Steered(evaluator.encode(clips), disc, nothing, {EXISTENCE: target}, 2 * names)


def exchanged(like: Direction) -> Direction:
    """The window's state is that of the other clip of the pair: all that the model holds there of the disc."""

    def change(features: Features, target: Answer) -> Features:
        return features.roll(len(features) // 2, dims=0) - features

    return Direction("exchanged", 0, change, like.span[:0])


def steer_existence(
    steering: Steering, chosen_on: Steering, fitted: Sequence[tuple[Features, Others]],
    answers: tuple[Float[Tensor, "sample 1"], Float[Tensor, "other 1"]],
) -> Iterator[SteeringRow]:  # fmt: skip
    """Rows of every layer: along its best direction, with the pair's states exchanged, at random.

    Slope 1: the future is that of the other clip of the pair, by the tokens in which the two futures differ.
    chosen_on: other pairs, by which directions and the best layer are chosen. fitted: by layer, features to fit to and
    to choose penalties on, whose answers these are.
    """
    readings, chosen = [], []
    for layer, (features, others) in enumerate(fitted):
        ridge = Spectrum(features).ridge(answers[0], others, answers[1], slack=0.0)
        tried = [along_probe(ridge), along_means(ridge, features, answers[0], 1)]
        results = [_moved(chosen_on, layer, each) for each in tried]
        number = min(range(len(tried)), key=lambda i: results[i].missed)
        direction = tried[number]
        readings.append((direction, exchanged(direction), at_random(direction, ridge, layer)))
        chosen.append(results[number])
    best = min(range(len(chosen)), key=lambda layer: chosen[layer].missed)
    pairs = len(steering.steered.disc) // 2
    for layer, directions in enumerate(readings):
        label = layers_of(steering.model.network)[layer].name
        for direction in directions:
            moved, slope_there = _moved(steering, layer, direction), chosen[layer].slope
            for what, half in ((TAKEN_OUT, slice(None, pairs)), (PUT_IN, slice(pairs, None))):
                slope = ratio_over(moved.along[half], moved.way[half], torch.arange(pairs))
                yield SteeringRow(
                    steering.name, label, what, direction.name, direction.dimensions, "tokens", *slope,
                    float("nan"), float("nan"), 1.0, layer == best, slope_there, pairs,
                )  # fmt: skip


class _Moved(NamedTuple):
    """How far futures moved along the way to that of the other clip of the pair."""

    along: Float[Tensor, " clip"]
    way: Float[Tensor, " clip"]
    """How long that way is, squared."""
    missed: float
    """The share of the way that was missed, in squares; what moved beside the way counts."""

    @property
    def slope(self) -> float:
        return float(self.along.sum() / self.way.sum().clamp_min(1e-9))


def _moved(steering: Steering, layer: int, direction: Direction) -> _Moved:
    plain = steering.plain.tokens.nan_to_num().flatten(1)
    moved = steering.future(layer, direction, EXISTENCE).tokens.nan_to_num().flatten(1) - plain
    way = plain.roll(len(plain) // 2, dims=0) - plain
    whole = way.square().sum(dim=1)
    missed = float((way - moved).square().sum() / whole.sum().clamp_min(1e-9))
    return _Moved((moved * way).sum(dim=1), whole, missed)
