"""How well tracks of real film keep a law, and what the law's constants are in them, with intervals.

Each law is a least-squares fit to positions in pixels over seconds. What the true film deviates from its law (friction,
a round lens, the tracker) is no fault of a world: a world is charged for what it adds to that. Fitted to a prediction,
a law takes the truth's own stretches between contacts.

Intervals are 95% and from a moving-block bootstrap of the fit's residuals (Source: Künsch 1989), as the errors of a
tracker are alike from one frame to the next. They say nothing of a wrong scale or a tilted camera.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import least_squares, minimize_scalar
from scipy.special import ndtri, stdtrit

from vidworld.errors import UserError

STANDARD_GRAVITY = 9.81
"""m/s²."""
DRAWS = 300
BLOCKS = 8
"""The residuals are drawn in blocks of a so-manieth of their number."""
WIDER = float(stdtrit(BLOCKS - 1, 0.975) / ndtri(0.975))
"""So few blocks show less than their scatter: intervals are wider by what Student's quantile is over the normal one."""
LEAST_FRAMES = 4
"""Of a stretch between contacts: fewer do not show a parabola."""
ROUNDS = 6
OUTLIER = 2.5
"""Residuals of more robust deviations than that count less (Huber)."""
NEAR_CONTACT = 3.5
"""Frames by which a contact that was read by eye may be off."""
AT_CONTACT = 1.0
"""Frames around a contact that are left out."""
KINK_TIMES = 3.0
"""Two parabolas that fit so many times better than one have a contact between them that nobody named..."""
KINK_PX = 0.5
"""...unless the one deviates by less."""
IMPACT = 1.2
"""Top speeds by which a wall changes a swing's velocity in three steps; a swing of 20 steps changes by a half."""
WINDOW_S = 0.15
"""Seconds on either side of a collision in which nothing but it changes a velocity."""

Times = Float[ndarray, " time"]
Position = Float[ndarray, "time object 2"]
Path = Float[ndarray, "time 2"]


@dataclass(frozen=True)
class Scene:
    """What is known of a film beside its tracks."""

    contacts_s: tuple[float, ...] = ()
    """When something is hit, roughly."""
    gravity: tuple[float, float] | None = None
    """Its direction in the picture, a unit vector with y down."""
    px_per_m: float | None = None


@dataclass(frozen=True)
class Quantity:
    """One number that a law gives, with its 95% interval."""

    name: str
    value: float
    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class LawFit:
    """A law fitted to a film's tracks."""

    law: str
    residual: Float[ndarray, "time object"]
    """Pixels from the law's path; NaN where the fit does not speak."""
    stretch: Int[ndarray, " time"]
    """Which stretch between contacts each frame lies in, counted among those that were fitted; -1: in none."""
    measured: Callable[[], tuple[Quantity, ...]] = field(repr=False)

    @cached_property
    def quantities(self) -> tuple[Quantity, ...]:
        """The law's constants; their intervals take a while, so they are found when asked for."""
        return self.measured()

    @property
    def deviation_px(self) -> float:
        """Root mean square distance from the law's path."""
        return float(np.sqrt(np.nanmean(self.residual**2))) if np.isfinite(self.residual).any() else np.nan

    def of(self, name: str) -> Quantity:
        """The quantity of that name."""
        return next(quantity for quantity in self.quantities if quantity.name == name)


Stretch = Int[ndarray, " time"]
Fit = Callable[[Times, Position, Scene, Stretch | None], LawFit]
"""(times, position, scene, the stretches of an earlier fit or None to find them)."""


class NoFit(ValueError):
    """A law that cannot be fitted; the text goes on from the film's name."""


# --- flights: one acceleration, one velocity between contacts -----------------------------------------------


@dataclass(frozen=True)
class _Flights:
    """Parabolas with one acceleration, one for each stretch between contacts; arrays are (stretch, 2).

    Here and in what a bootstrap calls plain arrays: shapes checked in the innermost loop would make the tests slow.
    """

    acceleration: ndarray
    start: ndarray
    """Place at time zero, of the stretch's parabola."""
    velocity: ndarray
    """At time zero."""

    def place(self, times: ndarray, stretch: ndarray) -> ndarray:
        t = np.asarray(times)[:, None]
        path: ndarray = self.start[stretch] + self.velocity[stretch] * t + 0.5 * self.acceleration * t**2
        return path


def _fit_flights(times: ndarray, path: ndarray, stretch: ndarray, accelerated: bool) -> _Flights:
    """The parabolas through the frames whose stretch is not negative, those far off counting less."""
    used = stretch >= 0
    count = int(stretch.max()) + 1
    t, member = times[used], np.eye(count)[stretch[used]]
    columns = [member, member * t[:, None]] + ([0.5 * t[:, None] ** 2] if accelerated else [])
    design, places = np.concatenate(columns, axis=1), path[used]
    weight = np.ones(len(t))
    for _ in range(ROUNDS):
        root = np.sqrt(weight)[:, None]
        solution = np.linalg.lstsq(design * root, places * root, rcond=None)[0]
        distance = np.linalg.norm(places - design @ solution, axis=1)
        scale = max(1.4826 * float(np.median(distance)), 1e-9)
        weight = np.minimum(1.0, OUTLIER * scale / np.maximum(distance, 1e-9))
    acceleration = solution[-1] if accelerated else np.zeros(2)
    return _Flights(acceleration, solution[:count], solution[count : 2 * count])


def _stretches(
    times: Times, path: Path, contacts_s: Sequence[float], margin_s: float
) -> Int[ndarray, " time"]:
    """The number of the stretch between contacts of each frame; -1 near a contact or where nothing is seen."""
    label = np.searchsorted(np.sort(np.asarray(contacts_s, dtype=float)), times)
    seen = np.isfinite(path).all(axis=1)
    for contact in contacts_s:
        seen &= np.abs(times - contact) > margin_s
    numbers = np.full(len(times), -1)
    kept = [k for k in np.unique(label) if (seen & (label == k)).sum() >= LEAST_FRAMES]
    for number, k in enumerate(kept):
        numbers[seen & (label == k)] = number
    return numbers


def _nearby(times: Times, path: Path, contacts_s: Sequence[float]) -> list[float]:
    """The contacts that were read by eye, each moved to where two parabolas meet best."""
    named, near = sorted(contacts_s), NEAR_CONTACT * _step(times)
    seen, moved = np.isfinite(path).all(axis=1), []
    for before, contact, after in zip([-np.inf, *named], named, [*named[1:], np.inf], strict=False):
        frames = np.flatnonzero(seen & (times > before) & (times < after))
        cuts = [
            cut
            for cut in range(LEAST_FRAMES, len(frames) - LEAST_FRAMES + 1)
            if abs(times[frames[cut - 1 : cut + 1]].mean() - contact) <= near
        ]
        t, places, order = times[frames], path[frames], np.arange(len(frames))
        parts = [_deviation(t, places, (order >= cut).astype(int)) for cut in cuts]
        moved.append(float(t[cuts[int(np.argmin(parts))] - 1 :][:2].mean()) if cuts else contact)
    return moved


def _kinks(times: Times, path: Path, stretch: Stretch) -> list[float]:
    """When something else is hit or let go within the stretches: a friction that grows is no kink."""
    found: list[float] = []
    todo = [np.flatnonzero(stretch == k) for k in range(int(stretch.max()) + 1)]
    while todo:
        frames = todo.pop()
        if len(frames) < 2 * LEAST_FRAMES + 2:
            continue
        t, places = times[frames], path[frames]
        whole = _deviation(t, places, np.zeros(len(t), int))
        cuts = range(LEAST_FRAMES + 1, len(t) - LEAST_FRAMES)
        parts = [_deviation(t, places, (np.arange(len(t)) >= cut).astype(int)) for cut in cuts]
        best = int(np.argmin(parts))
        if whole > KINK_PX and parts[best] * KINK_TIMES < whole:
            cut = cuts[best]
            found.append(float(t[cut - 1 : cut + 1].mean()))
            todo += [frames[:cut], frames[cut:]]
    return found


def _deviation(times: ndarray, places: ndarray, stretch: ndarray) -> float:
    """Root mean square distance from parabolas of one acceleration, all frames counting alike."""
    member = np.eye(int(stretch.max()) + 1)[stretch]
    design = np.concatenate([member, member * times[:, None], times[:, None] ** 2], axis=1)
    residual = places - design @ np.linalg.lstsq(design, places, rcond=None)[0]
    return float(np.sqrt((residual**2).sum(axis=1).mean()))


def fit_flight(times: Times, position: Position, scene: Scene, stretch: Stretch | None = None) -> LawFit:
    """Free fall, a throw, a slide: constant acceleration over the longest time in which nothing is hit."""
    return _flight(times, position, scene, stretch, "constant acceleration")


def fit_uniform(times: Times, position: Position, scene: Scene, stretch: Stretch | None = None) -> LawFit:
    """Motion that nothing changes: the residual is from a straight line at one speed; the acceleration is given."""
    return _flight(times, position, scene, stretch, "uniform motion", accelerated=False)


def _flight(
    times: Times,
    position: Position,
    scene: Scene,
    stretch: Stretch | None,
    law: str,
    accelerated: bool = True,
) -> LawFit:
    path, step = position[:, 0], _step(times)
    if stretch is None:
        contacts = _nearby(times, path, scene.contacts_s)
        parts = _stretches(times, path, contacts, AT_CONTACT * step)
        contacts += _kinks(times, path, parts)
        parts = _stretches(times, path, contacts, AT_CONTACT * step)
        longest = int(np.bincount(parts[parts >= 0]).argmax()) if parts.max() >= 0 else -1
        stretch = np.where((parts == longest) & (parts >= 0), 0, -1)
    stretch = _seen(stretch, path)
    if (stretch >= 0).sum() <= LEAST_FRAMES:
        raise NoFit(f"is tracked in {int(np.isfinite(path).all(axis=1).sum())} frames, too few for a fit")
    spoken = times[stretch >= 0]

    def measured(places: ndarray) -> list[float]:
        flights = _fit_flights(times, places, stretch, True)
        first, last = (flights.velocity[0] + flights.acceleration * t for t in (spoken[0], spoken[-1]))
        speeds = [float(np.linalg.norm(v)) / (scene.px_per_m or 1.0) for v in (first, last)]
        return [*_of_acceleration(flights.acceleration, scene), *speeds]

    fitted = _placed(_fit_flights(times, path, stretch, accelerated), times, stretch)
    unit = "m/s" if scene.px_per_m else "px/s"
    names = [*_names_of_acceleration(scene), ("initial_speed", unit), ("final_speed", unit)]
    return _law_fit(law, path, fitted, stretch, measured, names, 3)


def fit_bounces(times: Times, position: Position, scene: Scene, stretch: Stretch | None = None) -> LawFit:
    """Flights of one acceleration, and how much of the speed along it each contact between them gives back."""
    path, step = position[:, 0], _step(times)
    if stretch is None:
        contacts = _nearby(times, path, scene.contacts_s)
        parts = _stretches(times, path, contacts, AT_CONTACT * step)
        contacts += _kinks(times, path, parts)
        stretch = _stretches(times, path, contacts, AT_CONTACT * step)
    stretch = _seen(stretch, path)
    if stretch.max() < 1:  # a single flight
        return fit_flight(times, position, scene, stretch)

    def measured(places: ndarray) -> list[float]:
        flights = _fit_flights(times, places, stretch, True)
        given_back = _restitutions(flights)
        return [*_of_acceleration(flights.acceleration, scene), float(np.mean(given_back)), *given_back]

    fitted = _placed(_fit_flights(times, path, stretch, True), times, stretch)
    names = [*_names_of_acceleration(scene), ("restitution", "ratio")]
    names += [(f"restitution_{k + 1}", "ratio") for k in range(int(stretch.max()))]
    return _law_fit("bounce", path, fitted, stretch, measured, names, 2 * int(stretch.max()) + 3)


def _seen(stretch: Stretch, path: Path) -> Stretch:
    """The stretches without the frames in which the thing is not there, numbered without those that are left with
    too few."""
    seen = np.where(np.isfinite(path).all(axis=1), stretch, -1)
    kept = [k for k in range(int(seen.max()) + 1) if (seen == k).sum() >= LEAST_FRAMES]
    numbers = np.full(len(seen), -1)
    for number, k in enumerate(kept):
        numbers[seen == k] = number
    return numbers


def _meetings(flights: _Flights) -> ndarray:
    """When successive parabolas meet along the acceleration: as it is the same in both, a line's root."""
    along = flights.acceleration / np.linalg.norm(flights.acceleration)
    apart, closing = np.diff(flights.start, axis=0) @ along, np.diff(flights.velocity, axis=0) @ along
    return np.asarray(-apart / closing)


def _restitutions(flights: _Flights) -> list[float]:
    """Outgoing over incoming speed along the acceleration, at each meeting."""
    along = flights.acceleration / np.linalg.norm(flights.acceleration)
    ratios = []
    for k, t in enumerate(_meetings(flights)):
        come, go = ((flights.velocity[n] + flights.acceleration * t) @ along for n in (k, k + 1))
        ratios.append(float(-go / come))
    return ratios


def _names_of_acceleration(scene: Scene) -> list[tuple[str, str]]:
    names = [("acceleration", "m/s²" if scene.px_per_m else "px/s²")]
    if scene.gravity is not None:
        names.append(("angle_to_gravity", "degrees"))
    return names


def _of_acceleration(acceleration: ndarray, scene: Scene) -> list[float]:
    """Its size, along gravity where that is known, and how far it points away from gravity."""
    scale = scene.px_per_m or 1.0
    if scene.gravity is None:
        return [float(np.linalg.norm(acceleration)) / scale]
    down = np.asarray(scene.gravity)
    return [float(acceleration @ down) / scale, _angle(down, acceleration)]


# --- pendulum ----------------------------------------------------------------------------------------------


def fit_pendulum(times: Times, position: Position, scene: Scene, stretch: Stretch | None = None) -> LawFit:
    """A decaying oscillation along the line on which the bob moves most; where it hits a wall, one for each swing.

    Source: x(t) = c + a exp(-d t) cos(2 pi t / p + f); the period of a swing of 20 degrees is 0.8% longer than that of
    a small one. Swings that a wall cuts short share c and p, and the decay is that of their amplitudes.
    """
    path = position[:, 0]
    seen = np.isfinite(path).all(axis=1)
    if seen.sum() < 2 * LEAST_FRAMES:
        raise NoFit(f"is tracked in {int(seen.sum())} frames, too few for a fit")
    middle = path[seen].mean(axis=0)
    along = np.linalg.svd(path[seen] - middle, full_matrices=False)[2][0]
    if stretch is None:
        stretch = _stretches(times, path, _impacts(times, (path - middle) @ along), AT_CONTACT * _step(times))
    stretch = _seen(stretch, path)
    if (stretch >= 0).sum() < 2 * LEAST_FRAMES:
        raise NoFit("swings for too few frames between the walls that it hits")
    used, member = stretch >= 0, np.eye(int(stretch.max()) + 1)[stretch[stretch >= 0]]
    t = times[used] - times[0]
    best = _first_guess(t, (path[used] - middle) @ along, member)

    def measured(moved: ndarray) -> list[float]:
        line = (moved[used] - middle) @ along
        period, decay, _ = _swings(t, line, member, best)
        return [period, decay]

    line = (path[used] - middle) @ along
    fitted = np.full(path.shape, np.nan)
    fitted[used] = path[used] + np.outer(_swings(t, line, member, best)[2] - line, along)
    names = [("period", "s"), ("decay", "1/s")]
    return _law_fit("pendulum", path, fitted, stretch, measured, names, 2 * member.shape[1] + 3)


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

    found = minimize_scalar(
        lambda w: float(((of(w)[0] - line) ** 2).sum()),
        bounds=(0.8 * guess[3], 1.25 * guess[3]),
        method="bounded",
    )
    fitted, solution = of(float(found.x))
    count = member.shape[1]
    amplitude = np.hypot(solution[1 : 1 + count], solution[1 + count :])
    when = (member * t[:, None]).sum(axis=0) / member.sum(axis=0)
    decay = -np.polyfit(when, np.log(np.maximum(amplitude, 1e-9)), 1)[0]
    return float(2 * np.pi / found.x), float(decay), fitted


def _design(t: ndarray, member: ndarray, w: float) -> ndarray:
    """Columns of a middle that all share and an oscillation of each swing."""
    return np.concatenate(
        [np.ones((len(t), 1)), member * np.cos(w * t)[:, None], member * np.sin(w * t)[:, None]], axis=1
    )


def _swing(parameters: ndarray, t: ndarray) -> ndarray:
    """c + (a cos wt + b sin wt) exp(-d t), with parameters (a, b, d, w, c)."""
    a, b, d, w, c = parameters
    line: ndarray = c + np.exp(-np.clip(d, -5, 50) * t) * (a * np.cos(w * t) + b * np.sin(w * t))
    return line


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


# --- collision ---------------------------------------------------------------------------------------------


def fit_collision(times: Times, position: Position, scene: Scene, stretch: Stretch | None = None) -> LawFit:
    """Total momentum of two things of equal mass before and after they meet: its direction, its size, their bounce.

    Velocities are those at the contact, of a parabola through `WINDOW_S` on either side (a table slows things down).
    """
    if position.shape[1] < 2:
        raise NoFit("shows a collision, but only one thing was followed")
    step = _step(times)
    apart = np.linalg.norm(position[:, 0] - position[:, 1], axis=1)
    near = np.ones(len(times), bool)
    if scene.contacts_s:
        near = np.abs(times - scene.contacts_s[0]) <= 2 * NEAR_CONTACT * step
    if not np.isfinite(apart[near]).any():
        raise NoFit("does not show both things where they meet")
    contact = float(times[near][np.nanargmin(apart[near])])
    both = np.isfinite(position).all(axis=(1, 2)) & (np.abs(times - contact) <= max(WINDOW_S, 8 * step))
    if stretch is None:
        clear = both & (np.abs(times - contact) > 1.5 * step)
        stretch = np.where(clear, (times > contact).astype(int), -1)
    stretch = np.where(np.isfinite(position).all(axis=(1, 2)), stretch, -1)
    if min((stretch == k).sum() for k in (0, 1)) < LEAST_FRAMES:
        raise NoFit("does not show both things for four frames on either side of where they meet")

    sides = [np.where(stretch == k, 0, -1) for k in (0, 1)]

    def velocities(places: ndarray, side: ndarray) -> ndarray:
        fits = [_fit_flights(times, places[:, k], side, True) for k in (0, 1)]
        return np.stack([fit.velocity[0] + fit.acceleration * contact for fit in fits])

    def measured(places: ndarray) -> list[float]:
        before, after = (velocities(places, side) for side in sides)
        line = np.nanmean(
            np.where((np.abs(times - contact) <= 3 * step)[:, None], places[:, 1] - places[:, 0], np.nan), 0
        )
        line /= np.linalg.norm(line)
        total = before.sum(axis=0), after.sum(axis=0)
        return [
            _angle(total[0], total[1]),
            float(np.linalg.norm(total[1]) / np.linalg.norm(total[0])),
            float(-((after[1] - after[0]) @ line) / ((before[1] - before[0]) @ line)),
            float((after**2).sum() / (before**2).sum()),
        ]

    fitted = np.full(position.shape, np.nan)
    for k, side in product((0, 1), sides):
        placed = _placed(_fit_flights(times, position[:, k], side, True), times, side)
        fitted[side >= 0, k] = placed[side >= 0]
    names = [("momentum_angle", "degrees"), ("momentum_kept", "ratio")]
    names += [("restitution", "ratio"), ("energy_kept", "ratio")]
    return _law_fit("collision", position, fitted, stretch, measured, names, 6)


# --- what they share ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Law:
    """What an event of the sidecar is measured by."""

    objects: int
    fit: Fit


LAWS: dict[str, Law] = {
    "projectile": Law(1, fit_flight),
    "slide": Law(1, fit_flight),
    "roll": Law(1, fit_flight),
    "accelerated": Law(1, fit_flight),
    "uniform": Law(1, fit_uniform),
    "bounce": Law(1, fit_bounces),
    "pendulum": Law(1, fit_pendulum),
    "collision": Law(2, fit_collision),
}
"""By the sidecar's `event`; other events follow no law that tracks could show."""


def _law_fit(
    law: str,
    path: ndarray,
    fitted: ndarray,
    stretch: Stretch,
    measured: Callable[[ndarray], list[float]],
    names: Sequence[tuple[str, str]],
    spent: int,
) -> LawFit:
    """The quantities with their bootstrap intervals, and how far the path lies from the law's.

    spent: parameters that a coordinate is fitted with: residuals are so much smaller than errors.
    """

    def quantities() -> tuple[Quantity, ...]:
        draws = np.array([measured(drawn) for drawn in _redrawn(path, fitted, spent)])
        low, high = np.nanpercentile(draws, [2.5, 97.5], axis=0)
        return tuple(
            Quantity(
                name, value, value - WIDER * (value - float(a)), value + WIDER * (float(b) - value), unit
            )
            for (name, unit), value, a, b in zip(names, measured(path), low, high, strict=True)
        )

    residual = np.linalg.norm(path - fitted, axis=-1).reshape(len(path), -1)
    return LawFit(law, residual, stretch, quantities)


def _redrawn(path: ndarray, fitted: ndarray, spent: int) -> list[ndarray]:
    """Paths that could have been tracked: the law's with residuals drawn in blocks."""
    rng = np.random.default_rng(0)
    used = np.flatnonzero(np.isfinite((path - fitted).reshape(len(path), -1)).all(axis=1))
    residual = (path - fitted)[used] * np.sqrt(len(used) / max(len(used) - spent, 1))
    block = max(1, len(used) // BLOCKS)
    drawn = []
    for _ in range(DRAWS):
        starts = rng.integers(0, len(used) - block + 1, -(-len(used) // block))
        order = (starts[:, None] + np.arange(block)).ravel()[: len(used)]
        moved = path.copy()
        moved[used] = fitted[used] + residual[order]
        drawn.append(moved)
    return drawn


def _placed(flights: _Flights, times: Times, stretch: Int[ndarray, " time"]) -> Path:
    places = np.full((len(times), 2), np.nan)
    used = stretch >= 0
    places[used] = flights.place(times[used], stretch[used])
    return places


def _step(times: Times) -> float:
    if len(times) < 2:
        raise UserError("a law is fitted to two frames or more")
    return float(np.median(np.diff(times)))


def _angle(first: ndarray, second: ndarray) -> float:
    """Degrees from the first to the second direction, from -180 to 180, clockwise in the picture."""
    cross = first[0] * second[1] - first[1] * second[0]
    return float(np.degrees(np.arctan2(cross, first @ second)))
