"""Times and peak memories of jobs that are measured in turn, so that what the machine does besides meets all alike.

And what the machine can do, measured beside them: matrix products and copies."""

import ctypes
import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from vidworld.core.hardware import product_dtype

MIN_ROUNDS = 3
SQUARE = 2048
"""Side of the product that stands for the processor's best rate."""
COPIED_BYTES = 256 * 2**20
"""More than a cache holds."""
Job = Callable[[], object]


def medians_s(jobs: Mapping[str, Job], budget_s: float) -> dict[str, float]:
    """Median seconds of each job, each done once beforehand and then all in turn for about `budget_s` in all."""
    for job in jobs.values():
        job()
    times: dict[str, list[float]] = {name: [] for name in jobs}
    began = time.perf_counter()
    while len(next(iter(times.values()))) < MIN_ROUNDS or time.perf_counter() - began < budget_s:
        for name, job in jobs.items():
            times[name].append(seconds_of(job))
    return {name: statistics.median(of_job) for name, of_job in times.items()}


def seconds_of(job: Job) -> float:
    """How long the job takes once, to its end on the device."""
    began = time.perf_counter()
    job()
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter() - began


def peak_mb(job: Job) -> float | None:
    """How much more memory the job takes at its height than before: the device's, or (on Linux) the process's."""
    if torch.accelerator.is_available():
        before = torch.accelerator.memory_allocated()
        torch.accelerator.reset_peak_memory_stats()
        job()
        return (torch.accelerator.max_memory_allocated() - before) / 1e6
    try:
        _give_back()
        Path(f"/proc/{os.getpid()}/clear_refs").write_text("5")  # proc(5): resets the peak
        resident_mb = _status_mb("VmRSS")
        job()
        return max(_status_mb("VmHWM") - resident_mb, 0.0)  # the kernel counts to some hundred kB
    except OSError:
        return None


def _give_back() -> None:
    """Return freed memory to the system, or a job that takes it again would seem to take none (needs glibc)."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError as error:
        raise OSError("malloc_trim: not there") from error


def _status_mb(name: str) -> float:
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
    return float(line.split()[1]) * 1024 / 1e6


# --- what the machine can do ---


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
