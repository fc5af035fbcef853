"""Rectified flow: noising, what the network is trained on, and sampling."""

from typing import Protocol

import torch
from diffusers.schedulers import FlowMatchEulerDiscreteScheduler
from jaxtyping import Float
from torch import Tensor

from vidworld.shapes import Tokens


class Velocity(Protocol):
    """Anything that gives the velocity of tokens at one noise level: a network with its context filled in."""

    def __call__(self, tokens: Tokens, noise_level: float) -> Tokens: ...


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


def training_levels(clips: int, chunks: int, shift: float) -> Float[Tensor, "clip t"]:
    """Noise levels of a batch: independent for each chunk; in every second clip, chunks before a random one are clean.

    Source: diffusion forcing (arXiv 2407.01392). A rollout always has clean chunks before the one that it makes,
    hence the second half. The clean chunks teach nothing; `flow_loss` leaves them out.
    """
    level = shifted(torch.rand(clips, chunks), shift)
    first_noisy = torch.randint(1, chunks, (clips, 1)) if chunks > 1 else torch.zeros(clips, 1)
    clean = (torch.arange(chunks) < first_noisy) & (torch.arange(clips) % 2 == 0)[:, None]
    return level.masked_fill(clean, 0.0)


def flow_loss(
    velocity: Tokens, tokens: Tokens, noise: Tokens, noise_level: Float[Tensor, "clip t"]
) -> Float[Tensor, ""]:
    """Mean squared error of the velocity over the chunks that carry noise."""
    error = (velocity.float() - (noise - tokens).float()).square().mean(dim=(2, 3, 4))
    noisy = noise_level > 0
    return (error * noisy).sum() / noisy.sum().clamp_min(1)


def sample(velocity: Velocity, noise: Tokens, steps: int, shift: float) -> Tokens:
    """Clean tokens: the flow from noise, by `steps` Euler steps of diffusers' scheduler."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps).tolist(), device=noise.device)
    tokens = noise
    for timestep, level in zip(scheduler.timesteps, scheduler.sigmas.tolist(), strict=False):
        tokens = scheduler.step(velocity(tokens, level), timestep, tokens).prev_sample
    return tokens
