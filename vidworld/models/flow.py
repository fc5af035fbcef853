"""Rectified flow: noising, what the network is trained on, and sampling."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from jaxtyping import Float
from torch import Tensor

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
