"""Laws of parabolas: free fall, a throw, a slide, a roll, bounces, and motion that nothing changes.

The parabolas have one acceleration, and there is one for each stretch of a path between contacts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy import ndarray

from vidworld.video_laws import (
    LawFit,
    Measured,
    NoFit,
    Places,
    Position,
    Stretch,
    TrackTimes,
    VideoLaw,
    VideoScene,
    angle_between,
    frame_s,
    law_fit,
)

MIN_FRAMES = 4  # of a stretch between contacts: fewer do not show a parabola
ROUNDS = 6
OUTLIER = 2.5  # residuals of more robust deviations than that count less (Huber)
NEAR_CONTACT = 3.5  # frames by which a contact that was read by eye may be off
AT_CONTACT = 1.0  # frames around a contact that are left out
KINK_TIMES = 3.0  # two parabolas that fit so many times better than one have a contact between them...
KINK_PX = 0.5  # ...unless the one deviates by less
CLEAN_TIMES = 12.0  # a half is taken for itself that deviates so many times less than all: a growing force gives eight
MIN_CLEAN = 12  # frames of such a half: through fewer a parabola may go by chance


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

    def measured(places: ndarray) -> Measured:
        flights = flight.through(places[stretch >= 0])
        ends = (flights.velocity[0] + flights.acceleration * t for t in (spoken[0], spoken[-1]))
        speeds = [float(np.linalg.norm(v)) / scale for v in ends]
        size = float(flights.acceleration @ along) / scale
        speed = {("initial_speed", unit): speeds[0], ("final_speed", unit): speeds[1]}
        return _acceleration(size, flights.acceleration, scene) | speed

    straight = flight if accelerated else fit_flights(times, path, stretch, False)
    fitted, drawn_from = (each.place(times, stretch) for each in (straight, flight))
    return law_fit(law, path, fitted, stretch, measured, parabolas(times, stretch), drawn_from)


fit_uniform = partial(fit_flight, law="uniform motion", accelerated=False)
"""Motion that nothing changes: the residual is from a straight line at one speed; the acceleration is given."""


def _acceleration(size: float, acceleration: ndarray, scene: VideoScene) -> Measured:
    """Its size, and how far it is turned from gravity where that direction is known."""
    found = {("acceleration", "m/s²" if scene.px_per_m else "px/s²"): size}
    if scene.gravity is not None:
        found["angle_to_gravity", "degrees"] = angle_between(np.asarray(scene.gravity), acceleration)
    return found


def fit_bounces(times: TrackTimes, position: Position, scene: VideoScene, stretch: Stretch | None = None) -> LawFit:
    """Flights of one acceleration, and how much of the speed along it each contact between them gives back."""
    path = position[:, 0]
    stretch = where_seen(between_contacts(times, path, scene.contacts_s) if stretch is None else stretch, path)
    if stretch.max() < 1:  # a single flight
        return fit_flight(times, position, scene, stretch)

    own = fit_flights(times, path, stretch, True)

    def measured(places: ndarray) -> Measured:
        flights = own.through(places[stretch >= 0])
        given_back, pull, down = flights.restitutions(), flights.acceleration, scene.gravity
        size = float(np.linalg.norm(pull) if down is None else pull @ np.asarray(down)) / (scene.px_per_m or 1.0)
        ratios = {("restitution", "ratio"): float(np.mean(given_back))}
        ratios |= {(f"restitution_{k}", "ratio"): one for k, one in enumerate(given_back, start=1)}
        return _acceleration(size, pull, scene) | ratios

    return law_fit("bounce", path, own.place(times, stretch), stretch, measured, parabolas(times, stretch))


FLIGHT, UNIFORM, BOUNCE = VideoLaw(1, fit_flight), VideoLaw(1, fit_uniform), VideoLaw(1, fit_bounces)


@dataclass(frozen=True)
class Flights:
    """Parabolas with one acceleration, one for each stretch between contacts; arrays are (stretch, 2).

    Here and in what a bootstrap calls plain arrays: shapes checked in the innermost loop would make the tests slow.
    """

    acceleration: ndarray
    start: ndarray  # place at time zero, of the stretch's parabola
    velocity: ndarray  # at time zero
    step: ndarray  # (parameter, frame): by how much each parameter changes with each place

    def through(self, places: ndarray) -> "Flights":
        """Those through places of the same frames that are nearly the same: each frame counts as it does here."""
        return _flights(self.step, places, len(self.start))

    def place(self, times: ndarray, stretch: ndarray) -> ndarray:
        """Where the thing is at each time; NaN where that lies in no stretch."""
        t = times[:, None]
        path = self.start[stretch] + self.velocity[stretch] * t + 0.5 * self.acceleration * t**2
        return np.where(stretch[:, None] >= 0, path, np.nan)

    def restitutions(self) -> list[float]:
        """Outgoing over incoming speed along the acceleration, where successive parabolas meet along it.

        As it is the same in both, that is a line's root.
        """
        along = self.acceleration / np.linalg.norm(self.acceleration)
        apart, closing = np.diff(self.start, axis=0) @ along, np.diff(self.velocity, axis=0) @ along
        ratios = []
        for k, t in enumerate(-apart / closing):
            come, go = ((self.velocity[n] + self.acceleration * t) @ along for n in (k, k + 1))
            ratios.append(float(-go / come))
        return ratios


def fit_flights(times: ndarray, path: ndarray, stretch: ndarray, accelerated: bool) -> Flights:
    """The parabolas through the frames whose stretch is not negative, those far off counting less."""
    used = stretch >= 0
    count = int(stretch.max()) + 1
    places = path[used]
    basis, triangle = np.linalg.qr(parabolas(times, stretch)[used, : None if accelerated else -1])
    weight = np.ones(len(places))
    for _ in range(ROUNDS):
        weighted = basis * weight[:, None]
        step = np.linalg.solve(weighted.T @ basis, weighted.T)
        distance = np.linalg.norm(places - basis @ (step @ places), axis=1)
        scale = max(1.4826 * float(np.median(distance)), 1e-9)
        weight = np.minimum(1.0, OUTLIER * scale / np.maximum(distance, 1e-9))
    return _flights(np.linalg.solve(triangle, step), places, count)


def _flights(step: ndarray, places: ndarray, count: int) -> Flights:
    solution = step @ places
    acceleration = solution[2 * count] if len(solution) > 2 * count else np.zeros(2)
    return Flights(acceleration, solution[:count], solution[count : 2 * count], step)


def parabolas(times: ndarray, stretch: ndarray) -> ndarray:
    """Columns (time, parameter) of starts and velocities of each stretch, and of the acceleration of all."""
    member = (stretch[:, None] == np.arange(int(stretch.max()) + 1)).astype(float)
    return np.concatenate([member, member * times[:, None], 0.5 * times[:, None] ** 2], axis=1)


def stretches(times: TrackTimes, path: Places, contacts_s: Sequence[float], margin_s: float) -> Stretch:
    """The number of the stretch between contacts of each frame; -1 near a contact or where nothing is seen."""
    label = np.searchsorted(np.sort(np.asarray(contacts_s, dtype=float)), times)
    seen = np.isfinite(path).all(axis=1)
    for contact in contacts_s:
        seen &= np.abs(times - contact) > margin_s
    return _numbered(label, seen)


def between_contacts(times: TrackTimes, path: Places, contacts_s: Sequence[float]) -> Stretch:
    """The stretches between contacts: those that were read by eye, and those that nobody named."""
    margin_s = AT_CONTACT * frame_s(times)
    contacts = _nearby(times, path, contacts_s)
    contacts += _kinks(times, path, stretches(times, path, contacts, margin_s))
    return stretches(times, path, contacts, margin_s)


def _nearby(times: TrackTimes, path: Places, contacts_s: Sequence[float]) -> list[float]:
    """The contacts that were read by eye, each moved to where two parabolas meet best."""
    named, near = sorted(contacts_s), NEAR_CONTACT * frame_s(times)
    seen, moved = np.isfinite(path).all(axis=1), []
    for before, contact, after in zip([-np.inf, *named], named, [*named[1:], np.inf], strict=False):
        frames = np.flatnonzero(seen & (times > before) & (times < after))
        t, possible = times[frames], range(MIN_FRAMES, len(frames) - MIN_FRAMES + 1)
        cuts = [cut for cut in possible if abs(t[cut - 1 : cut + 1].mean() - contact) <= near]
        parts = _deviations(t, path[frames], cuts)
        moved.append(float(t[cuts[int(np.argmin(parts))] - 1 :][:2].mean()) if cuts else contact)
    return moved


def _kinks(times: TrackTimes, path: Places, stretch: Stretch) -> list[float]:
    """When something else is hit or let go within the stretches: a friction that grows is no kink."""
    found: list[float] = []
    todo = [np.flatnonzero(stretch == k) for k in range(int(stretch.max()) + 1)]
    while todo:
        frames = todo.pop()
        if len(frames) < 2 * MIN_FRAMES + 2:
            continue
        t, places = times[frames], path[frames]
        cuts = range(MIN_FRAMES + 1, len(t) - MIN_FRAMES)
        whole, parts = _deviation(t, places), _deviations(t, places, cuts)
        if whole > KINK_PX and min(parts) * KINK_TIMES < whole:
            cut = cuts[int(np.argmin(parts))]
            found.append(float(t[cut - 1 : cut + 1].mean()))
            todo += [frames[:cut], frames[cut:]]
    return found


def clean_part(times: TrackTimes, path: Places, stretch: Stretch) -> Stretch:
    """A single stretch, or the first or last half or more of it where that is a parabola and the whole is none.

    A thing that is held, then let go; or that rolls until several things happen to it at once.
    """
    frames = np.flatnonzero(stretch == 0)
    count = len(frames)
    ends = [frames[:cut] for cut in range(count // 2, count)] + [frames[cut:] for cut in range(1, count // 2)]
    ends = [part for part in ends if len(part) >= MIN_CLEAN]

    found = [_deviation(times[part], path[part]) for part in ends]
    if not found or not _deviation(times[frames], path[frames]) > max(KINK_PX, CLEAN_TIMES * min(found)):
        return stretch
    clean = [part for part, deviation in zip(ends, found, strict=True) if deviation <= 2 * min(found)]
    kept = np.full(len(stretch), -1)
    kept[max(clean, key=len)] = 0
    return kept


def _deviations(times: ndarray, places: ndarray, cuts: Sequence[int]) -> list[float]:
    """By cut, that of two parabolas, before it and from it on."""
    return [_deviation(times, places, (np.arange(len(times)) >= cut).astype(int)) for cut in cuts]


def _deviation(times: ndarray, places: ndarray, stretch: ndarray | None = None) -> float:
    """Root mean square distance from parabolas of one acceleration, all frames counting alike; one by default."""
    stretch = np.zeros(len(times), int) if stretch is None else stretch
    member = np.eye(int(stretch.max()) + 1)[stretch]
    design = np.concatenate([member, member * times[:, None], times[:, None] ** 2], axis=1)
    residual = places - design @ np.linalg.lstsq(design, places, rcond=None)[0]
    return float(np.sqrt((residual**2).sum(axis=1).mean()))


def where_seen(stretch: Stretch, path: Places) -> Stretch:
    """The stretches without the frames in which the thing is not there."""
    return _numbered(stretch, np.isfinite(path).all(axis=1) & (stretch >= 0))


def _numbered(label: Stretch, seen: ndarray) -> Stretch:
    """The labels of the frames that are seen, counted without those of too few frames; -1 elsewhere."""
    numbers = np.full(len(label), -1)
    kept = [k for k in np.unique(label[seen]) if (seen & (label == k)).sum() >= MIN_FRAMES]
    for number, k in enumerate(kept):
        numbers[seen & (label == k)] = number
    return numbers
