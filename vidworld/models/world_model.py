"""What a world model is to the evaluation (a rollout and a surprise); baselines and controls that need no training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar, runtime_checkable

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Actions, Clips, Frames, Tokens, packed
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.errors import UserError
from vidworld.models.tokenizers import Tokenizer
from vidworld.simulation.simulated import BACKGROUND


@dataclass(frozen=True)
class Encoded:
    """Clips with their tokens, (clip, chunk, h, w, latent): what a world model is shown."""

    clips: Clips
    tokens: Tokens

    @property
    def actions(self) -> Actions | None:
        """What is done in each chunk, where somebody acts."""
        return None if self.clips.actions is None else packed(self.clips.actions, self.tokens.shape[1]).to(self.tokens)

    def chunks(self, start: int, stop: int) -> "Encoded":
        """The same for chunks `start` to `stop - 1`."""
        frames = self.clips.frames.shape[1] // self.tokens.shape[1]
        first, end, tracks = start * frames, stop * frames, self.clips.tracks
        tracks = None if tracks is None else tracks.between(first, end)
        clean, actions = (None if x is None else x[:, first:end] for x in (self.clips.clean, self.clips.actions))
        cut = replace(self.clips, frames=self.clips.frames[:, first:end], tracks=tracks, clean=clean, actions=actions)
        return Encoded(cut, self.tokens[:, start:stop])


def acted(network: Any, seen: Encoded) -> Actions | None:
    """The actions of clips for a network that was trained on some."""
    return None if network.embed_action is None else seen.actions


Futures = Float[Tensor, "clip sample t action"]
"""What is done in each predicted chunk: each sample of a clip is a future of its own."""


class Rollout(NamedTuple):
    """Predicted chunks of each clip, in one or several samples."""

    embeddings: Float[Tensor, "clip sample t h w embedding"]  # in the space that the world predicts in
    tokens: Float[Tensor, "clip sample t h w channel"]  # as tokens of the shared tokenizer, which decodes them


_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


def no_grad_unless_asked(method: Callable[_Given, _Found]) -> Callable[_Given, _Found]:
    """The method without a graph, unless what it is given asks for a gradient: a planner by gradient does."""

    @wraps(method)
    def asked(*given: _Given.args, **more: _Given.kwargs) -> _Found:
        tensors = (each for each in (*given, *more.values()) if isinstance(each, Tensor))
        with torch.set_grad_enabled(any(each.requires_grad for each in tensors)):
            return method(*given, **more)

    return asked


@runtime_checkable
class Scorer(Protocol):
    """Anything that is surprised: a model, or a control that is none."""

    name: str

    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        """How badly each chunk from `context_length` on is predicted, given the true chunks before it.

        Clips of equal seed share whatever is drawn at random.
        """


@runtime_checkable
class WorldModel(Scorer, Protocol):
    """Anything that predicts: a network, a baseline, somebody else's model."""

    def rollout(self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int]) -> Rollout:
        """The `horizon` chunks after the context. What is random follows from a clip's own seed, not from its batch.

        A model that acts takes `actions: Futures | None = None`, too: what is done in each sample's chunks. A clip's
        samples then share what is random, so that they differ by their actions alone. Raises UserError: the model was
        trained without actions, or with others.
        """


LARGEST = 1e18
"""More cannot be squared in single precision."""


def check_numbers(model: str, what: str, identity: Sequence[str], numbers: Float[Tensor, "clip *any"]) -> None:
    """Raise UserError if a model's numbers are not finite, or larger than `LARGEST`: its first such clip is named."""
    usable = (numbers.double().abs() <= LARGEST).flatten(1)
    if not bool(usable.all()):
        clip = int(usable.all(dim=1).logical_not().nonzero()[0, 0])
        number = float(numbers[clip].flatten()[usable[clip].logical_not()][0])
        raise UserError(f"{model}: {what} of {identity[clip]} gave {number:g}; numbers up to {LARGEST:g} would do")


def tokens_of_future(tokenizer: Tokenizer, context: Encoded, frames: Frames) -> Tokens:
    """The tokens of predicted frames; a tokenizer that remembers is shown the context first."""
    if tokenizer.remembers:
        frames = torch.cat((context.clips.frames.to(frames.device), frames), dim=1)
    tokens = tokenizer.encode(frames.to(context.tokens.device))
    return tokens[:, context.tokens.shape[1] :] if tokenizer.remembers else tokens


def last_frame(context: Clips, num_frames: int) -> Frames:
    """A world that stands still: the last frame, over and over."""
    return context.frames[:, -1:].expand(-1, num_frames, -1, -1, -1)


def constant_velocity(context: Clips, num_frames: int) -> Frames:
    """A world in which every disc goes on as it last did, drawn where nothing grey stands before it.

    It knows the true state (also of a hidden disc, and without nuisance) and no law but inertia. Raises UserError:
    clips without true tracks.
    """
    tracks = context.tracks
    if tracks is None:
        raise UserError("constant_velocity extrapolates true tracks, and real clips have none: leave it out for these")
    last = context.without_nuisance[:, -1].float() / 255
    saturation = last.amax(dim=1) - last.amin(dim=1)
    plate = torch.where((saturation > 0.04)[:, None], BACKGROUND, last)[:, None]  # (clip, 1, 3, height, width)
    elapsed_s = context.dt_s * torch.arange(1, num_frames + 1)
    position = tracks.position[:, -1:] + tracks.velocity[:, -1:] * elapsed_s[:, None, None]
    coverage = _coverage(position, tracks.radius, *last.shape[-2:])
    coverage = coverage * ((plate - BACKGROUND).abs().amax(dim=2, keepdim=True) < 0.02)
    frames = plate.expand(-1, num_frames, -1, -1, -1)
    for i in range(coverage.shape[2]):
        frames = torch.lerp(frames, tracks.color[:, None, i, :, None, None].to(frames), coverage[:, :, i, None])
    return (frames * 255).round().to(torch.uint8)


def _coverage(
    position: Float[Tensor, "clip time object 2"], radius: Float[Tensor, "clip object"], height: int, width: int
) -> Float[Tensor, "clip time object height width"]:
    """The share of each pixel that a disc covers; an absent disc (NaN) covers none."""
    pixel = WORLD_SIZE / width
    x, y = ((torch.arange(side) + 0.5) * pixel for side in (width, height))
    center = position.float().nan_to_num(-10 * WORLD_SIZE)
    distance = torch.hypot(x - center[..., 0, None, None], y[:, None] - center[..., 1, None, None])
    return ((radius.float()[:, None, :, None, None] - distance) / pixel + 0.5).clamp(0, 1)


class FrameWorld:
    """A world that predicts frames by a formula, given as tokens; its surprise is the squared error of the frames."""

    name: str
    predict: Callable[[Clips, int], Frames]

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def rollout(self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int]) -> Rollout:
        frames = self.predict(context.clips, horizon * self.tokenizer.patch_size[0])
        tokens = tokens_of_future(self.tokenizer, context, frames).unsqueeze(1).expand(-1, samples, *[-1] * 4)
        return Rollout(tokens, tokens)

    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        errors = []
        for k in range(context_length, seen.tokens.shape[1]):
            true = seen.chunks(k, k + 1).clips.frames.float()
            predicted = self.predict(seen.chunks(0, k).clips, true.shape[1]).float()
            errors.append(((predicted - true).square().mean(dim=(2, 3, 4)) / 255**2).mean(dim=-1))
        return torch.stack(errors, dim=1)


class CopyLast(FrameWorld):
    """The last frame for ever; its surprise is the distance of each chunk's tokens from those of the chunk before."""

    name, predict = "copy_last", staticmethod(last_frame)

    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        return seen.tokens.diff(dim=1).square().mean(dim=(2, 3, 4))[:, context_length - 1 :]


class ConstantVelocity(FrameWorld):
    """Inertia alone, from the true state."""

    name, predict = "constant_velocity", staticmethod(constant_velocity)


class FrameDifference:
    """Surprise as the raw change from each frame to the next: no world, a control."""

    name = "frame_difference"

    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        frames = seen.clips.frames.float() / 255
        per_chunk = frames.shape[1] // seen.tokens.shape[1]
        change = frames.diff(dim=1).square().mean(dim=(2, 3, 4))[:, context_length * per_chunk - 1 :]
        return rearrange(change, "b (t p) -> b t p", p=per_chunk).mean(dim=-1)


class Blind:
    """Surprise from one chunk alone, how far it lies from the mean chunk (the zero predictor's error): a control."""

    name = "blind"

    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        return seen.tokens[:, context_length:].square().mean(dim=(2, 3, 4))


def truth_surprise(tokens: Tokens, true_future: Tokens) -> Float[Tensor, "clip chunk"]:
    """Surprise at the shown `tokens` of one who knows the `true_future` of the context: the ceiling."""
    return (tokens - true_future).square().mean(dim=(2, 3, 4))
