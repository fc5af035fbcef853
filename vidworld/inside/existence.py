"""A disc that is hidden behind a screen, put into a model's state or taken out of it, and whether one comes out.

The clips are pairs that look the same in the last frame of the context: in A a disc is behind the screen, in B none.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
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
_NAN = float("nan")
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


class _CameOut(NamedTuple):
    """Whether a disc comes out of the screen, by clip: the A's, then the B's."""

    itself: Bool[Tensor, " clip"]
    """In the hidden disc's colour."""
    any: Bool[Tensor, " clip"]
    """In its colour, or in one that no other disc of the clip has."""


def came_out(steering: Steering, places: Float[Tensor, "clip time colour 2"]) -> _CameOut:
    """Found in at least half of the frames in which the hidden disc shows again in truth."""
    start = steering.evaluator.context_frames
    tracks = steering.steered.tracks
    shows = (tracks.present & (tracks.visible > 0.9))[:, start:, 0]
    found = ~places.isnan().any(dim=-1)
    itself = found[..., 0]
    some = itself | found[..., tracks.radius.shape[1] :].any(dim=-1)
    counts = [(each & shows).sum(dim=1) for each in (itself, some)]
    return _CameOut(*((2 * count >= shows.sum(dim=1)) & shows.any(dim=1) for count in counts))


def steer_existence(
    steering: Steering, chosen_on: Steering, fitted: Sequence[tuple[Features, Others]],
    answers: tuple[Float[Tensor, "sample 1"], Float[Tensor, "other 1"]],
) -> Iterator[SteeringRow]:  # fmt: skip
    """Rows of every layer: along its best direction, with the pair's states exchanged, at random; by what comes out.

    chosen_on: other pairs, by which directions and the best layer are chosen. fitted: by layer, features to fit to and
    to choose penalties on, whose answers these are.
    """
    readings, chosen = [], []
    for layer, (features, others) in enumerate(fitted):
        ridge = Spectrum(features).ridge(answers[0], others, answers[1], slack=0.0)
        tried = [along_probe(ridge), along_means(ridge, features, answers[0], 1)]
        results = [_mean_change(chosen_on, layer, direction) for direction in tried]
        direction = tried[results.index(max(results))]
        readings.append((direction, exchanged(direction), at_random(direction, ridge, layer)))
        chosen.append(max(results))
    was, pairs = came_out(steering, steering.plain.places["probe"]), len(steering.steered.disc) // 2
    room = {TAKEN_OUT: float(was.itself[:pairs].float().mean()), PUT_IN: 1 - float(was.any[pairs:].float().mean())}
    best = max(range(len(chosen)), key=lambda layer: chosen[layer])
    for layer, directions in enumerate(readings):
        label = layers_of(steering.model.network)[layer].name
        for direction in directions:
            places = steering.future(layer, direction, EXISTENCE).places["probe"]
            for what, change in _changes(steering, places).items():
                ones, pair = torch.ones_like(change), torch.arange(len(change))
                yield SteeringRow(
                    steering.name, label, what, direction.name, direction.dimensions, "probe",
                    *ratio_over(change, ones, pair), _NAN, _NAN, room[what], layer == best, chosen[layer], len(change),
                )  # fmt: skip


def _mean_change(steering: Steering, layer: int, direction: Direction) -> float:
    places = steering.future(layer, direction, EXISTENCE).places["probe"]
    return float(torch.cat([*_changes(steering, places).values()]).mean())


def _changes(steering: Steering, places: Float[Tensor, "clip time colour 2"]) -> dict[str, Float[Tensor, " pair"]]:
    """By how much more a disc comes out where one was put in, and less where it was taken out; 1 is all of it."""
    was, now = came_out(steering, steering.plain.places["probe"]), came_out(steering, places)
    pairs = len(was.itself) // 2
    taken = was.itself[:pairs].float() - now.itself[:pairs].float()
    put = now.any[pairs:].float() - was.any[pairs:].float()
    return {TAKEN_OUT: taken, PUT_IN: put}
