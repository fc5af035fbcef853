"""Times and peak memories of jobs that are measured in turn, so that what the machine does besides meets all alike."""

import ctypes
import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

MIN_ROUNDS = 3
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
    """How much more memory the job takes at its height than was taken before: the device's, or the process's.

    None where neither can be asked (a process's peak is known on Linux only).
    """
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
