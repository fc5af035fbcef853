"""Work that does not come back, for processes that import this by name."""

import os
import time
from pathlib import Path

from vidworld.core.workers import ends_if_stalled


def square(number: int) -> int:
    if number % 7 == 3:
        os.abort()
    if number == 1000:
        raise KeyError(number)
    return number * number


def step(sleeps_s: float) -> float:
    """Three steps, each of which sleeps; steps of half a second and more are no progress."""
    with ends_if_stalled(0.5) as goes_on:
        for _ in range(3):
            time.sleep(sleeps_s)
            goes_on()
    time.sleep(0.6)  # afterwards nothing is watched
    return sleeps_s


def gaps_mb(blocks: int) -> float:
    """What this process keeps of blocks of a megabyte that were freed, with small ones between them that were not."""
    large, small = [], []
    for _ in range(blocks):
        large.append(bytearray(b"x") * 2**20)
        small.append(bytearray(b"x") * 2**10)
    before = _own_mb()
    del large
    return blocks - (before - _own_mb())


def _own_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024
