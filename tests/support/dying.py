"""Work that does not come back, for processes that import this by name."""

import os
import time

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
