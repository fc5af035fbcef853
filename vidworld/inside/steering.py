"""One disc's concept changed inside a model at the end of the context, and what comes of it in the decoded future."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vidworld.analysis.inside import SteeringRow
from vidworld.analysis.ridge import Features, Others, Spectrum
from vidworld.core.clip import Frames, Tokens, Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.presentation import names_of
from vidworld.inside.directions import DEGREES, Direction, ablated, along_means, along_probe, at_random
from vidworld.inside.features import in_grid, windows
from vidworld.inside.probes import ratio_over
from vidworld.models.states import Grid, cells_of, changed, layers_of
from vidworld.models.world_model import Encoded

Readout = Literal["probe", "pixels"]
TARGET_SIZES = {"velocity": (0.5, 1.5), "place": (0.2, 0.6)}
"""By how much a concept is to change, in any direction: units a second, units."""
LEAST = 4
"""Frames of a future in which a disc must be found."""
_Places = Float[Tensor, "clip time object 2"]


@dataclass(frozen=True)
class Steered:
    """Clips of which one disc each is steered."""

    seen: Encoded
    """Whole clips, of which a model is shown the context."""
    disc: Int[Tensor, " clip"]
    others: Bool[Tensor, "clip object"]
    """Discs that nothing touches, by which side effects are told."""
    target: dict[str, Float[Tensor, "clip _"]]
    names: tuple[str, ...] | None = None
    """What each clip's random numbers follow from, one for both clips of a pair; None: from the frames shown."""

    @property
    def tracks(self) -> Tracks:
        return self.seen.clips.truth

    def place(self, frame: int) -> Float[Tensor, "clip 2"]:
        """Where the discs are that are steered."""
        return self.tracks.position[torch.arange(len(self.disc)), frame, self.disc].float()


def steered_clips(evaluator: Evaluator, encoded: Encoded, name: str) -> Steered:
    """Of clips that have one: a disc that shows at the end of the context and that nothing touches from then on."""
    tracks, last = encoded.clips.truth, evaluator.context_frames - 1
    later = tracks.velocity[:, last:]
    free = ((later - later[:, :1]).norm(dim=-1).amax(dim=1) < 1e-6) & (tracks.visible[:, last:].amin(dim=1) > 0.9)
    kept = free.any(dim=1).nonzero()[:, 0]
    disc = free[kept].float().argmax(dim=1)
    others = free[kept].clone()
    others[torch.arange(len(kept)), disc] = False
    draws = Draws(clip_streams(f"inside/asked/{name}", kept.tolist(), torch.device("cpu")))
    target = {
        concept: (draws.direction(1)[:, 0] * draws.uniform(*sizes)[:, None]).float()
        for concept, sizes in TARGET_SIZES.items()
    }
    return Steered(Encoded(encoded.clips.at(kept), encoded.tokens[kept]), disc, others, target)


class Future(NamedTuple):
    """What came of one rollout."""

    places: dict[Readout, _Places]
    """After the context, by readout: the clip's discs, then every other colour; NaN where none is found."""
    tokens: Tokens
    """The chunks that were imagined, as the tokenizer would have them."""
    frames: Frames | None


class Steering:
    """A model whose futures are read, steered or not."""

    def __init__(
        self, name: str, model: Any, evaluator: Evaluator, steered: Steered, readouts: Sequence[Readout] = ("probe",)
    ) -> None:
        """readouts: what futures are read by; by the first of them choices are made."""
        self.name, self.model, self.evaluator, self.steered = name, model, evaluator, steered
        self.readouts = readouts
        self.last = evaluator.context_length - 1
        frames = steered.seen.clips.frames
        self.aspect = frames.shape[-2] / frames.shape[-1]

    @cached_property
    def plain(self) -> Future:
        """The futures without any change."""
        return self.future(pixels="pixels" in self.readouts)

    @torch.no_grad()
    def future(
        self, layer: int = 0, direction: Direction | None = None, concept: str = "", pixels: bool = False
    ) -> Future:
        """The futures where the window about each disc is changed along a direction after a layer."""
        seen, evaluator = self.steered.seen, self.evaluator
        context = seen.chunks(0, self.last + 1)
        horizon = seen.tokens.shape[1] - context.tokens.shape[1]
        within: Any = nullcontext()
        if direction is not None:
            change = self._change(direction, self.steered.target[concept])
            within = changed(self.model.network, layer, self.last, change, seen.tokens)
        with within, evaluator.accelerator.autocast():
            names = self.steered.names or names_of(context.clips.frames)
            rollout = self.model.rollout(context, horizon, 1, evaluator.seeds(names))
        tracks, after, frames = self.steered.tracks, slice(evaluator.context_frames, None), None
        found = evaluator.by_probe(self.name, rollout.embeddings[:, 0].float(), tracks).position[:, after]
        places: dict[Readout, _Places] = {"probe": found.float()}
        if pixels:
            frames = evaluator.decode_future(seen, rollout.tokens[:, 0].float())
            places["pixels"] = evaluator.by_pixels(frames, tracks).position[:, after].float()
        return Future(places, rollout.tokens[:, 0].float(), frames)

    def _change(self, direction: Direction, target: Float[Tensor, "clip _"]) -> Any:
        grid = self.steered.seen.tokens.shape[2:4]
        clip = torch.arange(len(target))
        cell = cells_of(self.steered.place(self.evaluator.context_frames - 1), (grid[0], grid[1]), self.aspect)

        def change(states: Grid) -> Grid:
            near = windows(states.float().cpu(), clip, cell)
            added = in_grid(direction.change(near, target), clip, cell, len(states), (grid[0], grid[1]))
            return states + added.to(states)

        return change

    def before(self, concept: str, readout: Readout) -> Float[Tensor, "clip 2"]:
        """The concept of the steered discs without any change: of a place, from the middle of its cell."""
        clip = torch.arange(len(self.steered.disc))
        if concept == "velocity":
            return self.came(concept, readout, self.plain).plain[clip, self.steered.disc]
        grid = self.steered.seen.tokens.shape[2:4]
        place = self.steered.place(self.evaluator.context_frames - 1)
        size = torch.tensor([WORLD_SIZE / grid[1], WORLD_SIZE * self.aspect / grid[0]])
        return place - ((place / size).floor() + 0.5) * size

    def came(self, concept: str, readout: Readout, future: Future) -> "Came":
        """How a concept of all discs differs between two futures, where they are found in both."""
        discs = self.steered.tracks.radius.shape[1]
        before, after = (each.places[readout][:, :, :discs] for each in (self.plain, future))
        both = ~(before + after).isnan().any(dim=-1)
        dt_s = self.steered.seen.clips.dt_s
        values = [outcome(concept, each, both, dt_s) for each in (before, after)]
        return Came(values[0], values[1] - values[0])


class Came(NamedTuple):
    plain: Float[Tensor, "clip object 2"]
    difference: Float[Tensor, "clip object 2"]


def outcome(
    concept: str, places: _Places, counted: Bool[Tensor, "clip time object"], dt_s: float
) -> Float[Tensor, "clip object 2"]:
    """The velocity (by least squares) or the mean place over the frames that count; NaN where these are few."""
    weight = counted.float()[..., None]
    number = weight.sum(dim=1)
    place = torch.where(counted[..., None], places, 0.0)
    middle = place.sum(dim=1) / number.clamp_min(1)
    if concept == "velocity":
        time = (torch.arange(places.shape[1]) * dt_s).view(1, -1, 1, 1) * weight
        from_mean = (time - time.sum(dim=1, keepdim=True) / number[:, None].clamp_min(1)) * weight
        middle = (from_mean * place).sum(dim=1) / from_mean.square().sum(dim=1).clamp_min(1e-9)
    return torch.where(number >= LEAST, middle, torch.nan)


def steer(
    steering: Steering, chosen_on: Steering, concept: str, fitted: Sequence[tuple[Features, Others]],
    answers: tuple[Float[Tensor, "sample 2"], Float[Tensor, "other 2"]],
) -> Iterator[tuple[SteeringRow, Direction, int]]:  # fmt: skip
    """Rows, with the direction and the layer of each: every layer's best direction and a random one, ablations at one.

    chosen_on: other clips, by which directions and the best layer are chosen. fitted: by layer, features to fit to and
    to choose penalties on, whose answers these are.
    """
    best: list[tuple[float, float, Direction, Any]] = []
    for layer, (features, others) in enumerate(fitted):
        ridge = Spectrum(features).ridge(answers[0], others, answers[1], slack=0.0)
        tried = [along_probe(ridge), *(along_means(ridge, features, answers[0], degree) for degree in DEGREES)]
        results = [_missed(chosen_on, layer, direction, concept) for direction in tried]
        number = min(range(len(tried)), key=lambda i: results[i][0])
        best.append((*results[number], tried[number], ridge))
    top = min(range(len(best)), key=lambda i: best[i][0])
    for layer, (_, slope, direction, ridge) in enumerate(best):
        controls = [at_random(direction, ridge, layer)]
        if layer == top:
            controls += [ablated(direction, ridge), ablated(direction, ridge, layer)]
        for each in (direction, *controls):
            readouts = steering.readouts if each is direction else steering.readouts[:1]
            future = steering.future(layer, each, concept, pixels="pixels" in readouts)
            for readout in readouts:
                row = _row(steering, layer, each, concept, readout, future, layer == top, slope)
                yield row, each, layer


def _missed(steering: Steering, layer: int, direction: Direction, concept: str) -> tuple[float, float]:
    """The share of the target change that was missed, in squares, and the slope."""
    came = steering.came(concept, "probe", steering.future(layer, direction, concept, pixels=False))
    target = steering.steered.target[concept]
    got = came.difference[torch.arange(len(target)), steering.steered.disc]
    kept = ~got.isnan().any(dim=1)
    target, got = target[kept], got[kept]
    whole = float(target.square().sum().clamp_min(1e-9))
    return float((got - target).square().sum()) / whole, float((got * target).sum()) / whole


def _row(
    steering: Steering, layer: int, direction: Direction, concept: str, readout: Readout, future: Future, best: bool,
    chosen: float,
) -> SteeringRow:  # fmt: skip
    steered, clip = steering.steered, torch.arange(len(steering.steered.disc))
    came = steering.came(concept, readout, future)
    got, was = came.difference[clip, steered.disc], steering.before(concept, readout)
    kept = ~(got + was).isnan().any(dim=1)
    if "ablated" in direction.name:  # what is left of how the discs differ
        centred = was - was[kept].mean(dim=0)
        found = ratio_over((centred * (centred + got))[kept].sum(dim=1), centred[kept].square().sum(dim=1), clip[kept])
    else:
        target = steered.target[concept]
        found = ratio_over((got * target)[kept].sum(dim=1), target[kept].square().sum(dim=1), clip[kept])
    beside = came.difference.norm(dim=-1)
    counted = steered.others & ~beside.isnan() & kept[:, None]
    rows = counted.any(dim=1)
    mean = torch.where(counted, beside, 0.0).sum(dim=1) / counted.sum(dim=1).clamp_min(1)
    others = ratio_over(mean[rows], got.norm(dim=1)[rows], clip[rows])
    return SteeringRow(
        steering.name, layers_of(steering.model.network)[layer].name, concept, direction.name, direction.dimensions,
        readout, *found, others.value, others.high, float(kept.float().mean()), best, chosen, int(kept.sum()),
    )  # fmt: skip
