"""What the errors of a track could have been, and the interval of what was measured from it.

A tracker's errors go on from frame to frame (a shadow, a seam of the background, compression): in real videos a
coordinate's error keeps 0.4 to 0.9 of its value into the next frame. What is drawn here goes on likewise.
"""

import numpy as np
from numpy import ndarray

ERROR_DRAWS = 400
CORRELATIONS = 1 - np.geomspace(1.0, 0.02, 40)
"""From one frame to the next: 0 to 0.98, all equally likely beforehand on a logarithmic scale of what is lost. So few
frames hardly tell 0.9 from 0.6, and with these the 95% intervals hold the truth in 91% or more at 0, 0.6 and 0.9."""
OTHERS = 0.5
"""What other coordinates tell of a coordinate's correlation, over what it tells itself: they are alike, not the same.
Where two have 0.9 and two 0.4, the intervals of the former hold the truth in 91% or more."""
FULL_TURN = 0.9  # of a circle: an interval of an angle that is wider than this says nothing


def drawn_errors(path: ndarray, design: ndarray) -> ndarray:
    """Errors (draw, frame, coordinate) that the path could have around its law, by what is left of it after a fit.

    path: (frame, coordinate), NaN in frames that are not used; design: (frame, parameter), columns of the linear fit,
    or of the derivatives of one that is not. Errors are NaN where the path is.

    Source: the posterior of an AR(1) process around a linear model; the parameters are integrated out (the restricted
    likelihood of Harville 1974), of the size by a prior of 1 / size, and the correlation is drawn with it.
    """
    rng = np.random.default_rng(0)
    frames = np.flatnonzero(np.isfinite(path).all(axis=1))
    count, spent = len(frames), design.shape[1]
    errors = np.full((ERROR_DRAWS, *path.shape), np.nan)
    if count <= spent:  # nothing is left of it
        errors[:, frames] = 0.0
        return errors
    columns = design[frames] / np.maximum(np.abs(design[frames]).max(axis=0), 1e-12)
    by_correlation = [_likely(path[frames], columns, frames, each) for each in CORRELATIONS]
    likely, squares = (np.array(each) for each in zip(*by_correlation, strict=True))
    likely = likely + OTHERS * (likely.sum(axis=1, keepdims=True) - likely)
    weight = np.exp(likely - likely.max(axis=0))
    weight /= weight.sum(axis=0)
    for axis in range(path.shape[1]):
        chosen = rng.choice(len(CORRELATIONS), ERROR_DRAWS, p=weight[:, axis])
        size = np.sqrt(squares[chosen, axis] / rng.chisquare(count - spent, ERROR_DRAWS))
        errors[:, frames, axis] = size[:, None] * _going_on(rng, CORRELATIONS[chosen], frames)
    return errors


def _likely(path: ndarray, columns: ndarray, frames: ndarray, correlation: float) -> tuple[ndarray, ndarray]:
    """By coordinate, the logarithm of the restricted likelihood of a correlation, and the sum of squares left by it."""
    kept = correlation ** np.diff(frames)
    fresh = np.sqrt(1 - kept**2)

    def whitened(values: ndarray) -> ndarray:
        return np.concatenate([values[:1], (values[1:] - kept[:, None] * values[:-1]) / fresh[:, None]])

    basis, triangle = np.linalg.qr(whitened(columns))
    white = whitened(path)
    squares = ((white - basis @ (basis.T @ white)) ** 2).sum(axis=0) + 1e-18
    spread = np.log(fresh).sum() + np.log(np.abs(np.diag(triangle)) + 1e-12).sum()
    return -spread - 0.5 * (len(path) - columns.shape[1]) * np.log(squares), squares


def _going_on(rng: np.random.Generator, correlation: ndarray, frames: ndarray) -> ndarray:
    """Errors (draw, frame) of size one that keep this share of their value from each frame to the next."""
    errors = rng.standard_normal((len(correlation), len(frames)))
    for k, gap in enumerate(np.diff(frames), start=1):
        kept = correlation**gap
        errors[:, k] = kept * errors[:, k - 1] + np.sqrt(1 - kept**2) * errors[:, k]
    return errors


def interval_of(value: float, draws: ndarray, unit: str) -> tuple[float, float]:
    """The 95% interval around a value, by what the draws gave.

    That of an angle is taken on the circle: it goes beyond 180 degrees only where it crosses them, and is all of -180
    to 180 where nothing is known. A ratio does not go below zero.
    """
    if not np.isfinite(draws).any():
        return np.nan, np.nan
    if unit == "degrees":
        draws = value + (draws - value + 180.0) % 360.0 - 180.0
    low, high = (float(each) for each in np.nanpercentile(draws, [2.5, 97.5]))
    low, high = min(low, value), max(high, value)
    if unit == "degrees" and high - low > 360.0 * FULL_TURN:
        return -180.0, 180.0
    return (max(low, 0.0), high) if unit == "ratio" else (low, high)
