"""A world model that draws the next chunk from a learned distribution: diffusion."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.shapes import Tokens
from vidworld.models.dit import DiffusionTransformer
from vidworld.models.flow import noised, sample
from vidworld.models.layers import KVCache
from vidworld.models.world_model import Encoded, Rollout


class GenerativeModel:
    """Denoises the next chunk; surprise is the denoising error of the chunk that really came."""

    def __init__(self, network: DiffusionTransformer, name: str, steps: int, shift: float, levels: Sequence[float]):
        self.network, self.name = network.eval(), name
        self.steps, self.shift, self.levels = steps, shift, tuple(levels)

    @torch.no_grad()
    def rollout(self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int]) -> Rollout:
        """Chunk after chunk, each from noise given the clean ones before it, whose keys and values are kept.

        What is remembered of a place is free of noise (`DiffusionTransformer.remember`). So is the first step of
        sampling, which starts from level 1: its keys and values are those to keep, and cost nothing more.
        """
        tokens = context.tokens.repeat_interleave(samples, dim=0)
        kv_caches, last = self.network.prefill(tokens[:, :-1]), tokens[:, -1:]
        shape = (samples, horizon, *tokens.shape[2:])
        noise = torch.cat([torch.randn(shape, generator=_generator(seed)) for seed in seeds]).to(tokens)
        chunks: list[Tokens] = []
        for k in range(horizon):
            given = _Given(self.network, last, kv_caches)
            last = sample(given, noise[:, k : k + 1], self.steps, self.shift)
            kv_caches = given.kv_caches_after
            chunks.append(last)
        predicted = torch.cat(chunks, dim=1).unflatten(0, (len(context.tokens), samples))
        return Rollout(predicted, predicted)

    @torch.no_grad()
    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
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
        kv_caches = self.network.prefill(tokens[:, :-2])
        cells = tokens.shape[2] * tokens.shape[3]
        errors = []
        for k in range(context_length, tokens.shape[1]):
            before = [memory.first((k - 1) * cells).repeated(count) for memory in kv_caches or ()]
            chunk, previous, drawn = (
                x.repeat(count, 1, 1, 1, 1) for x in (tokens[:, k : k + 1], tokens[:, k - 1 : k], noise[:, k : k + 1])
            )
            denoised, _ = self.network(noised(chunk, drawn, level), level, previous, before or None)
            error = (denoised.float() - chunk).square().mean(dim=(1, 2, 3, 4)) / level.squeeze(1).square()
            errors.append(error.view(count, -1).T)
        return torch.stack(errors, dim=1)


class _Given:
    """The network with its context filled in: a denoiser of the chunk after `previous`."""

    def __init__(self, network: DiffusionTransformer, previous: Tokens, kv_caches: list[KVCache] | None) -> None:
        self.network, self.previous, self.kv_caches = network, previous, kv_caches
        self.kv_caches_after: list[KVCache] | None = None
        """The memories with this chunk's own, as of the first call, whose level is 1."""

    def __call__(self, noisy: Tokens, noise_level: float, following: float) -> Tokens:
        level, towards = (torch.full(noisy.shape[:2], each, device=noisy.device) for each in (noise_level, following))
        chunk, seen = self.network(noisy, level, self.previous, self.kv_caches, towards=towards)
        if self.kv_caches_after is None:
            self.kv_caches_after = seen
        clean: Tokens = chunk.float()
        return clean


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
