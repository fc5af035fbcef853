"""Decaying oscillations: a pendulum, also one that a wall cuts short, and a thing on a spring."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy import ndarray
from scipy.optimize import least_squares, minimize_scalar

from vidworld.video_laws import (
    LawFit,
    Measured,
    NoFit,
    Position,
    Stretch,
    TrackTimes,
    VideoLaw,
    VideoScene,
    frame_s,
    law_fit,
)
from vidworld.video_laws.parabolas import AT_CONTACT, MIN_FRAMES, stretches, where_seen

IMPACT = 1.2  # top speeds by which a wall changes a velocity in three steps...
SHARPER = 1.3  # ...and times what the turn of a free oscillation of this frequency changes: a spring turns in three
FREE_SHARE = 0.12  # what one oscillation leaves of a free path, as a share of it; a wall on one side leaves 0.22
GRID = 0.1  # turns in all between frequencies that are tried
LEAST_STEPS = 2.2  # frames a period: what is faster looks like something slower


def fit_oscillation(
    times: TrackTimes,
    position: Position,
    scene: VideoScene,
    stretch: Stretch | None = None,
    law: str = "pendulum",
    walls: bool = True,
) -> LawFit:
    """A decaying oscillation along the line on which the bob moves most; where it hits a wall, one for each swing.

    Source: x(t) = c + a exp(-d t) cos(2 pi t / p + f); the period of a swing of 20 degrees is 0.8% longer than that of
    a small one. Swings that a wall cuts short share c and p, and the decay is that of their amplitudes. A wall is
    looked for where one oscillation does not describe the path.
    """
    path = position[:, 0]
    seen = np.isfinite(path).all(axis=1)
    if seen.sum() < 2 * MIN_FRAMES:
        raise NoFit(f"is tracked in {int(seen.sum())} frames, too few for a fit")
    middle = path[seen].mean(axis=0)
    along = np.linalg.svd(path[seen] - middle, full_matrices=False)[2][0]
    line = ((path - middle) @ along)[:, None]
    if stretch is None:
        impacts = _impacts(times, line[:, 0]) if walls else []
        stretch = stretches(times, path, impacts, AT_CONTACT * frame_s(times))
    stretch = where_seen(stretch, path)
    if (stretch >= 0).sum() < 2 * MIN_FRAMES:
        raise NoFit("swings for too few frames between the walls that it hits")
    used = stretch >= 0
    member = np.eye(int(stretch.max()) + 1)[stretch[used]]
    t = times[used] - times[0]
    swings = _swings(t, line[used, 0], member, _first_guess(t, line[used, 0], member))

    def measured(moved: ndarray) -> Measured:
        """By one step of Gauss and Newton from what was fitted: errors are small beside the swing."""
        found = swings.parameters + swings.step @ (moved[used, 0] - swings.fitted)
        return {("period", "s"): 2 * np.pi / abs(float(found[-1])), ("decay", "1/s"): swings.decay(found)}

    fitted, design = np.full(line.shape, np.nan), np.zeros((len(line), swings.design.shape[1]))
    fitted[used, 0], design[used] = swings.fitted, swings.design
    return law_fit(law, line, fitted, stretch, measured, design)


fit_pendulum = fit_oscillation
fit_spring = partial(fit_oscillation, law="spring", walls=False)
"""A thing on a spring hits no wall."""


def _impacts(times: ndarray, line: ndarray) -> list[float]:
    """When a swing is turned round by a wall: within three steps by more than its usual top speed; of none it is free.

    What turns round as fast by itself, near the rate of the frames, is no wall.
    """
    seen = np.isfinite(line)
    t, one = times[seen] - times[0], np.ones((int(seen.sum()), 1))
    free = _swings(t, line[seen], one, _first_guess(t, line[seen], one))
    if np.std(free.fitted - line[seen]) < FREE_SHARE * np.std(line[seen]):
        return []
    turn = 2 * abs(np.sin(1.5 * free.frequency * frame_s(times)))  # top speeds by which a sine's changes at most
    speed = np.diff(line)
    change = np.abs(speed[3:] - speed[:-3])
    sharp = change > max(IMPACT, SHARPER * turn) * np.nanpercentile(np.abs(speed), 90)
    peaks = [k for k in np.flatnonzero(sharp) if change[k] == np.nanmax(change[max(0, k - 4) : k + 5])]
    return [float(times[k + 2]) for k in peaks if speed[k] * speed[k + 3] < 0]


@dataclass(frozen=True)
class Swings:
    """An oscillation that was fitted, over the frames that it was fitted to."""

    parameters: ndarray  # the last is the frequency, in radians a second
    fitted: ndarray  # (time,)
    design: ndarray  # (time, parameter), derivatives by the parameters
    step: ndarray  # (parameter, time), by how much a parameter changes with each place
    decay: Callable[[ndarray], float]  # a second, of such parameters

    @property
    def frequency(self) -> float:
        return abs(float(self.parameters[-1]))


def _swings(t: ndarray, line: ndarray, member: ndarray, guess: ndarray) -> Swings:
    """One damped oscillation, or where there are several swings one undamped in each."""
    if member.shape[1] == 1:
        found = least_squares(lambda p: _swing(p, t) - line, guess, jac=lambda p: _slopes(p, t), loss="soft_l1").x
        fitted, design = _swing(found, t), _slopes(found, t)
        weight = (1 + (line - fitted) ** 2) ** -0.25  # the root of how much a frame counts in that loss
        step = np.linalg.pinv(design * weight[:, None]) * weight
        return Swings(found, fitted, design, step, lambda parameters: float(parameters[2]))

    def of(w: float) -> tuple[ndarray, ndarray]:
        columns = _design(t, member, w)
        solution = np.linalg.lstsq(columns, line, rcond=None)[0]
        return columns @ solution, solution

    bounds = (0.8 * guess[-1], 1.25 * guess[-1])
    w = float(minimize_scalar(lambda w: float(((of(w)[0] - line) ** 2).sum()), bounds=bounds, method="bounded").x)
    fitted, solution = of(w)
    by_frequency = (_design(t, member, 1.001 * w) - _design(t, member, 0.999 * w)) @ solution / (0.002 * w)
    design, count = np.column_stack([_design(t, member, w), by_frequency]), member.shape[1]
    when = (member * t[:, None]).sum(axis=0) / member.sum(axis=0)

    def decay(parameters: ndarray) -> float:
        amplitude = np.hypot(parameters[1 : 1 + count], parameters[1 + count : 1 + 2 * count])
        return -float(np.polyfit(when, np.log(np.maximum(amplitude, 1e-9)), 1)[0])

    return Swings(np.append(solution, w), fitted, design, np.linalg.pinv(design), decay)


def _design(t: ndarray, member: ndarray, w: float) -> ndarray:
    """Columns of a middle that all share and an oscillation of each swing."""
    cosine, sine = (member * wave(w * t)[:, None] for wave in (np.cos, np.sin))
    return np.concatenate([np.ones((len(t), 1)), cosine, sine], axis=1)


def _swing(parameters: ndarray, t: ndarray) -> ndarray:
    """c + (a cos wt + b sin wt) exp(-d t), with parameters (a, b, d, c, w)."""
    a, b, d, c, w = parameters
    return np.asarray(c + np.exp(-np.clip(d, -5, 50) * t) * (a * np.cos(w * t) + b * np.sin(w * t)))


def _slopes(parameters: ndarray, t: ndarray) -> ndarray:
    """Derivatives (time, parameter) of `_swing`."""
    a, b, d, _, w = parameters
    left, cosine, sine = np.exp(-np.clip(d, -5, 50) * t), np.cos(w * t), np.sin(w * t)
    turning = left * t * (b * cosine - a * sine)
    return np.stack([left * cosine, left * sine, -t * left * (a * cosine + b * sine), np.ones_like(t), turning], axis=1)


def _first_guess(t: ndarray, line: ndarray, member: ndarray) -> ndarray:
    """Parameters of `_swing` with the frequency that fits best among many; that of one swing does for all."""
    span = float(t[-1] - t[0])
    best, least = np.array([0.0, 0.0, 0.05, 0.0, 2 * np.pi / span]), np.inf
    for turns in np.arange(0.5, span / (LEAST_STEPS * float(np.median(np.diff(t)))), GRID):
        w = 2 * np.pi * turns / span
        solution, *_ = np.linalg.lstsq(design := _design(t, member, w), line, rcond=None)
        error = float(((design @ solution - line) ** 2).sum())
        if error < (1.0 if member.shape[1] == 1 else 0.9) * least:  # of several the lowest
            least = error
            best = np.array([solution[1], solution[1 + member.shape[1]], 0.05, solution[0], w])
    return best


PENDULUM, SPRING = VideoLaw(1, fit_pendulum), VideoLaw(1, fit_spring)
