"""A decaying oscillation, also one that a wall cuts short."""

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

IMPACT = 1.2  # top speeds by which a wall changes a velocity in three steps; a swing of 20 steps changes by a half


def fit_pendulum(times: TrackTimes, position: Position, scene: VideoScene, stretch: Stretch | None = None) -> LawFit:
    """A decaying oscillation along the line on which the bob moves most; where it hits a wall, one for each swing.

    Source: x(t) = c + a exp(-d t) cos(2 pi t / p + f); the period of a swing of 20 degrees is 0.8% longer than that of
    a small one. Swings that a wall cuts short share c and p, and the decay is that of their amplitudes.
    """
    path = position[:, 0]
    seen = np.isfinite(path).all(axis=1)
    if seen.sum() < 2 * MIN_FRAMES:
        raise NoFit(f"is tracked in {int(seen.sum())} frames, too few for a fit")
    middle = path[seen].mean(axis=0)
    along = np.linalg.svd(path[seen] - middle, full_matrices=False)[2][0]
    if stretch is None:
        impacts = _impacts(times, (path - middle) @ along)
        stretch = stretches(times, path, impacts, AT_CONTACT * frame_s(times))
    stretch = where_seen(stretch, path)
    if (stretch >= 0).sum() < 2 * MIN_FRAMES:
        raise NoFit("swings for too few frames between the walls that it hits")
    used = stretch >= 0
    member = np.eye(int(stretch.max()) + 1)[stretch[used]]
    t, line = times[used] - times[0], (path[used] - middle) @ along
    best = _first_guess(t, line, member)

    def measured(moved: ndarray) -> Measured:
        period, decay, _ = _swings(t, (moved[used] - middle) @ along, member, best)
        return {("period", "s"): period, ("decay", "1/s"): decay}

    fitted = np.full(path.shape, np.nan)
    fitted[used] = path[used] + np.outer(_swings(t, line, member, best)[2] - line, along)
    return law_fit("pendulum", path, fitted, stretch, measured, 2 * member.shape[1] + 3)


def _impacts(times: ndarray, line: ndarray) -> list[float]:
    """When a swing is turned round by a wall: within three steps by more than its usual top speed."""
    speed = np.diff(line)
    change = np.abs(speed[3:] - speed[:-3])
    sharp = change > IMPACT * np.nanpercentile(np.abs(speed), 90)
    peaks = [k for k in np.flatnonzero(sharp) if change[k] == np.nanmax(change[max(0, k - 4) : k + 5])]
    return [float(times[k + 2]) for k in peaks if speed[k] * speed[k + 3] < 0]


def _swings(t: ndarray, line: ndarray, member: ndarray, guess: ndarray) -> tuple[float, float, ndarray]:
    """Period, decay and the fitted line: one damped oscillation, or one undamped a swing where there are several."""
    if member.shape[1] == 1:
        solved = np.asarray(least_squares(lambda p: _swing(p, t) - line, guess, loss="soft_l1").x)
        return float(2 * np.pi / abs(solved[3])), float(solved[2]), _swing(solved, t)

    def of(w: float) -> tuple[ndarray, ndarray]:
        design = _design(t, member, w)
        solution = np.linalg.lstsq(design, line, rcond=None)[0]
        return design @ solution, solution

    bounds = (0.8 * guess[3], 1.25 * guess[3])
    found = minimize_scalar(lambda w: float(((of(w)[0] - line) ** 2).sum()), bounds=bounds, method="bounded")
    fitted, solution = of(float(found.x))
    count = member.shape[1]
    amplitude = np.hypot(solution[1 : 1 + count], solution[1 + count :])
    when = (member * t[:, None]).sum(axis=0) / member.sum(axis=0)
    decay = -np.polyfit(when, np.log(np.maximum(amplitude, 1e-9)), 1)[0]
    return float(2 * np.pi / found.x), float(decay), fitted


def _design(t: ndarray, member: ndarray, w: float) -> ndarray:
    """Columns of a middle that all share and an oscillation of each swing."""
    cosine, sine = (member * wave(w * t)[:, None] for wave in (np.cos, np.sin))
    return np.concatenate([np.ones((len(t), 1)), cosine, sine], axis=1)


def _swing(parameters: ndarray, t: ndarray) -> ndarray:
    """c + (a cos wt + b sin wt) exp(-d t), with parameters (a, b, d, w, c)."""
    a, b, d, w, c = parameters
    return np.asarray(c + np.exp(-np.clip(d, -5, 50) * t) * (a * np.cos(w * t) + b * np.sin(w * t)))


def _first_guess(t: ndarray, line: ndarray, member: ndarray) -> ndarray:
    """Parameters of `_swing` with the frequency that fits best among many; that of one swing does for all."""
    span = float(t[-1] - t[0])
    best, least = np.zeros(5), np.inf
    for turns in np.arange(0.5, min(len(t) / 4, 60.0), 0.1):
        w = 2 * np.pi * turns / span
        solution, *_ = np.linalg.lstsq(design := _design(t, member, w), line, rcond=None)
        error = float(((design @ solution - line) ** 2).sum())
        if error < (1.0 if member.shape[1] == 1 else 0.9) * least:  # of several the lowest
            least = error
            best = np.array([solution[1], solution[1 + member.shape[1]], 0.05, w, solution[0]])
    return best


PENDULUM = VideoLaw(1, fit_pendulum)
