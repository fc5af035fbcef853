"""Two things that meet: their total momentum before and after."""

from itertools import product

import numpy as np
from numpy import ndarray

from vidworld.video_laws.law import (
    LawFit,
    NoFit,
    Position,
    Stretch,
    TrackTimes,
    VideoScene,
    angle_between,
    frame_s,
    law_fit,
)
from vidworld.video_laws.parabolas import MIN_FRAMES, NEAR_CONTACT, fit_flights, places_of

WINDOW_S = 0.15  # seconds on either side of a collision in which nothing but it changes a velocity


def fit_collision(times: TrackTimes, position: Position, scene: VideoScene, stretch: Stretch | None = None) -> LawFit:
    """Total momentum of two things of equal mass before and after they meet: its direction, its size, their bounce.

    Velocities are those at the contact, of a parabola through `WINDOW_S` on either side (a table slows things down).
    """
    if position.shape[1] < 2:
        raise NoFit("shows a collision, but only one thing was followed")
    step = frame_s(times)
    apart = np.linalg.norm(position[:, 0] - position[:, 1], axis=1)
    near = np.ones(len(times), bool)
    if scene.contacts_s:
        near = np.abs(times - scene.contacts_s[0]) <= 2 * NEAR_CONTACT * step
    if not np.isfinite(apart[near]).any():
        raise NoFit("does not show both things where they meet")
    contact = float(times[near][np.nanargmin(apart[near])])
    if stretch is None:
        off = np.abs(times - contact)
        clear = (off <= max(WINDOW_S, 8 * step)) & (off > 1.5 * step)
        stretch = np.where(clear, (times > contact).astype(int), -1)
    stretch = np.where(np.isfinite(position).all(axis=(1, 2)), stretch, -1)
    if min((stretch == k).sum() for k in (0, 1)) < MIN_FRAMES:
        raise NoFit("does not show both things for four frames on either side of where they meet")

    sides = [np.where(stretch == k, 0, -1) for k in (0, 1)]

    def velocities(places: ndarray, side: ndarray) -> ndarray:
        fits = [fit_flights(times, places[:, k], side, True) for k in (0, 1)]
        return np.stack([fit.velocity[0] + fit.acceleration * contact for fit in fits])

    def measured(places: ndarray) -> list[float]:
        before, after = (velocities(places, side) for side in sides)
        near_contact = np.abs(times - contact) <= 3 * step
        line = np.nanmean((places[:, 1] - places[:, 0])[near_contact], axis=0)
        line /= np.linalg.norm(line)
        total, kept = before.sum(axis=0), after.sum(axis=0)
        momentum_kept = float(np.linalg.norm(kept) / np.linalg.norm(total))
        restitution = float(-((after[1] - after[0]) @ line) / ((before[1] - before[0]) @ line))
        return [angle_between(total, kept), momentum_kept, restitution, float((after**2).sum() / (before**2).sum())]

    fitted = np.full(position.shape, np.nan)
    for k, side in product((0, 1), sides):
        flights = fit_flights(times, position[:, k], side, True)
        fitted[side >= 0, k] = places_of(flights, times, side)[side >= 0]
    names = [("momentum_angle", "degrees"), ("momentum_kept", "ratio")]
    names += [("restitution", "ratio"), ("energy_kept", "ratio")]
    return law_fit("collision", position, fitted, stretch, measured, names, 6)
