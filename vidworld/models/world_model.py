"""What a world model is to the bench: a rollout and a surprise, and the one loop that rolls out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Clips
from vidworld.core.shapes import Frames, Tokens
from vidworld.models.dit import DiffusionTransformer
from vidworld.models.flow import noised, sample
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.layers import Memory
from vidworld.models.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True)
class Encoded:
    """Clips and their tokens."""

    clips: Clips
    tokens: Tokens

    def chunks(self, start: int, stop: int) -> "Encoded":
        """The same for chunks `start` to `stop - 1`."""
        frames = self.clips.frames.shape[1] // self.tokens.shape[1]
        clips = self.clips
        tracks = None if clips.tracks is None else clips.tracks.between(start * frames, stop * frames)
        cut = Clips(clips.frames[:, start * frames : stop * frames], clips.fps, clips.identity, tracks)
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

    def surprise(
        self, seen: Encoded, context_length: int, seeds: Sequence[int]
    ) -> Float[Tensor, "clip chunk"]:
        """How badly each chunk from `context_length` on is predicted, given the true chunks before it.

        Clips of equal seed share whatever is drawn at random.
        """
        ...


@runtime_checkable
class World(Scorer, Protocol):
    """Anything that predicts: a network, a baseline, somebody else's model."""

    def rollout(
        self,
        context: Encoded,
        horizon: int,
        samples: int,
        seeds: Sequence[int],
        actions: Tensor | None = None,
    ) -> Rollout:
        """The `horizon` chunks after the context.

        Each clip has a seed of its own for whatever is drawn at random, so that no result depends on its batch.
        """
        ...


def tokens_of_future(tokenizer: Tokenizer, context: Encoded, frames: Frames) -> Tokens:
    """The tokens of predicted frames; a tokenizer that remembers is shown the context first."""
    if tokenizer.remembers:
        frames = torch.cat((context.clips.frames.to(frames.device), frames), dim=1)
    tokens = tokenizer.encode(frames.to(context.tokens.device))
    return tokens[:, context.tokens.shape[1] :] if tokenizer.remembers else tokens


class JepaWorld:
    """Predicts embeddings; surprise is their squared distance."""

    def __init__(
        self, network: JointEmbeddingPredictor, name: str = "jepa", decoder: torch.nn.Module | None = None
    ):
        self.network, self.name, self.decoder = network.eval(), name, decoder

    @torch.no_grad()
    def rollout(
        self,
        context: Encoded,
        horizon: int,
        samples: int,
        seeds: Sequence[int],
        actions: Tensor | None = None,
    ) -> Rollout:
        """A JEPA predicts one future: its samples are equal."""
        following, memories = self.network.predict(self.network.context_embeddings(context.tokens))
        chunks = [following[:, -1:]]
        while len(chunks) < horizon:
            following, memories = self.network.predict(chunks[-1], memories=memories)
            chunks.append(following)
        predicted = torch.cat(chunks, dim=1).unsqueeze(1).expand(-1, samples, -1, -1, -1, -1)
        return Rollout(predicted, predicted if self.decoder is None else self.decoder(predicted))

    @torch.no_grad()
    def surprise(
        self, seen: Encoded, context_length: int, seeds: Sequence[int]
    ) -> Float[Tensor, "clip chunk"]:
        context = self.network.context_embeddings(seen.tokens)
        target = self.network.embeddings(seen.tokens) if self.network.target == "ema" else context
        predicted, _ = self.network.predict(context[:, :-1])
        error = (predicted.float() - target[:, 1:].float()).square().mean(dim=(2, 3, 4))
        return error[:, context_length - 1 :]


class DiffusionWorld:
    """Denoises the next chunk; surprise is the denoising error of the chunk that really came."""

    def __init__(
        self,
        network: DiffusionTransformer,
        name: str = "diffusion",
        steps: int = 10,
        shift: float = 3.0,
        levels: Sequence[float] = (0.7, 0.9),
    ):
        self.network, self.name = network.eval(), name
        self.steps, self.shift, self.levels = steps, shift, tuple(levels)

    @torch.no_grad()
    def rollout(
        self,
        context: Encoded,
        horizon: int,
        samples: int,
        seeds: Sequence[int],
        actions: Tensor | None = None,
    ) -> Rollout:
        """Chunk after chunk, each from noise given the clean ones before it, whose keys and values are kept.

        What is remembered of a place is free of noise (`DiffusionTransformer.remember`). So is the first step of
        sampling, which starts from level 1: its keys and values are those to keep, and cost nothing more.
        """
        tokens = context.tokens.repeat_interleave(samples, dim=0)
        memories, last = self.network.remember(tokens[:, :-1]), tokens[:, -1:]
        shape = (samples, horizon, *tokens.shape[2:])
        noise = torch.cat([torch.randn(shape, generator=_generator(seed)) for seed in seeds]).to(tokens)
        chunks: list[Tokens] = []
        for k in range(horizon):
            given = _Given(self.network, last, memories)
            last = sample(given, noise[:, k : k + 1], self.steps, self.shift)
            memories = given.memories_after
            chunks.append(last)
        predicted = torch.cat(chunks, dim=1).unflatten(0, (len(context.tokens), samples))
        return Rollout(predicted, predicted)

    @torch.no_grad()
    def surprise(
        self, seen: Encoded, context_length: int, seeds: Sequence[int]
    ) -> Float[Tensor, "clip chunk"]:
        return self.surprise_by_level(seen, context_length, seeds).mean(dim=-1)

    @torch.no_grad()
    def surprise_by_level(
        self, seen: Encoded, context_length: int, seeds: Sequence[int]
    ) -> Float[Tensor, "clip chunk level"]:
        """Squared velocity error at each of `levels`, all in one batch: which tell is chosen on a validation split."""
        tokens, count = seen.tokens, len(self.levels)
        draws = {seed: torch.randn(tokens.shape[1:], generator=_generator(seed)) for seed in set(seeds)}
        noise = torch.stack([draws[seed] for seed in seeds]).to(tokens)
        level = tokens.new_tensor(self.levels).repeat_interleave(len(tokens)).unsqueeze(1)  # (level clip, 1)
        memories = self.network.remember(tokens[:, :-2])
        cells = tokens.shape[2] * tokens.shape[3]
        errors = []
        for k in range(context_length, tokens.shape[1]):
            before = [memory.first((k - 1) * cells).repeated(count) for memory in memories or ()]
            chunk, previous, drawn = (
                x.repeat(count, 1, 1, 1, 1)
                for x in (tokens[:, k : k + 1], tokens[:, k - 1 : k], noise[:, k : k + 1])
            )
            denoised, _ = self.network(noised(chunk, drawn, level), level, previous, before or None)
            error = (denoised.float() - chunk).square().mean(dim=(1, 2, 3, 4)) / level.squeeze(1).square()
            errors.append(error.view(count, -1).T)
        return torch.stack(errors, dim=1)


class _Given:
    """The network with its context filled in: a denoiser of the chunk after `previous`."""

    def __init__(
        self, network: DiffusionTransformer, previous: Tokens, memories: list[Memory] | None
    ) -> None:
        self.network, self.previous, self.memories = network, previous, memories
        self.memories_after: list[Memory] | None = None
        """The memories with this chunk's own, as of the first call, whose level is 1."""

    def __call__(self, noisy: Tokens, noise_level: float, following: float) -> Tokens:
        level, towards = (
            torch.full(noisy.shape[:2], each, device=noisy.device) for each in (noise_level, following)
        )
        chunk, seen = self.network(noisy, level, self.previous, self.memories, towards=towards)
        if self.memories_after is None:
            self.memories_after = seen
        clean: Tokens = chunk.float()
        return clean


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
