"""When frames are shown: the stamps of a file, and what is done where some of them repeat, leap or are missing."""

from bisect import bisect_left
from collections.abc import Generator
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

Times = Float64[ndarray, " time"]
Stamp = int | None
TimeBase = Literal["sidecar", "presentation", "mended", "average rate"]
"""By the sidecar's true rate; as the file says; the same with bad stamps put between their neighbours; evenly."""

TRUSTED_SHARE = 0.8  # of the stamps that must go on for the others to be put between them
LONGEST_GAP_S = 3600.0  # a frame that is shown for longer was not: the clock was set
REORDERED = 16  # frames by which stamps may be out of order, as in AVI, and are sorted


def guessed() -> Generator[Stamp, tuple[Stamp, Stamp], None]:
    """Takes the presentation and the decoding stamp of frame after frame, gives the one to be believed.

    That is the presentation stamp unless these have gone back or are missing more often. Source: FFmpeg's
    `guess_correct_pts`, which the ffmpeg command goes by and PyAV does not show.
    """
    faulty = {"pts": 0, "dts": 0}
    last = {"pts": -(2**63), "dts": -(2**63)}
    believed: Stamp = None
    while True:
        pts, dts = yield believed
        for name, own, other in (("dts", dts, pts), ("pts", pts, dts)):
            if own is not None:
                faulty[name] += own <= last[name]
            if (now := other if own is None else own) is not None:
                last[name] = now
        believed = pts if pts is not None and (faulty["pts"] <= faulty["dts"] or dts is None) else dts


def steady(stamps_s: Times, rate: float | None) -> tuple[Times, TimeBase] | None:
    """Times that go on from each frame to the next, and what they rest on; None where neither stamps nor a rate tell.

    Single stamps that repeat, leap or are missing (NaN) are put evenly between their neighbours. Where the clock was
    set back, or on by more than an hour, it goes on by the usual step. Where most are bad, the average rate counts.
    """
    count = len(stamps_s)
    if count and _goes_on(stamps_s):
        return stamps_s, "presentation"
    order = np.argsort(stamps_s, kind="stable")
    if np.abs(order - np.arange(count)).max(initial=0) <= REORDERED and _goes_on(stamps_s[order]):
        return stamps_s[order], "presentation"
    mended = _mended(stamps_s)
    if mended is not None:
        return mended, "mended"
    return None if rate is None else (np.arange(count) / rate, "average rate")


def _goes_on(times_s: Times) -> bool:
    steps = np.diff(times_s)
    return bool(np.isfinite(times_s).all() and (steps > 0).all() and (steps < LONGEST_GAP_S).all())


def _mended(stamps_s: Times) -> Times | None:
    known = np.flatnonzero(np.isfinite(stamps_s))
    known = known[_of_one_clock(stamps_s[known])] if len(known) else known
    if len(known) < 2:
        return None
    usual = _usual_step(stamps_s[known])
    if usual is None:
        return None
    clock = stamps_s[known].copy()
    good = _increasing(clock)
    if good.mean() < TRUSTED_SHARE and (np.diff(clock) < 0).any():  # the clock was set back for good
        steps = np.diff(clock)
        clock[1:] = clock[0] + np.cumsum(np.where(steps < 0, usual, steps))
        good = _increasing(clock)
    known, clock = known[good], clock[good]
    if len(known) < 2 or known[-1] - known[0] < 0.5 * len(stamps_s):
        return None
    apart = np.diff(known)
    steps = np.diff(clock)
    clock[1:] = clock[0] + np.cumsum(np.where(steps >= LONGEST_GAP_S, usual * apart, steps))
    times = np.interp(np.arange(len(stamps_s)), known, clock)
    before, after = np.arange(known[0]), np.arange(known[-1] + 1, len(stamps_s))
    times[before] = clock[0] - usual * (known[0] - before)
    times[after] = clock[-1] + usual * (after - known[-1])
    return times if _goes_on(times) else None


def _of_one_clock(clock: Times) -> Bool[ndarray, " time"]:
    """Those that lie together, without some that are hours away; all where these are many: then the clock was set."""
    order = np.argsort(clock, kind="stable")
    group = np.empty(len(clock), np.int64)
    group[order] = np.cumsum(np.diff(clock[order], prepend=clock[order[:1]]) >= LONGEST_GAP_S)
    largest = group == np.bincount(group).argmax()
    return largest if largest.mean() >= TRUSTED_SHARE else np.ones(len(clock), bool)


def _usual_step(clock: Times) -> float | None:
    """The median step of a frame, without leaps."""
    steps = np.diff(clock)
    steps = steps[(steps > 0) & (steps < LONGEST_GAP_S)]
    return float(np.median(steps)) if len(steps) else None


def _increasing(clock: Times) -> Bool[ndarray, " time"]:
    """The most stamps that go on from each to the next (the longest increasing subsequence, by patience sorting)."""
    tops: list[int] = []
    values: list[float] = []
    before = np.full(len(clock), -1)
    for i, value in enumerate(clock.tolist()):
        place = bisect_left(values, value)
        if values[place : place + 1] == [value]:
            continue  # of stamps that repeat the first is right
        before[i] = tops[place - 1] if place else -1
        tops[place : place + 1], values[place : place + 1] = [i], [value]
    good, i = np.zeros(len(clock), bool), tops[-1]
    while i >= 0:
        good[i], i = True, int(before[i])
    return good
