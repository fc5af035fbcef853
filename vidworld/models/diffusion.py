"""Diffusion: rectified flow, the network that denoises, its rollouts and surprise."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.modeling_utils import ModelMixin
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from jaxtyping import Float
from torch import Tensor, nn

from vidworld.core.clip import Actions, Tokens
from vidworld.core.counter_rng import normal_of
from vidworld.models.layers import ActionEmbedding, Block, KVCache, KVCaches, initialise, norm, through, with_actions
from vidworld.models.losses import LOG_VARIANCES, correlated_loss
from vidworld.models.preconditioning import CHANGE, Changes, preconditioned
from vidworld.models.world_model import Encoded, Futures, Rollout, acted, no_grad_unless_asked


def noised(tokens: Tokens, noise: Tokens, noise_level: Float[Tensor, "clip t"]) -> Tokens:
    """Tokens on the straight line from clean (level 0) to noise (level 1): rectified flow (arXiv 2209.03003)."""
    return torch.lerp(tokens, noise, noise_level[:, :, None, None, None].to(tokens.dtype))


def shifted(level: Tensor, shift: float) -> Tensor:
    """Noise levels moved towards noise by `shift` > 1; 0 and 1 stay. Source: Stable Diffusion 3 (arXiv 2403.03206),
    eq. 23: neighbouring tokens are redundant, so that it takes more noise to hide what a chunk shows."""
    return shift * level / (1 + (shift - 1) * level)


def training_levels(drawn: Tensor, shift: float, pure: float) -> Tensor:
    """Noise levels to train at, of numbers drawn evenly from [0, 1): the share `pure` at level 1, the others shifted.

    At level 1 nothing of a chunk is left to see, so that what is remembered is all there is to learn from; and a chunk
    that others look back at is then as it will be in a rollout.
    """
    return shifted(((drawn - pure) / (1 - pure)).clamp_min(0), shift).where(drawn >= pure, 1.0)


def velocity(noisy: Tokens, denoised: Tokens, noise_level: Float[Tensor, "clip t"]) -> Tokens:
    """The velocity at noisy tokens that leads straight to the denoised ones."""
    return (noisy - denoised) / noise_level[:, :, None, None, None]


def flow_loss(
    network: Callable[..., Any],
    tokens: Tokens,
    noise: Float[Tensor, "clip later h w latent"],
    noise_level: Float[Tensor, "clip later"],
    actions: Actions | None = None,
    *,
    with_spread: bool = False,
) -> Float[Tensor, ""]:
    """Mean squared error of every chunk but the first, denoised from a level of its own given the clean ones before.

    Noise and levels are those of the chunks but the first. All levels weigh the same: weighed as velocities, by one
    over the level squared, those at which nothing is left to predict drown the others (DECISIONS.md, 2026-11-22).

    `with_spread`: and, where the network predicts how changes vary, the likelihood of what it leaves of them, through
    which no gradient goes to what is denoised.
    """
    chunks = tokens[:, 1:]
    given: dict[str, Any] = {} if actions is None else {"actions": actions[:, 1:]}
    if with_spread:
        given["with_spread"] = True
    found = network(noised(chunks, noise, noise_level), noise_level, tokens[:, :-1], **given)
    denoised, spread = found[0], found[2:]
    loss = F.mse_loss(denoised.float(), chunks.float())
    if spread:
        loss = loss + correlated_loss(denoised.detach(), spread[0], chunks, spread[1])
    return loss


def sample(
    denoiser: Callable[[Tokens, float, float], Tokens], noise: Tokens, steps: int, shift: float, order: int = 1
) -> Tokens:
    """Clean tokens: the flow from noise, by `steps` Euler steps of diffusers' scheduler, or Heun's of `order` 2.

    Euler's steps shrink what they draw: of a Gaussian's variance of 0.3 to 30, 16 even ones (shift 1) leave 0.71 to
    0.85, Heun's, which evaluate twice but for the last, 0.97 to 1.00. Of less variance both leave less, and of shift 8
    hardly any of what is small. Source: EDM (arXiv 2206.00364), algorithm 1.

    `denoiser` gives the clean tokens behind noisy ones of a level, of which a step to the second level is to be taken.
    """
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps).tolist(), device=noise.device)
    tokens = noise
    for timestep, (level, following) in zip(scheduler.timesteps, pairwise(scheduler.sigmas.tolist()), strict=True):
        flow = velocity(tokens, denoiser(tokens, level, following), tokens.new_full(tokens.shape[:2], level))
        if order == 2 and following > 0:
            ahead = tokens + (following - level) * flow
            there = denoiser(ahead, following, following)
            flow = (flow + velocity(ahead, there, tokens.new_full(tokens.shape[:2], following))) / 2
        tokens = scheduler.step(flow, timestep, tokens).prev_sample
    return tokens


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
        action_channels: int = 0,
        prediction: Literal["edm", "sample", "fitted"] = "edm",
    ) -> None:
        super().__init__()
        self.heads, self.gradient_checkpointing, self.prediction = heads, False, prediction
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
        self.changes = Changes(channels, width) if prediction == "fitted" else None
        self.embed_action = ActionEmbedding(action_channels, width) if action_channels else None
        initialise(self, depth)
        if self.embed_action is not None:
            self.embed_action.draw()
        if self.changes is not None:  # the variance of the fit, before anything is learned of where it is another
            nn.init.zeros_(self.changes.spread.weight)
        nn.init.zeros_(self.block_modulation)
        for embed in (self.embed_noise, self.embed_jump):
            if embed is not None:
                nn.init.normal_(embed.get_parameter("0.weight"), std=128**-0.5)
        if self.embed_jump is not None:  # a jump changes nothing before it is trained
            nn.init.zeros_(self.embed_jump.get_parameter("2.weight"))
        nn.init.zeros_(self.modulation.weight)
        # Every block begins as a plain transformer block of half strength. Gates are not zero as in DiT: an untrained
        # network would ignore its context, and a short training spend hundreds of steps on opening them.
        with torch.no_grad():
            self.block_modulation[:, 2] = self.block_modulation[:, 5] = 0.5

    def forward(
        self,
        noisy: Tokens,
        noise_level: Float[Tensor, "clip t"],
        previous: Tokens,
        kv_caches: KVCaches | None = None,
        towards: Float[Tensor, "clip t"] | None = None,
        actions: Actions | None = None,
        with_spread: bool = False,
    ) -> tuple[Tokens, KVCaches, *tuple[Tensor, ...]]:
        """The clean chunks behind noisy ones, and the keys and values of these and of those before.

        And `with_spread`, where it is predicted, how what is denoised varies: logarithms of variances, and their basis.

        Noise levels lie in [0, 1], 0 being clean. `previous` is the clean chunk before each: it enters where its noisy
        successor does, so that every chunk of one pass has a clean past. `kv_caches` stand for earlier chunks;
        `actions` are what is done in the noisy ones.

        Input and output are preconditioned as in EDM (arXiv 2206.00364), with the previous chunk for the mean of what
        is expected: the network sees the best linear estimate and adds what that misses, as much as it may miss. At
        level 1 that is the previous chunk alone, so that pure noise disturbs nothing, and what is predicted is the
        change, as in the JEPA. With `prediction` "sample" the change is added to that chunk at every level
        (x-prediction, arXiv 2511.13720): what is added to a noisy estimate has to take its noise out again, which a
        network narrower than its tokens cannot carry. With "fitted" the estimate is of `Changes`, which has no noise
        where nothing changes, and as much of the change as is to be expected of each place.

        With `flow_map` the answer is where a straight step would end that leads as far as the curved flow does from
        the noise level to the level `towards` (by default the same: the flow itself). Without it `towards` is not used.
        """
        b, t, h, w, _ = noisy.shape
        level = noise_level[:, :, None, None, None]
        apart, changes = noisy - (1 - level) * previous, self.changes
        kept, deviation = preconditioned(level, CHANGE)
        if changes is None:
            estimate = previous + kept * apart
        else:
            estimate = previous + changes.kept(apart, preconditioned(level, changes.variance)[0], changes.basis)
        x = self.embed(estimate.flatten(2, 3)) + self.embed_previous(previous.flatten(2, 3))
        x = with_actions(x, self.embed_action, actions)
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
        y = torch.addcmul(shift, norm(y), 1 + scale)
        if changes is not None:
            variance, basis = changes.variance_here(y).view(noisy.shape), changes.learned_basis()
            kept, missed = preconditioned(level, variance)
            estimate = previous + changes.kept(apart, kept, basis)
        change = self.head(y).view(noisy.shape)
        denoised = previous + change if self.prediction == "sample" else estimate + deviation * change
        if with_spread and changes is not None:
            return denoised, seen, missed.square().clamp_min(math.exp(LOG_VARIANCES[0])).log(), basis
        return denoised, seen

    def prefill(
        self, previous: Tokens, kv_caches: KVCaches | None = None, actions: Actions | None = None
    ) -> KVCaches | None:
        """What later chunks look back at of those that follow these clean ones, at level 1: free of noise. Or None.

        `actions` are what is done in those that follow.
        """
        if not previous.shape[1]:
            return kv_caches
        level = torch.ones(previous.shape[:2], device=previous.device)
        remembered: KVCaches = self(previous, level, previous, kv_caches, actions=actions)[1]
        return remembered


def _frequencies(levels: Float[Tensor, "clip t"]) -> Float[Tensor, "chunk 128"]:
    found: Tensor = get_timestep_embedding(levels.flatten() * 1000, 128)
    return found


class GenerativeModel:
    """Denoises the next chunk; surprise is the denoising error of the chunk that really came, a mean over `levels`."""

    def __init__(
        self,
        network: DiffusionTransformer,
        name: str,
        steps: int,
        shift: float,
        levels: Sequence[float],
        order: int = 1,
    ):
        self.network, self.name = network.eval(), name
        self.steps, self.shift, self.levels = steps, shift, tuple(levels)
        self.order = order if network.embed_jump is None else 1  # a flow map's steps know the curve already
        if network.changes is not None:
            network.changes.settle()

    @no_grad_unless_asked
    def rollout(
        self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int], actions: Futures | None = None
    ) -> Rollout:
        """Chunk after chunk, each from noise given the clean ones before it, whose keys and values are kept."""
        # Futures differ by actions where there are any.
        samples, drawn_for = (samples, samples) if actions is None else (actions.shape[1], 1)
        noise = _noise(seeds, drawn_for, horizon, *context.tokens.shape[2:])
        noise = noise.expand(-1, samples, *[-1] * 4).flatten(0, 1)
        if actions is None:
            tokens, done = context.tokens.repeat_interleave(samples, dim=0), [None] * horizon
            kv_caches, last = self.remembered(tokens), tokens[:, -1:]
        else:
            kv_caches, last = self.remembered(context.tokens, context.actions), context.tokens[:, -1:]
            kv_caches = kv_caches and [cache.repeated(samples) for cache in kv_caches]
            last, done = last.repeat_interleave(samples, dim=0), list(actions.flatten(0, 1).split(1, dim=1))
        chunks: list[Tokens] = []
        for drawn, now in zip(noise.to(last).split(1, dim=1), done, strict=True):
            last, kv_caches = self.following(last, kv_caches, now, drawn)
            chunks.append(last)
        predicted = torch.cat(chunks, dim=1).unflatten(0, (len(context.tokens), samples))
        return Rollout(predicted, predicted)

    entered = decoded = staticmethod(lambda tokens: tokens)  # what chunks go in as, and come out as

    @no_grad_unless_asked
    def remembered(self, seen: Tokens, actions: Actions | None = None) -> KVCaches | None:
        """What the chunk after these looks back at of all but the last; None of one alone. `actions`: done in each."""
        before = None if actions is None else actions[:, 1:]
        return self.network.prefill(seen[:, :-1], actions=before)

    @no_grad_unless_asked
    def following(
        self, previous: Tokens, kv_caches: KVCaches | None, done: Actions | None, noise: Tokens
    ) -> tuple[Tokens, KVCaches | None]:
        """The chunk after `previous` from noise, and the keys and values with its own.

        What is remembered of a place is free of noise (`DiffusionTransformer.prefill`). So is the first step of
        sampling, which starts from level 1: its keys and values are those to keep, and cost nothing more.
        """
        after: KVCaches | None = None

        def denoised(noisy: Tokens, noise_level: float, following: float) -> Tokens:
            nonlocal after
            level, towards = (torch.full(noisy.shape[:2], x, device=noisy.device) for x in (noise_level, following))
            chunk, seen = self.network(noisy, level, previous, kv_caches, towards, done)
            after = after or seen
            clean: Tokens = chunk.float()
            return clean

        return sample(denoised, noise, self.steps, self.shift, self.order), after

    @torch.no_grad()
    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        return self.surprise_by_level(seen, context_length, seeds).mean(dim=-1)

    @torch.no_grad()
    def surprise_by_level(
        self, seen: Encoded, context_length: int, seeds: Sequence[int]
    ) -> Float[Tensor, "clip chunk level"]:
        """Squared velocity error at each of `levels`, all in one batch."""
        errors = []
        for squared, level in self.squared_errors(seen, context_length, seeds):
            error = squared.mean(dim=(1, 2, 3, 4)) / level.squeeze(1).square()
            errors.append(error.view(len(self.levels), -1).T)
        return torch.stack(errors, dim=1)

    def squared_errors(
        self, seen: Encoded, context_length: int, seeds: Sequence[int]
    ) -> Iterator[tuple[Float[Tensor, "noisy 1 h w latent"], Float[Tensor, "noisy 1"]]]:
        """Of each chunk after the context: those of what is denoised from every level in turn, and these levels."""
        tokens, count, actions = seen.tokens, len(self.levels), acted(self.network, seen)
        noise = _noise(seeds, *tokens.shape[1:]).to(tokens)
        level = tokens.new_tensor(self.levels).repeat_interleave(len(tokens)).unsqueeze(1)  # (level clip, 1)
        caches = self.network.prefill(tokens[:, :-2], actions=None if actions is None else actions[:, 1:-1]) or ()
        for k in range(context_length, tokens.shape[1]):
            cells = (k - 1) * tokens.shape[2] * tokens.shape[3]
            before = [KVCache(*(x[:, :, :cells].repeat(count, 1, 1, 1) for x in memory)) for memory in caches]
            chunk, previous, drawn = (
                x.repeat(count, 1, 1, 1, 1) for x in (tokens[:, k : k + 1], tokens[:, k - 1 : k], noise[:, k : k + 1])
            )
            done = None if actions is None else actions[:, k : k + 1].repeat(count, 1, 1)
            denoised, _ = self.network(noised(chunk, drawn, level), level, previous, before or None, actions=done)
            yield (denoised.float() - chunk).square(), level


def _noise(seeds: Sequence[int], *shape: int) -> Float[Tensor, "clip *shape"]:
    return normal_of([torch.Generator().manual_seed(seed) for seed in seeds], *shape)
