"""Laws of momentum: two things that meet, and two that rest together and fly apart."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy import ndarray

from vidworld.video_laws import (
    LawFit,
    Measured,
    NoFit,
    Position,
    Quantity,
    Stretch,
    TrackTimes,
    VideoLaw,
    VideoScene,
    angle_between,
    frame_s,
    law_fit,
)
from vidworld.video_laws.parabolas import MIN_FRAMES, NEAR_CONTACT, fit_flights, parabolas

WINDOW_S = 0.15  # seconds on either side of a contact in which nothing but it changes a velocity
WINDOW_FRAMES = 8  # or so many frames, where these are longer
AFTER_CONTACT = 1.5  # frames around a contact that are left out
STEEP = 4.0  # one thing lies above another, and not beside it, where it is so many times farther up than across
EQUAL = "the masses are taken as equal, since the sidecar's `mass` does not give them"


def fit_collision(times: TrackTimes, position: Position, scene: VideoScene, stretch: Stretch | None = None) -> LawFit:
    """Total momentum of two things before and after they meet: its direction, its size, their bounce.

    Velocities are those at the contact, of a parabola through `WINDOW_S` on either side (a table slows things down).
    Where the total momentum may be zero it has no direction: then its parts along and across the line of centres are
    given, as shares of the sum of both things' momenta. Where nothing closes in nothing is given back either.
    """
    if position.shape[1] < 2:
        raise NoFit("shows a collision, but only one thing was followed")
    contact = _contact(times, position, scene)
    if stretch is None:
        stretch = _window(times, position, contact)
    stretch = np.where(np.isfinite(position).all(axis=(1, 2)), stretch, -1)
    if min((stretch == k).sum() for k in (0, 1)) < MIN_FRAMES:
        raise NoFit("does not show both things for four frames on either side of where they meet")
    masses = in_order(scene.masses, position)
    sides = [_Side(times, position, stretch, side) for side in (0, 1)]
    step, unit = frame_s(times), "m/s" if scene.px_per_m else "px/s"

    def measured(places: ndarray) -> Measured:
        (come, before), (gone, after) = (side.state(places, contact) for side in sides)
        late = _when_equal(come, before, gone, after, 2 * step)
        line = _direction(np.diff(come + before * late + gone + after * late, axis=0)[0])
        total, kept = masses @ before, masses @ after
        closing, parting = (float((v[0] - v[1]) @ line) for v in (before, after))
        return {
            ("momentum_angle", "degrees"): angle_between(total, kept),
            ("momentum_kept", "ratio"): _ratio(np.linalg.norm(kept), np.linalg.norm(total)),
            ("restitution", "ratio"): max(0.0, _ratio(-parting, closing)),
            ("energy_kept", "ratio"): _ratio(*(masses @ (v**2).sum(axis=1) for v in (after, before))),
            ("closing_speed", unit): closing / (scene.px_per_m or 1.0),
            **_shares("total_momentum_before", masses, before, line),
            **_shares("total_momentum_after", masses, after, line),
        }

    fitted = np.where((stretch == 0)[:, None, None], *(side.fitted() for side in sides))
    design = np.concatenate([parabolas(times, np.where(stretch == k, 0, -1)) for k in (0, 1)], axis=1)
    design *= np.repeat(stretch[:, None] == (0, 1), 3, axis=1)
    fit = law_fit("collision", position, fitted, stretch, measured, design)
    notes = () if scene.masses else (EQUAL,)
    return replace(fit, measured=lambda: _that_says_something(fit.quantities), notes=notes)


def fit_explosion(times: TrackTimes, position: Position, scene: VideoScene, stretch: Stretch | None = None) -> LawFit:
    """Total momentum of two things that rested together and fly apart, in shares of the sum of both momenta: zero.

    Along the line on which they part and across it. `speed_ratio` is that of the first thing over the second: the
    masses' the other way round. They part at the sidecar's first contact, or where two flights begin to fit.
    """
    if position.shape[1] < 2:
        raise NoFit("shows an explosion, but only one thing was followed")
    both = np.isfinite(position).all(axis=(1, 2))
    if both.sum() < MIN_FRAMES:
        raise NoFit("does not show both things for four frames after they part")
    parted = _parted(times, position, both, scene)
    if stretch is None:
        step = frame_s(times)
        late = (times > parted + AFTER_CONTACT * step) & (times <= parted + _window_s(step) + AFTER_CONTACT * step)
        stretch = np.where(late, 0, -1)
    stretch = np.where(both, stretch, -1)
    if (stretch == 0).sum() < MIN_FRAMES:
        raise NoFit("does not show both things for four frames after they part")
    masses = in_order(scene.masses, position)
    apart = _Side(times, position, stretch, 0)
    first, second = np.argsort(_order(position))

    def measured(places: ndarray) -> Measured:
        _, after = apart.state(places, parted)
        speeds = np.linalg.norm(after, axis=1)
        ratio = {("speed_ratio", "ratio"): _ratio(speeds[first], speeds[second])}
        return _shares("total_momentum", masses, after, _direction(after[1] - after[0])) | ratio

    design = parabolas(times, stretch)
    fit = law_fit("explosion", position, apart.fitted(), stretch, measured, design)
    return replace(fit, notes=() if scene.masses else (EQUAL,))


def in_order(masses: tuple[float, ...] | None, position: Position) -> ndarray:
    """The masses by object; those given are from left to right, or from top to bottom of things above each other."""
    if masses is None:
        return np.ones(2)
    if len(masses) != 2:
        raise NoFit(f"shows two things, and the sidecar gives {len(masses)} mass{'es' * (len(masses) != 1)}")
    return np.asarray(np.array(masses)[_order(position)])


def _order(position: Position) -> ndarray:
    """The place of each object in the first frame that shows both: 0 is the left or upper one."""
    first = position[int(np.isfinite(position).all(axis=(1, 2)).argmax())]
    across, up = np.abs(first[1] - first[0])
    return np.argsort(np.argsort(first[:, 1 if up > STEEP * across else 0]))


def _contact(times: TrackTimes, position: Position, scene: VideoScene) -> float:
    """When two things are nearest to each other; near the sidecar's first contact where it gives one."""
    apart = np.linalg.norm(position[:, 0] - position[:, 1], axis=1)
    near = np.ones(len(times), bool)
    if scene.contacts_s:
        near = np.abs(times - scene.contacts_s[0]) <= 2 * NEAR_CONTACT * frame_s(times)
    if not np.isfinite(apart[near]).any():
        raise NoFit("does not show both things where they meet")
    return float(times[near][np.nanargmin(apart[near])])


def _window_s(step: float) -> float:
    return max(WINDOW_S, WINDOW_FRAMES * step)


def _window(times: TrackTimes, position: Position, contact: float) -> Stretch:
    """0 before the contact and 1 after it, -1 at it and where something else may have happened."""
    step, off = frame_s(times), np.abs(times - contact)
    clear = (off <= _window_s(step)) & (off > AFTER_CONTACT * step)
    return np.where(clear, (times > contact).astype(int), -1)


def _parted(times: TrackTimes, position: Position, both: ndarray, scene: VideoScene) -> float:
    """When two things let go of each other: until then both rest, from then on both fly; near the sidecar's contact."""
    frames, step = np.flatnonzero(both), frame_s(times)
    t, places = times[frames], position[frames].reshape(len(frames), -1)
    best, least = float(t[0] - 2 * step), np.inf  # before the first frame that shows both, where no cut can be made
    for cut in range(len(t) - MIN_FRAMES):
        if scene.contacts_s and abs(t[cut] - scene.contacts_s[0]) > NEAR_CONTACT * step:
            continue
        rest = places[:cut] - places[:cut].mean(axis=0) if cut else places[:0]
        columns = np.vander(t[cut:] - t[cut], 4)  # cubics: a table slows things down, and less so later
        flight = places[cut:] - columns @ np.linalg.lstsq(columns, places[cut:], rcond=None)[0]
        left = float(np.concatenate([rest, flight]).std())
        if left < least:
            best, least = (float(t[cut]) if cut else best), left
    return best


class _Side:
    """Two things on one side of a contact, each on a parabola."""

    def __init__(self, times: TrackTimes, position: Position, stretch: Stretch, side: int) -> None:
        self.times, self.used = times, np.where(stretch == side, 0, -1)
        self.flights = [fit_flights(times, position[:, k], self.used, True) for k in (0, 1)]

    def state(self, places: ndarray, when: float) -> tuple[ndarray, ndarray]:
        """Places and velocities of both at a time, by places (time object 2) which are nearly those of the fit."""
        again = [flight.through(places[self.used == 0, k]) for k, flight in enumerate(self.flights)]
        at = [f.start[0] + f.velocity[0] * when + 0.5 * f.acceleration * when**2 for f in again]
        return np.stack(at), np.stack([f.velocity[0] + f.acceleration * when for f in again])

    def fitted(self) -> ndarray:
        return np.asarray(np.stack([flight.place(self.times, self.used) for flight in self.flights], axis=1))


def _when_equal(come: ndarray, before: ndarray, gone: ndarray, after: ndarray, most_s: float) -> float:
    """How much later than the frame of the contact the two paths of each thing meet best: between frames."""
    jump = after - before
    late = -float(((gone - come) * jump).sum()) / max(float((jump**2).sum()), 1e-12)
    return float(np.clip(late, -most_s, most_s))


def _shares(name: str, masses: ndarray, velocities: ndarray, line: ndarray) -> Measured:
    """Parts of the total momentum along a line and across it, over the sum of both things' momenta."""
    total = masses @ velocities / max(float(masses @ np.linalg.norm(velocities, axis=1)), 1e-12)
    across = np.array([-line[1], line[0]])
    return {(f"{name}_along", "share"): float(total @ line), (f"{name}_across", "share"): float(total @ across)}


def _that_says_something(found: tuple[Quantity, ...]) -> tuple[Quantity, ...]:
    """Without shares of a total momentum that has a direction; without the direction of one that may be zero."""
    holds_zero = {one.name for one in found if one.low <= 0.0 <= one.high}
    none = {f"total_momentum_before_{part}" for part in ("along", "across")} <= holds_zero
    left_out = {"momentum_angle", "momentum_kept"} if none else {one.name for one in found if one.unit == "share"}
    if "closing_speed" in holds_zero:
        left_out |= {"restitution", "energy_kept"}
    return tuple(one for one in found if one.name not in left_out)


def _ratio(over: Any, under: Any) -> float:
    return float(over) / float(under) if under else np.nan


def _direction(vector: ndarray) -> ndarray:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))


COLLISION, EXPLOSION = VideoLaw(2, fit_collision), VideoLaw(2, fit_explosion)
