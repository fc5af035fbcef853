"""Laws of parabolas: free fall, a throw, a slide, a roll, bounces, motion that nothing changes, and two that meet."""

from functools import partial
from itertools import product

import numpy as np
from numpy import ndarray

from vidworld.video_laws import (
    LawFit,
    NoFit,
    Position,
    Stretch,
    TrackTimes,
    VideoLaw,
    VideoScene,
    angle_between,
    frame_s,
    law_fit,
)
from vidworld.video_laws.parabolas import (
    MIN_FRAMES,
    NEAR_CONTACT,
    between_contacts,
    clean_part,
    fit_flights,
    where_seen,
)

WINDOW_S = 0.15  # seconds on either side of a collision in which nothing but it changes a velocity


def fit_flight(
    times: TrackTimes,
    position: Position,
    scene: VideoScene,
    stretch: Stretch | None = None,
    law: str = "constant acceleration",
    accelerated: bool = True,
) -> LawFit:
    """Free fall, a throw, a slide: constant acceleration over the longest time in which nothing is hit.

    It is that along gravity, or where its direction is not known along the way: below zero where it slows down.
    """
    path = position[:, 0]
    if stretch is None:
        parts = between_contacts(times, path, scene.contacts_s)
        longest = int(np.bincount(parts[parts >= 0]).argmax()) if parts.max() >= 0 else -1
        stretch = clean_part(times, path, np.where((parts == longest) & (parts >= 0), 0, -1))
    stretch = where_seen(stretch, path)
    if (stretch >= 0).sum() <= MIN_FRAMES:
        raise NoFit(f"is tracked in {int(np.isfinite(path).all(axis=1).sum())} frames, too few for a fit")
    spoken = times[stretch >= 0]
    flight = fit_flights(times, path, stretch, True)
    first, last = flight.place(spoken[[0, -1]], np.zeros(2, int))
    along = np.asarray(scene.gravity or (last - first) / max(float(np.linalg.norm(last - first)), 1e-9))
    scale, unit = scene.px_per_m or 1.0, "m/s" if scene.px_per_m else "px/s"

    def measured(places: ndarray) -> list[float]:
        flights = fit_flights(times, places, stretch, True)
        ends = (flights.velocity[0] + flights.acceleration * t for t in (spoken[0], spoken[-1]))
        speeds = [float(np.linalg.norm(v)) / scale for v in ends]
        size = float(flights.acceleration @ along) / scale
        return [size, *_angle_to_gravity(flights.acceleration, scene), *speeds]

    drawn_from = flight.place(times, stretch)
    straight = flight if accelerated else fit_flights(times, path, stretch, False)
    fitted = straight.place(times, stretch)
    names = [*_names_of_acceleration(scene), ("initial_speed", unit), ("final_speed", unit)]
    return law_fit(law, path, fitted, stretch, measured, names, 3, drawn_from)


fit_uniform = partial(fit_flight, law="uniform motion", accelerated=False)
"""Motion that nothing changes: the residual is from a straight line at one speed; the acceleration is given."""


def _names_of_acceleration(scene: VideoScene) -> list[tuple[str, str]]:
    names = [("acceleration", "m/s²" if scene.px_per_m else "px/s²")]
    return names if scene.gravity is None else [*names, ("angle_to_gravity", "degrees")]


def _angle_to_gravity(acceleration: ndarray, scene: VideoScene) -> list[float]:
    """Degrees from gravity; nothing where its direction is not known."""
    return [] if scene.gravity is None else [angle_between(np.asarray(scene.gravity), acceleration)]


def fit_bounces(times: TrackTimes, position: Position, scene: VideoScene, stretch: Stretch | None = None) -> LawFit:
    """Flights of one acceleration, and how much of the speed along it each contact between them gives back."""
    path = position[:, 0]
    stretch = where_seen(between_contacts(times, path, scene.contacts_s) if stretch is None else stretch, path)
    if stretch.max() < 1:  # a single flight
        return fit_flight(times, position, scene, stretch)

    def measured(places: ndarray) -> list[float]:
        flights = fit_flights(times, places, stretch, True)
        given_back, pull, down = flights.restitutions(), flights.acceleration, scene.gravity
        size = float(np.linalg.norm(pull) if down is None else pull @ np.asarray(down)) / (scene.px_per_m or 1.0)
        return [size, *_angle_to_gravity(pull, scene), float(np.mean(given_back)), *given_back]

    fitted = fit_flights(times, path, stretch, True).place(times, stretch)
    names = [*_names_of_acceleration(scene), ("restitution", "ratio")]
    names += [(f"restitution_{k + 1}", "ratio") for k in range(int(stretch.max()))]
    return law_fit("bounce", path, fitted, stretch, measured, names, 2 * int(stretch.max()) + 3)


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
        fitted[side >= 0, k] = flights.place(times, side)[side >= 0]
    names = [("momentum_angle", "degrees"), ("momentum_kept", "ratio")]
    names += [("restitution", "ratio"), ("energy_kept", "ratio")]
    return law_fit("collision", position, fitted, stretch, measured, names, 6)


FLIGHT, UNIFORM, BOUNCE = VideoLaw(1, fit_flight), VideoLaw(1, fit_uniform), VideoLaw(1, fit_bounces)
COLLISION = VideoLaw(2, fit_collision)
