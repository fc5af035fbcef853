"""What a bench measures: cases beside peers and the machine, and how time and memory grow with sizes."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import linear_regression

import torch

from speed.cases import CHANNELS, CONTEXT, DEMO, GRID, Case, Size, diffusion_loss, training_step
from speed.timing import Job, medians_s, peak_mb
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.models.diffusion import GenerativeModel
from vidworld.models.world_model import Encoded
from vidworld.simulation.simulated import SimulatedClips

OURS, LIMIT = "vidworld", "limit"


@dataclass(frozen=True)
class Row:
    """One quantity of a case, beside one peer or none."""

    name: str
    ours: float
    peer: float | None
    peer_name: str | None
    ratio: float | None
    """Ours over the peer's."""
    unit: str
    limit: float | None
    """What the machine allows of ours, measured in the same run."""
    share_of_limit: float | None
    higher_is_better: bool = True


def measure(cases: Iterable[Case], budget_s: float) -> Iterator[Row]:
    """A row of rates for each case and peer, each case taking about `budget_s`, and one of peak memory.

    The machine's limit is measured in turn with each case and its peers: what else it does slows all of them.
    """
    for case in cases:
        jobs = {OURS: case.ours, **case.peers}
        seconds = medians_s(jobs if case.limit is None else {**jobs, LIMIT: case.limit.job}, budget_s)
        limit = None
        if case.limit is not None:
            limit = case.amount / (case.needed / case.limit.amount * seconds[LIMIT])
        rates = {name: case.amount / seconds[name] for name in jobs}
        yield from _rows(case.name, case.unit, rates, limit)
        peaks = {name: peak_mb(job) for name, job in jobs.items()}
        known = {name: peak for name, peak in peaks.items() if peak}
        if OURS in known:
            yield from _rows(f"peak memory, {case.name}", "MB", known, None, higher_is_better=False)


def _rows(
    name: str, unit: str, found: dict[str, float], limit: float | None, higher_is_better: bool = True
) -> Iterator[Row]:
    ours = found[OURS]
    share = None if limit is None else ours / limit
    others: list[tuple[str | None, float | None]] = [pair for pair in found.items() if pair[0] != OURS]
    for peer_name, peer in others or [(None, None)]:
        ratio = None if peer is None else ours / peer
        yield Row(name, ours, peer, peer_name, ratio, unit, limit, share, higher_is_better)


# --- growth ---


@dataclass(frozen=True)
class Growth:
    """One quantity over sizes, and the power of the size that it grows with."""

    what: str
    of: str
    unit: str
    sizes: list[int]
    values: list[float]
    exponent: float


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The slope of a line through the logarithms, by least squares: 1 is linear, 2 quadratic."""
    return linear_regression([math.log(size) for size in sizes], [math.log(value) for value in values]).slope


def measure_growth(device: torch.device, budget_s: float) -> list[Growth]:
    """Time and peak memory of the diffusion world's training step and rollout over sizes; `budget_s` a curve."""

    def step(chunks: int = 4, clips: int = 2, width: int = DEMO.width) -> Job:
        network = Size("", width, DEMO.depth, width * DEMO.heads // DEMO.width).diffusion(device)
        tokens = torch.randn(clips, chunks, *GRID, CHANNELS, device=device)
        return training_step(network, lambda: diffusion_loss(network, tokens), device)

    def rollout(chunks: int) -> Job:
        model = GenerativeModel(
            DEMO.diffusion(device), "diffusion", 1, PhysicsConfig.sampling_shift, PhysicsConfig.levels
        )
        tokens = torch.randn(1, CONTEXT, *GRID, CHANNELS, device=device)
        context = Encoded(SimulatedClips("uniform", "id").clips([0]), tokens)
        return lambda: model.rollout(context, chunks, 1, [0])

    curves: list[tuple[str, str, Sequence[int], Callable[[int], Job]]] = [
        ("training step", "chunks of a clip", (3, 5, 9, 17), lambda n: step(chunks=n)),
        ("training step", "clips of a batch", (1, 2, 4, 8), lambda n: step(clips=n)),
        ("training step", "width", (64, 128, 256, 512), lambda n: step(width=n)),
        ("rollout", "chunks rolled out", (2, 4, 8, 16), rollout),
    ]
    found = []
    for what, of, sizes, make in curves:
        jobs = {str(size): make(size) for size in sizes}
        seconds = list(medians_s(jobs, budget_s).values())
        found.append(Growth(what, of, "s", list(sizes), seconds, exponent(sizes, seconds)))
        peaks = [peak_mb(job) for job in jobs.values()]
        megabytes = [peak for peak in peaks if peak]
        if len(megabytes) == len(sizes):
            found.append(Growth(what, of, "MB", list(sizes), megabytes, exponent(sizes, megabytes)))
    return found
