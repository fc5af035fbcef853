"""Flights between contacts, and how much of the speed each contact gives back."""

import numpy as np
from numpy import ndarray

from vidworld.video_laws.flight import angle_to_gravity, fit_flight, names_of_acceleration
from vidworld.video_laws.law import LawFit, Position, Stretch, Times, VideoScene, law_fit
from vidworld.video_laws.parabolas import Flights, between_contacts, fit_flights, places_of, where_seen


def fit_bounces(times: Times, position: Position, scene: VideoScene, stretch: Stretch | None = None) -> LawFit:
    """Flights of one acceleration, and how much of the speed along it each contact between them gives back."""
    path = position[:, 0]
    if stretch is None:
        stretch = between_contacts(times, path, scene.contacts_s)
    stretch = where_seen(stretch, path)
    if stretch.max() < 1:  # a single flight
        return fit_flight(times, position, scene, stretch)

    def measured(places: ndarray) -> list[float]:
        flights = fit_flights(times, places, stretch, True)
        given_back = _restitutions(flights)
        down, scale = scene.gravity, scene.px_per_m or 1.0
        pull = flights.acceleration
        size = float(np.linalg.norm(pull) if down is None else pull @ np.asarray(down)) / scale
        return [size, *angle_to_gravity(pull, scene), float(np.mean(given_back)), *given_back]

    fitted = places_of(fit_flights(times, path, stretch, True), times, stretch)
    names = [*names_of_acceleration(scene), ("restitution", "ratio")]
    names += [(f"restitution_{k + 1}", "ratio") for k in range(int(stretch.max()))]
    return law_fit("bounce", path, fitted, stretch, measured, names, 2 * int(stretch.max()) + 3)


def _meetings(flights: Flights) -> ndarray:
    """When successive parabolas meet along the acceleration: as it is the same in both, a line's root."""
    along = flights.acceleration / np.linalg.norm(flights.acceleration)
    apart, closing = np.diff(flights.start, axis=0) @ along, np.diff(flights.velocity, axis=0) @ along
    return np.asarray(-apart / closing)


def _restitutions(flights: Flights) -> list[float]:
    """Outgoing over incoming speed along the acceleration, at each meeting."""
    along = flights.acceleration / np.linalg.norm(flights.acceleration)
    ratios = []
    for k, t in enumerate(_meetings(flights)):
        come, go = ((flights.velocity[n] + flights.acceleration * t) @ along for n in (k, k + 1))
        ratios.append(float(-go / come))
    return ratios
