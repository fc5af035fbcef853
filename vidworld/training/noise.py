"""Noise by number: what a clip is given in a step is the same on any number of processes, and after any stop."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from vidworld.core.counter_rng import key


def generators(seed: int, step: int, places: Sequence[int]) -> list[Generator]:
    """A stream of random numbers for each clip of a step's batch, by its place in the whole batch."""
    return [Generator().manual_seed(key(f"noise/{seed}/{step}/{place}")) for place in places]


def normal(streams: Sequence[Generator], *shape: int) -> Float[Tensor, "stream *shape"]:
    """The next standard normal numbers of each stream."""
    return torch.stack([torch.randn(shape, generator=stream) for stream in streams])


def uniform(streams: Sequence[Generator], *shape: int) -> Float[Tensor, "stream *shape"]:
    """The next numbers of each stream, evenly distributed in [0, 1)."""
    return torch.stack([torch.rand(shape, generator=stream) for stream in streams])
