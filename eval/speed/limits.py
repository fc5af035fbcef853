"""What the machine can do, measured beside what is done: matrix products and copies."""

from typing import NamedTuple

import torch

from speed.timing import Job, medians_s
from vidworld.core.precision import product_dtype

SQUARE = 2048
"""Side of the product that stands for the processor's best rate."""
COPIED_BYTES = 256 * 2**20
"""More than a cache holds."""


class Probe(NamedTuple):
    """A job whose rate nothing that needs the same can pass."""

    job: Job
    amount: float
    """In one job: floating-point operations, or bytes."""


def square_product(device: torch.device, side: int = SQUARE) -> Probe:
    """A large square product in bf16 where the processor multiplies it, the best that it does."""
    square, other = (torch.randn(side, side, device=device, dtype=product_dtype()) for _ in range(2))
    return Probe(lambda: square @ other, 2 * side**3)


def memory_copy(device: torch.device) -> Probe:
    """From memory to memory, each byte counted once."""
    source = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Probe(lambda: target.copy_(source), COPIED_BYTES)


def block_products(places: int, width: int, device: torch.device) -> Probe:
    """The products of one transformer block, forward and backward, for a batch of so many tokens of this width."""

    def matrix(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, device=device, dtype=product_dtype())

    # queries, keys and values; out of attention; up and down in its two-layer network
    sides = ((width, 3 * width), (width, width), (width, 4 * width), (4 * width, width))
    layers = [(matrix(places, i), matrix(o, i), matrix(places, o)) for i, o in sides]

    def block() -> None:
        for inputs, weight, gradient in layers:
            inputs @ weight.T
            gradient @ weight
            gradient.T @ inputs

    return Probe(block, sum(3 * 2 * places * i * o for i, o in sides))


def rates(found: dict[str, Probe], budget_s: float) -> dict[str, float]:
    """Operations, or bytes, a second of each."""
    seconds = medians_s({name: probe.job for name, probe in found.items()}, budget_s)
    return {name: probe.amount / seconds[name] for name, probe in found.items()}
