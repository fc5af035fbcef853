"""Free fall, a throw, a slide, a roll, bounces: one acceleration. And motion that nothing changes."""

from functools import partial

import numpy as np
from numpy import ndarray

from vidworld.video_laws.law import LawFit, NoFit, Position, Stretch, TrackTimes, VideoScene, angle_between, law_fit
from vidworld.video_laws.parabolas import MIN_FRAMES, between_contacts, clean_part, fit_flights, places_of, where_seen


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

    drawn_from = places_of(flight, times, stretch)
    straight = flight if accelerated else fit_flights(times, path, stretch, False)
    fitted = places_of(straight, times, stretch)
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

    fitted = places_of(fit_flights(times, path, stretch, True), times, stretch)
    names = [*_names_of_acceleration(scene), ("restitution", "ratio")]
    names += [(f"restitution_{k + 1}", "ratio") for k in range(int(stretch.max()))]
    return law_fit("bounce", path, fitted, stretch, measured, names, 2 * int(stretch.max()) + 3)
