"""Rectified flow: noising, what the network is trained on, and sampling."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from jaxtyping import Float
from torch import Tensor, nn

from vidworld.shapes import Tokens

Velocity = Callable[[Tokens, float], Tokens]
"""Gives the velocity of tokens at one noise level: a network with its context filled in."""


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


def flow_loss(network: nn.Module, tokens: Tokens, shift: float) -> Float[Tensor, ""]:
    """Mean squared error of the velocity of two noisy chunks, each given the clean chunks before it.

    One pass over the clean chunks remembers their keys and values, a second one denoises two neighbouring chunks, each
    at a level of its own and beside its clean self. So every target has the clean past that a rollout has; with noise
    on all chunks of one pass, as in diffusion forcing, hardly one in four has (DECISIONS.md, 2026-11-22).

    Raises:
        ValueError: the clips have fewer than three chunks.
    """
    b, t = tokens.shape[:2]
    if t < 3:
        raise ValueError(f"a clip of {t} chunks leaves no two of them a past")
    first = int(torch.randint(1, t - 1, ()))
    _, memories = network(tokens[:, :-1], torch.zeros(b, t - 1, device=tokens.device))
    chunks = tokens[:, first : first + 2]
    level = shifted(torch.rand(b, 2), shift).to(tokens.device)
    noise = torch.randn_like(chunks)
    velocity, _ = network(noised(chunks, noise, level), level, memories=memories, beside=first)
    return F.mse_loss(velocity.float(), (noise - chunks).float())


def sample(velocity: Velocity, noise: Tokens, steps: int, shift: float) -> Tokens:
    """Clean tokens: the flow from noise, by `steps` Euler steps of diffusers' scheduler."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps).tolist(), device=noise.device)
    tokens = noise
    for timestep, level in zip(scheduler.timesteps, scheduler.sigmas.tolist(), strict=False):
        tokens = scheduler.step(velocity(tokens, level), timestep, tokens).prev_sample
    return tokens
