"""Random numbers by number: draw `k` of stream `s` is a hash, the same in any batch, worker or order.

Only operations that IEEE 754 rounds exactly (+, -, x, /, square root) turn bits into numbers, so that two
machines agree to the bit; sine and cosine are not among them.
"""

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

# Source: splitmix64 (Steele, Lea & Flood 2014), its constants as signed 64-bit integers.
GOLDEN = -7046029254386353131
MIX_1 = -4658895280553007687
MIX_2 = -7723592293110705685


def key(name: str) -> int:
    """A 64-bit number for a name, the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little", signed=True)


def public(name: str) -> str:
    """The name of a stream without its secret (what follows a '+'), in whose place stands a digest of it."""
    known, secret_follows, secret = name.partition("+")
    return f"{known}-{hashlib.sha256(secret.encode()).hexdigest()[:8]}" if secret_follows else known


def shift_right(bits: Int[Tensor, "*any"], by: int) -> Int[Tensor, "*any"]:
    """The bits shifted right, filled with zeros (torch's own shift repeats the sign)."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


def mix(bits: Int[Tensor, "*any"]) -> Int[Tensor, "*any"]:
    """Splitmix64's hash of each number."""
    bits = bits + GOLDEN
    bits.bitwise_xor_(shift_right(bits, 30)).mul_(MIX_1)
    bits.bitwise_xor_(shift_right(bits, 27)).mul_(MIX_2)
    return bits.bitwise_xor_(shift_right(bits, 31))


def clip_streams(name: str, indices: Sequence[int], device: torch.device) -> Int[Tensor, " clip"]:
    """One stream a clip: a function of the name (scenario, split and seed) and the clip's index."""
    return mix(mix(torch.tensor(indices, dtype=torch.int64, device=device)) ^ key(name))


def stratum(name: str, indices: Sequence[int], count: int, device: torch.device) -> Int[Tensor, " clip"]:
    """A number below `count` for each clip: every `count` clips in a row have each once, in random order."""
    index = torch.tensor(indices, dtype=torch.int64, device=device)
    blocks = mix(mix(index // count) ^ key(f"{name}/stratum"))
    return Draws(blocks).order(count).gather(1, (index % count)[:, None])[:, 0]


class Draws:
    """Numbers drawn from each stream in turn: every call takes the next ones of all streams."""

    AHEAD = 32
    """Numbers that are made at once: a hash is many small operations."""

    def __init__(self, streams: Int[Tensor, " stream"]) -> None:
        self.streams = streams
        self.ready = torch.empty((len(streams), 0), dtype=torch.float64, device=streams.device)
        self.drawn = 0

    def uniform(
        self, low: float | Tensor = 0.0, high: float | Tensor = 1.0, count: int | None = None
    ) -> Float[Tensor, "stream *count"]:
        """Evenly distributed in [low, high): one a stream, or `count` a stream."""
        start = self.drawn
        self.drawn += 1 if count is None else count
        while (done := self.ready.shape[1]) < self.drawn:
            offsets = torch.arange(done, max(done + self.AHEAD, self.drawn), device=self.streams.device)
            bits = shift_right(mix(self.streams[:, None] + mix(offsets)), 11)
            self.ready = torch.cat([self.ready, bits.to(torch.float64) * 2.0**-53], dim=1)
        share = self.ready[:, start] if count is None else self.ready[:, start : self.drawn]
        return low + share * (high - low)

    def normal(self, count: int) -> Float[Tensor, "stream count"]:
        """Standard normal numbers, `count` a stream; these agree across machines to rounding, not to the bit."""
        found: Tensor = torch.special.ndtri(self.uniform(2.0**-54, 1.0, count))
        return found

    def chance(self, probability: float) -> Bool[Tensor, " stream"]:
        """True with this probability."""
        return self.uniform() < probability

    def sign(self, count: int | None = None) -> Float[Tensor, "stream *count"]:
        """-1 or 1."""
        return torch.where(self.uniform(count=count) < 0.5, -1.0, 1.0).to(torch.float64)

    def direction(self, count: int) -> Float[Tensor, "stream count 2"]:
        """Unit vectors of any direction."""
        return unit_vector(self.uniform(count=count))

    def order(self, count: int) -> Int[Tensor, "stream count"]:
        """The numbers below `count` in random order."""
        return self.uniform(count=count).argsort(dim=1, stable=True)


def unit_vector(turn: Float[Tensor, "*any"]) -> Float[Tensor, "*any 2"]:
    """The vector that points at this share of a full turn, with exactly rounded operations only."""
    quarter = (turn * 4 + 0.5).floor()
    angle = (turn * 4 - quarter) * 1.5707963267948966  # in [-pi/4, pi/4]
    square = angle * angle
    sine = angle * (1 + square * (-1 / 6 + square * (1 / 120 + square * (-1 / 5040 + square / 362880))))
    cosine = 1 + square * (-0.5 + square * (1 / 24 + square * (-1 / 720 + square / 40320)))
    length = (sine * sine + cosine * cosine).sqrt()
    sine, cosine = sine / length, cosine / length
    quarter = quarter.remainder(4)
    x = torch.where(quarter == 0, cosine, torch.where(quarter == 1, -sine, torch.where(quarter == 2, -cosine, sine)))
    y = torch.where(quarter == 0, sine, torch.where(quarter == 1, cosine, torch.where(quarter == 2, -sine, -cosine)))
    return torch.stack([x, y], dim=-1)


# --- normal and uniform numbers for a training: from torch's generators, which need not agree across machines ---


def generators(seed: int, step: int, places: Sequence[int]) -> list[Generator]:
    """A stream of random numbers for each clip of a step's batch, by its place in the whole batch."""
    return [Generator().manual_seed(key(f"noise/{seed}/{step}/{place}")) for place in places]


def normal_of(streams: Sequence[Generator], *shape: int) -> Float[Tensor, "stream *shape"]:
    """The next standard normal numbers of each stream."""
    return torch.stack([torch.randn(shape, generator=stream) for stream in streams])


def uniform_of(streams: Sequence[Generator], *shape: int) -> Float[Tensor, "stream *shape"]:
    """The next numbers of each stream, evenly distributed in [0, 1)."""
    return torch.stack([torch.rand(shape, generator=stream) for stream in streams])
