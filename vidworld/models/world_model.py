"""What a world model is to the evaluation: a rollout and a surprise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Clips
from vidworld.core.shapes import Frames, Tokens
from vidworld.models.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True)
class Encoded:
    clips: Clips
    tokens: Tokens

    def chunks(self, start: int, stop: int) -> "Encoded":
        """The same for chunks `start` to `stop - 1`."""
        frames = self.clips.frames.shape[1] // self.tokens.shape[1]
        first, end, clips = start * frames, stop * frames, self.clips
        tracks = None if clips.tracks is None else clips.tracks.between(first, end)
        cut = Clips(clips.frames[:, first:end], clips.fps, clips.identity, tracks)
        return Encoded(cut, self.tokens[:, start:stop])


class Rollout(NamedTuple):
    """Predicted chunks of each clip, in one or several samples."""

    embeddings: Float[Tensor, "clip sample t h w embedding"]
    """In the space that the world predicts in."""
    tokens: Float[Tensor, "clip sample t h w channel"]
    """As tokens of the shared tokenizer, which decodes them."""


@runtime_checkable
class Scorer(Protocol):
    """Anything that is surprised: a world, or a control that is none."""

    name: str

    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        """How badly each chunk from `context_length` on is predicted, given the true chunks before it.

        Clips of equal seed share whatever is drawn at random.
        """


@runtime_checkable
class WorldModel(Scorer, Protocol):
    """Anything that predicts: a network, a baseline, somebody else's model."""

    def rollout(self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int]) -> Rollout:
        """The `horizon` chunks after the context.

        Each clip has a seed of its own for whatever is drawn at random, so that no result depends on its batch.
        """


def tokens_of_future(tokenizer: Tokenizer, context: Encoded, frames: Frames) -> Tokens:
    """The tokens of predicted frames; a tokenizer that remembers is shown the context first."""
    if tokenizer.remembers:
        frames = torch.cat((context.clips.frames.to(frames.device), frames), dim=1)
    tokens = tokenizer.encode(frames.to(context.tokens.device))
    return tokens[:, context.tokens.shape[1] :] if tokenizer.remembers else tokens
