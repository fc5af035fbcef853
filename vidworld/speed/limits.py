"""What the machine can do, measured beside what is done: matrix products and copies."""

from dataclasses import asdict, dataclass

import torch

from vidworld.speed.timing import medians_s

SQUARE = 2048
"""Side of the product that stands for the processor's best rate."""
COPIED_BYTES = 256 * 2**20
"""More than a cache holds."""


@dataclass(frozen=True)
class Limits:
    """Rates that nothing here can pass."""

    products: float
    """Floating-point operations a second of a large square product in bf16."""
    block_products: float
    """The same for the products of one transformer block, forward and backward, at the model's own shapes."""
    copy: float
    """Bytes a second from memory to memory, each counted once."""

    def in_words(self) -> dict[str, float]:
        """The rates by name and unit, for a record."""
        names = {"products": "gflops", "block_products": "gflops", "copy": "gb_per_s"}
        return {f"{name}_{names[name]}": round(rate / 1e9, 1) for name, rate in asdict(self).items()}


def measure_limits(places: int, width: int, device: torch.device, budget_s: float) -> Limits:
    """The machine's rates now; `places` are the tokens of a batch, `width` that of the stream."""

    def matrix(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, device=device, dtype=torch.bfloat16)

    square, other = matrix(SQUARE, SQUARE), matrix(SQUARE, SQUARE)
    # of a block: queries, keys and values; out of attention; up and down in its two-layer network
    sides = ((width, 3 * width), (width, width), (width, 4 * width), (4 * width, width))
    layers = [(matrix(places, i), matrix(o, i), matrix(places, o)) for i, o in sides]

    def block() -> None:
        for inputs, weight, gradient in layers:
            inputs @ weight.T
            gradient @ weight
            gradient.T @ inputs

    source = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = medians_s(
        {"square": lambda: square @ other, "block": block, "copy": lambda: target.copy_(source)}, budget_s
    )
    of_block = sum(3 * 2 * places * i * o for i, o in sides)
    return Limits(
        2 * SQUARE**3 / seconds["square"], of_block / seconds["block"], COPIED_BYTES / seconds["copy"]
    )
