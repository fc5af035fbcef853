"""What a Gaussian over tokens says of chance that has the true moments: those of the tokens of true futures.

Read as models are, it shows what a head of that form comes to that has learned what is true.
"""

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.counter_rng import normal_of
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.presentation import names_of
from vidworld.simulation.simulated import SimulatedClips

MOMENTS_OF = 48
"""True futures of each clip that moments are of."""
NUMBERED_FROM = 100_000
"""Their numbers are others than those that the true variance is of."""

FutureTokens = Float[Tensor, "clip future t h w latent"]
FutureDraws = Float[Tensor, "clip sample t h w latent"]


def tokens_of_futures(evaluator: Evaluator, source: SimulatedClips, numbers: range) -> FutureTokens:
    """The tokens of other futures of these clips, after the same context."""
    found = []
    for number in range(NUMBERED_FROM, NUMBERED_FROM + MOMENTS_OF):
        other = copy.copy(source)
        other.again = source.again._replace(number=number, seen_frames=evaluator.context_frames)
        found.append(evaluator.encode(other.clips(numbers)).tokens[:, evaluator.context_length :].float())
    return torch.stack(found, dim=1)


def of_numbers(futures: FutureTokens, normal: FutureDraws) -> FutureDraws:
    """Draws in which each number varies by itself, as it does in the futures."""
    draws: Tensor = futures.mean(dim=1, keepdim=True) + futures.std(dim=1, keepdim=True) * normal
    return draws


def of_cells(futures: FutureTokens, normal: Float[Tensor, "clip sample t h w future"]) -> FutureDraws:
    """Draws in which the numbers of each cell vary together, as they do in the futures; cells by themselves."""
    mean = futures.mean(dim=1, keepdim=True)
    apart = torch.einsum("nsthwf,nfthwc->nsthwc", normal, futures - mean)
    draws: Tensor = mean + apart / (futures.shape[1] - 1) ** 0.5
    return draws


Form = tuple[Callable[[FutureTokens, Tensor], FutureDraws], Callable[[FutureTokens], int]]
TRUE_GAUSSIANS: dict[str, Form] = {
    "true_numbers": (of_numbers, lambda futures: futures.shape[-1]),
    "true_cells": (of_cells, lambda futures: futures.shape[1]),
}
"""How each draws, and how many normal numbers a cell takes."""


def true_gaussian(
    name: str, evaluator: Evaluator, source: SimulatedClips, numbers: range, samples: int
) -> FutureTokens:
    """So many draws of each of these clips by the Gaussian of this name."""
    futures = tokens_of_futures(evaluator, source, numbers)
    draw, width = TRUE_GAUSSIANS[name]
    seeds = evaluator.seeds(names_of(source.clips(numbers).frames))
    shape = (samples, *futures.shape[2:5], width(futures))
    normal = normal_of([torch.Generator().manual_seed(seed) for seed in seeds], *shape)
    return draw(futures, normal.to(futures))
