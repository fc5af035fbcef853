"""Rectified flow: noising, what the network is trained on, sampling, and its flow map, which takes 1, 2 or 4 steps."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers.models.modeling_utils import ModelMixin
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vidworld.core.shapes import Tokens

Denoiser = Callable[[Tokens, float, float], Tokens]
"""Gives the clean tokens behind noisy ones of one noise level, of which a step to the second level is to be taken: a
network with its context filled in."""


def noised(tokens: Tokens, noise: Tokens, noise_level: Float[Tensor, "clip t"]) -> Tokens:
    """Tokens on the straight line from clean (level 0) to noise (level 1).

    Source: rectified flow (arXiv 2209.03003). The velocity along it is `noise - tokens`.
    """
    level = noise_level[:, :, None, None, None].to(tokens.dtype)
    return torch.lerp(tokens, noise, level)


def shifted(level: Tensor, shift: float) -> Tensor:
    """Noise levels moved towards noise by `shift` > 1; 0 and 1 stay.

    Source: Stable Diffusion 3 (arXiv 2403.03206), eq. 23: neighbouring tokens tell of each other, so that it takes
    more noise to hide what a chunk shows.
    """
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
    network: Callable[..., tuple[Tokens, Any]],
    tokens: Tokens,
    noise: Float[Tensor, "clip later h w latent"],
    noise_level: Float[Tensor, "clip later"],
) -> Float[Tensor, ""]:
    """Mean squared error of every chunk but the first, denoised from a level of its own given the clean ones before.

    Noise and levels are those of the chunks but the first.

    Clean chunks are predicted, all levels weighing the same: weighed as velocities, by one over the level squared, the
    levels at which nothing is left to predict drown the others in a short training (DECISIONS.md, 2026-11-22).
    """
    chunks = tokens[:, 1:]
    denoised, _ = network(noised(chunks, noise, noise_level), noise_level, tokens[:, :-1])
    return F.mse_loss(denoised.float(), chunks.float())


def sample(denoiser: Denoiser, noise: Tokens, steps: int, shift: float) -> Tokens:
    """Clean tokens: the flow from noise, by `steps` Euler steps of diffusers' scheduler."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps).tolist(), device=noise.device)
    tokens = noise
    for timestep, (level, following) in zip(scheduler.timesteps, pairwise(scheduler.sigmas.tolist()), strict=True):
        flow = velocity(tokens, denoiser(tokens, level, following), tokens.new_full(tokens.shape[:2], level))
        tokens = scheduler.step(flow, timestep, tokens).prev_sample
    return tokens


MAX_STEPS = 4
"""Steps of the finest sampling that is learnt; each is learnt from two that are half as long."""


def flow_map_of(network: ModelMixin) -> Any:
    """A diffusion transformer that can be told how far a step goes; untrained it answers as the given one does."""
    config = {name: value for name, value in network.config.items() if not name.startswith("_")}
    wider = type(network)(**config | {"flow_map": True})
    unknown = wider.load_state_dict(network.state_dict(), strict=False)
    assert not unknown.unexpected_keys
    return wider


class Jump(NamedTuple):
    """A step of sampling for each chunk, and the two of half its length that it is learnt from."""

    start: Float[Tensor, "clip t"]
    halfway: Float[Tensor, "clip t"]
    end: Float[Tensor, "clip t"]
    finest: Bool[Tensor, "clip t"]  # the halves are steps of the flow itself and no jumps


def draw_jumps(shape: torch.Size, shift: float, device: torch.device) -> Jump:
    """For each chunk one of the steps of sampling in 1, 2 or 4."""
    steps = 2 ** torch.randint(MAX_STEPS.bit_length(), shape, device=device)
    number = (torch.rand(shape, device=device) * steps).floor()
    start, halfway, end = (shifted(1 - (number + part) / steps, shift) for part in (0.0, 0.5, 1.0))
    return Jump(start, halfway, end, steps == MAX_STEPS)


def flow_map_loss(network: nn.Module, tokens: Tokens, shift: float, sampling_shift: float) -> Float[Tensor, ""]:
    """Mean squared error of every chunk but the first: a quarter learn the flow itself, the others jumps along it.

    A jump must end where two of half as many levels do; the finest are learnt from steps of the flow, which the clean
    chunks keep in place.
    Source: shortcut models (arXiv 2410.12557): a flow map (arXiv 2406.07507) of steps that are powers of two.

    `network` is of `flow_map_of`; `shift` is how training noise leans to the noisy end, `sampling_shift` how the levels
    of sampling do.
    """
    chunks, previous = tokens[:, 1:], tokens[:, :-1]
    jump = draw_jumps(chunks.shape[:2], sampling_shift, tokens.device)
    by_flow = torch.rand(jump.start.shape, device=tokens.device) < 0.25
    level = shifted(torch.rand_like(jump.start), shift).clamp_min(1e-3)
    start = torch.where(by_flow, level, jump.start)
    noisy = noised(chunks, torch.randn_like(chunks), start)
    with torch.no_grad():
        halfway, end = torch.where(by_flow, level / 2, jump.halfway), torch.where(by_flow, 0.0, jump.end)
        aim = two_halves(network, noisy, previous, Jump(start, halfway, end, jump.finest))
        aim = torch.where(by_flow[:, :, None, None, None], chunks.float(), aim)
    clean, _ = network(noisy, start, previous, towards=torch.where(by_flow, level, jump.end))
    return F.mse_loss(clean.float(), aim)


def two_halves(network: nn.Module, noisy: Tokens, previous: Tokens, jump: Jump) -> Tokens:
    """The clean chunk that a straight step must aim at to end where two of half its length do."""

    def moved(tokens: Tokens, level: Tensor, following: Tensor) -> Tokens:
        clean, _ = network(tokens, level, previous, towards=torch.where(jump.finest, level, following))
        return tokens + (following - level)[:, :, None, None, None] * velocity(tokens, clean.float(), level)

    ended = moved(moved(noisy, jump.start, jump.halfway), jump.halfway, jump.end)
    share = jump.start / (jump.start - jump.end)
    return noisy - share[:, :, None, None, None] * (noisy - ended)
