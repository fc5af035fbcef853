"""The diffusion world: a transformer that says what clean chunk a noisy one hides, and its rollouts and surprise."""

from collections.abc import Sequence

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from vidworld.core.counter_rng import normal_of
from vidworld.core.shapes import Tokens
from vidworld.models.flow import noised, sample
from vidworld.models.layers import Block, KVCache, KVCaches, initialise, norm, through
from vidworld.models.world_model import Encoded, Rollout

CHANGE = 0.3
"""Variance of a token's change from one chunk to the next, of tokens whose own is 1: as a rule, of simulated clips."""


class DiffusionTransformer(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Clean chunks from noisy ones and the clean ones before them, with a noise level for each chunk.

    Source: DiT (arXiv 2212.09748), its adaptive norm shared by the blocks as in PixArt (arXiv 2310.00426) but of low
    rank, so that the network stays within 5% of the parameters of a plain transformer of its width and depth; a noise
    level for each chunk as in diffusion forcing (arXiv 2407.01392).
    """

    _supports_gradient_checkpointing = True
    _repeated_blocks = ["Block"]  # noqa: RUF012  (diffusers reads it; its own classes have it so)

    @register_to_config
    def __init__(
        self,
        channels: int = 32,
        width: int = 192,
        depth: int = 6,
        heads: int = 3,
        modulation_rank: int = 32,
        attention_backend: str = "native",
        flow_map: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.flow_map, self.gradient_checkpointing = heads, flow_map, False
        self.embed = nn.Linear(channels, width)
        self.embed_previous = nn.Linear(channels, width, bias=False)

        def of_number() -> nn.Sequential:
            rank = modulation_rank
            return nn.Sequential(nn.Linear(128, rank), nn.SiLU(), nn.Linear(rank, rank), nn.SiLU())

        self.embed_noise = of_number()
        self.embed_jump = of_number() if flow_map else None
        self.modulation = nn.Linear(modulation_rank, 8 * width)
        self.block_modulation = nn.Parameter(torch.zeros(depth, 6, width))
        self.blocks = nn.ModuleList(Block(width, heads, attention_backend) for _ in range(depth))
        self.head = nn.Linear(width, channels)
        self._initialise(depth)

    def _initialise(self, depth: int) -> None:
        """Every block begins as a plain transformer block of half strength.

        Gates begin at one half and not at zero as in DiT: with closed gates an untrained network ignores its context,
        and a short training spends its first hundreds of steps on opening them.
        """
        initialise(self, depth)
        nn.init.zeros_(self.block_modulation)
        for embed in (self.embed_noise, self.embed_jump):
            if embed is not None:
                nn.init.normal_(embed.get_parameter("0.weight"), std=128**-0.5)
        if self.embed_jump is not None:  # a jump changes nothing before it is trained
            nn.init.zeros_(self.embed_jump.get_parameter("2.weight"))
        nn.init.zeros_(self.modulation.weight)
        with torch.no_grad():
            self.block_modulation[:, 2] = self.block_modulation[:, 5] = 0.5

    def forward(
        self,
        noisy: Tokens,
        noise_level: Float[Tensor, "clip t"],
        previous: Tokens,
        kv_caches: KVCaches | None = None,
        towards: Float[Tensor, "clip t"] | None = None,
    ) -> tuple[Tokens, KVCaches]:
        """The clean chunks behind noisy ones, and the keys and values of these and of those before.

        Noise levels lie in [0, 1], 0 being clean. `previous` is the clean chunk before each: it enters where its noisy
        successor does, so that every chunk of one pass has a clean past, its own and those of the chunks that it looks
        back at. `kv_caches` stand for earlier chunks.

        Input and output are preconditioned as in EDM (arXiv 2206.00364), with the previous chunk for the mean of what
        is expected: the network sees the best linear estimate and adds what that misses, as much as it may miss. At
        level 1 that is the previous chunk alone, so that pure noise disturbs nothing, and what is predicted is the
        change, as in the JEPA.

        With `flow_map` the answer is where a straight step would end that leads as far as the curved flow does from
        the noise level to the level `towards` (the same level where none is given: the flow at the level itself).
        Without it the flow at the level is all that the network knows, and `towards` changes nothing.
        """
        b, t, h, w, _ = noisy.shape
        level = noise_level[:, :, None, None, None]
        spread = CHANGE * (1 - level) ** 2 + level**2
        estimate = previous + CHANGE * (1 - level) / spread * (noisy - (1 - level) * previous)
        deviation = (CHANGE / spread).sqrt() * level
        x = self.embed(estimate.flatten(2, 3)) + self.embed_previous(previous.flatten(2, 3))
        embedded = self.embed_noise(_frequencies(noise_level).to(x.dtype))
        if self.embed_jump is not None:
            jump = noise_level - (noise_level if towards is None else towards)
            embedded = embedded + self.embed_jump(_frequencies(jump).to(x.dtype))
        modulation = self.modulation(embedded).to(x.dtype).view(b, t, 1, 8, -1)

        def of_block(number: int) -> tuple[Tensor, ...]:
            own = (modulation[..., :6, :] + self.block_modulation[number].to(x.dtype)).unbind(dim=-2)
            return own[0], 1 + own[1], own[2], own[3], 1 + own[4], own[5]

        y, seen = through(self, self.blocks, x, (h, w), kv_caches, of_block)
        shift, scale = modulation[..., 6:, :].unbind(dim=-2)
        change = self.head(torch.addcmul(shift, norm(y), 1 + scale)).view(noisy.shape)
        return estimate + deviation * change, seen

    def prefill(self, previous: Tokens, kv_caches: KVCaches | None = None) -> KVCaches | None:
        """What later chunks look back at of those that follow these clean ones, at level 1: free of noise. Or None."""
        if not previous.shape[1]:
            return kv_caches
        level = torch.ones(previous.shape[:2], device=previous.device)
        remembered: KVCaches = self(previous, level, previous, kv_caches)[1]
        return remembered


def _frequencies(levels: Float[Tensor, "clip t"]) -> Float[Tensor, "chunk 128"]:
    found: Tensor = get_timestep_embedding(levels.flatten() * 1000, 128)
    return found


class GenerativeModel:
    """Denoises the next chunk; surprise is the denoising error of the chunk that really came."""

    def __init__(self, network: DiffusionTransformer, name: str, steps: int, shift: float, levels: Sequence[float]):
        self.network, self.name = network.eval(), name
        self.steps, self.shift, self.levels = steps, shift, tuple(levels)

    @torch.no_grad()
    def rollout(self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int]) -> Rollout:
        """Chunk after chunk, each from noise given the clean ones before it, whose keys and values are kept."""
        tokens = context.tokens.repeat_interleave(samples, dim=0)
        kv_caches, last = self.network.prefill(tokens[:, :-1]), tokens[:, -1:]
        noise = _noise(seeds, samples, horizon, *tokens.shape[2:]).flatten(0, 1).to(tokens)
        chunks: list[Tokens] = []
        for drawn in noise.split(1, dim=1):
            last, kv_caches = self._next(drawn, last, kv_caches)
            chunks.append(last)
        predicted = torch.cat(chunks, dim=1).unflatten(0, (len(context.tokens), samples))
        return Rollout(predicted, predicted)

    def _next(self, noise: Tokens, previous: Tokens, kv_caches: KVCaches | None) -> tuple[Tokens, KVCaches | None]:
        """The chunk after `previous`, and the keys and values with its own.

        What is remembered of a place is free of noise (`DiffusionTransformer.prefill`). So is the first step of
        sampling, which starts from level 1: its keys and values are those to keep, and cost nothing more.
        """
        after: KVCaches | None = None

        def denoised(noisy: Tokens, noise_level: float, following: float) -> Tokens:
            nonlocal after
            level, towards = (torch.full(noisy.shape[:2], x, device=noisy.device) for x in (noise_level, following))
            chunk, seen = self.network(noisy, level, previous, kv_caches, towards=towards)
            after = after or seen
            clean: Tokens = chunk.float()
            return clean

        return sample(denoised, noise, self.steps, self.shift), after

    @torch.no_grad()
    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        return self.surprise_by_level(seen, context_length, seeds).mean(dim=-1)

    @torch.no_grad()
    def surprise_by_level(
        self, seen: Encoded, context_length: int, seeds: Sequence[int]
    ) -> Float[Tensor, "clip chunk level"]:
        """Squared velocity error at each of `levels`, all in one batch: which tell is chosen on a validation split."""
        tokens, count = seen.tokens, len(self.levels)
        noise = _noise(seeds, *tokens.shape[1:]).to(tokens)
        level = tokens.new_tensor(self.levels).repeat_interleave(len(tokens)).unsqueeze(1)  # (level clip, 1)
        kv_caches = self.network.prefill(tokens[:, :-2])
        errors = []
        for k in range(context_length, tokens.shape[1]):
            seen_cells = (k - 1) * tokens.shape[2] * tokens.shape[3]
            before = [
                KVCache(*(x[:, :, :seen_cells].repeat(count, 1, 1, 1) for x in memory)) for memory in kv_caches or ()
            ]
            chunk, previous, drawn = (
                x.repeat(count, 1, 1, 1, 1) for x in (tokens[:, k : k + 1], tokens[:, k - 1 : k], noise[:, k : k + 1])
            )
            denoised, _ = self.network(noised(chunk, drawn, level), level, previous, before or None)
            error = (denoised.float() - chunk).square().mean(dim=(1, 2, 3, 4)) / level.squeeze(1).square()
            errors.append(error.view(count, -1).T)
        return torch.stack(errors, dim=1)


def _noise(seeds: Sequence[int], *shape: int) -> Float[Tensor, "clip *shape"]:
    return normal_of([torch.Generator().manual_seed(seed) for seed in seeds], *shape)
