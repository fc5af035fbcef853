"""Few steps of sampling: a diffusion transformer learns jumps along its own flow."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from vidworld.core.clip import Actions, Tokens
from vidworld.core.counter_rng import normal_of, uniform_of
from vidworld.models.diffusion import noised, shifted, velocity

MAX_STEPS = 4
"""Steps of the finest sampling of a flow map; each is learnt from two that are half as long."""


def flow_map_of(network: ModelMixin) -> Any:
    """A diffusion transformer conditioned on how far a step goes; untrained it answers as the given one does."""
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


class JumpDraws(NamedTuple):
    """What a batch is given at random, each clip from its own stream."""

    noise: Float[Tensor, "clip later h w latent"]
    uniform: Float[Tensor, "clip 4 later"]  # which jump (steps of sampling, and which of them), flow or jump, level


def draw(streams: Sequence[Generator], tokens: Tokens) -> JumpDraws:
    """For every chunk of the clips but the first."""
    return JumpDraws(normal_of(streams, *tokens[0, 1:].shape), uniform_of(streams, 4, tokens.shape[1] - 1))


def jumps(which: Float[Tensor, "clip 2 t"], shift: float) -> Jump:
    """For each chunk one of the steps of sampling in 1, 2 or 4, by two numbers in [0, 1)."""
    steps = 2 ** (which[:, 0] * MAX_STEPS.bit_length()).floor()
    number = (which[:, 1] * steps).floor()
    start, halfway, end = (shifted(1 - (number + part) / steps, shift) for part in (0.0, 0.5, 1.0))
    return Jump(start, halfway, end, steps == MAX_STEPS)


def flow_map_loss(
    network: nn.Module,
    tokens: Tokens,
    drawn: JumpDraws,
    shift: float,
    sampling_shift: float,
    actions: Actions | None = None,
) -> Float[Tensor, ""]:
    """Mean squared error of every chunk but the first: about a quarter learn the flow itself, others jumps along it.

    A jump must end where two of half as many levels do; the finest are learnt from steps of the flow, which the clean
    chunks keep in place. Source: shortcut models (arXiv 2410.12557): a flow map (arXiv 2406.07507) of steps that are
    powers of two. `network` is of `flow_map_of`; `shift` is how training noise leans to the noisy end,
    `sampling_shift` how the levels of sampling do.
    """
    chunks, previous = tokens[:, 1:], tokens[:, :-1]
    given: dict[str, Any] = {} if actions is None else {"actions": actions[:, 1:]}
    jump = jumps(drawn.uniform[:, :2], sampling_shift)
    by_flow = drawn.uniform[:, 2] < 0.25
    level = shifted(drawn.uniform[:, 3], shift).clamp_min(1e-3)
    start = torch.where(by_flow, level, jump.start)
    noisy = noised(chunks, drawn.noise, start)
    halfway, end = torch.where(by_flow, level / 2, jump.halfway), torch.where(by_flow, 0.0, jump.end)
    with torch.no_grad():
        aim = two_halves(network, noisy, previous, Jump(start, halfway, end, jump.finest), **given)
    aim = torch.where(by_flow[:, :, None, None, None], chunks.float(), aim)
    clean, _ = network(noisy, start, previous, towards=torch.where(by_flow, level, jump.end), **given)
    return F.mse_loss(clean.float(), aim)


def two_halves(network: nn.Module, noisy: Tokens, previous: Tokens, jump: Jump, **given: Tensor) -> Tokens:
    """The clean chunk that a straight step must aim at to end where two of half its length do."""

    def moved(tokens: Tokens, level: Tensor, following: Tensor) -> Tokens:
        clean, _ = network(tokens, level, previous, towards=torch.where(jump.finest, level, following), **given)
        return tokens + (following - level)[:, :, None, None, None] * velocity(tokens, clean.float(), level)

    ended = moved(moved(noisy, jump.start, jump.halfway), jump.halfway, jump.end)
    share = jump.start / (jump.start - jump.end)
    return noisy - share[:, :, None, None, None] * (noisy - ended)
