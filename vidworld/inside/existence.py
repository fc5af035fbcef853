"""A disc that is hidden behind a screen, put into a model's state or taken out of it, and what comes of it.

The clips are pairs that look the same in the last frame of the context: in A a disc is behind the screen, in B none.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.analysis.inside import SteeringRow
from vidworld.analysis.ridge import Answer, Features, Others, Spectrum
from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.evaluator import Evaluator
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
    """The A's of so many pairs, then their B's, both with the truth of A: what is asked is that they change places."""
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
    return Steered(evaluator.encode(clips), disc, nothing, {EXISTENCE: target})


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
        slopes = [float(above.sum() / below.sum()) for above, below in (_moved(chosen_on, layer, d) for d in tried)]
        direction = tried[slopes.index(max(slopes))]
        readings.append((direction, exchanged(direction), at_random(direction, ridge, layer)))
        chosen.append(max(slopes))
    best, pairs = max(range(len(chosen)), key=lambda layer: chosen[layer]), len(steering.steered.disc) // 2
    for layer, directions in enumerate(readings):
        label = layers_of(steering.model.network)[layer].name
        for direction in directions:
            above, below = _moved(steering, layer, direction)
            for what, half in ((TAKEN_OUT, slice(None, pairs)), (PUT_IN, slice(pairs, None))):
                slope = ratio_over(above[half], below[half], torch.arange(pairs))
                yield SteeringRow(
                    steering.name, label, what, direction.name, direction.dimensions, "tokens", *slope,
                    float("nan"), float("nan"), 1.0, layer == best, chosen[layer], pairs,
                )  # fmt: skip


def _moved(
    steering: Steering, layer: int, direction: Direction
) -> tuple[Float[Tensor, " clip"], Float[Tensor, " clip"]]:
    """How far each future moved along the way to that of the other clip of the pair, and how long that way is."""
    plain = steering.plain.tokens.nan_to_num().flatten(1)
    steered = steering.future(layer, direction, EXISTENCE).tokens.nan_to_num().flatten(1)
    way = plain.roll(len(plain) // 2, dims=0) - plain
    return ((steered - plain) * way).sum(dim=1), way.square().sum(dim=1)
