"""How well tracks of real video keep a law, and what the law's constants are in them, with their intervals.

Each law is a least-squares fit to positions in pixels over seconds. The true video deviates from its law (friction,
a round lens, the tracker): that is no error of a model, which is penalised for what it adds to it. Fitted to a
prediction, a law takes the truth's own stretches between contacts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from vidworld.core.errors import UserError
from vidworld.core.registry import Registry
from vidworld.video_laws.uncertainty import drawn_errors, interval_of

STANDARD_GRAVITY = 9.81  # m/s²

TrackTimes = Float[ndarray, " time"]
Position = Float[ndarray, "time object 2"]
Places = Float[ndarray, "time 2"]
Measured = dict[tuple[str, str], float]  # by name and unit
Stretch = Int[ndarray, " time"]  # which stretch between contacts each frame lies in; -1: in none


@dataclass(frozen=True)
class VideoScene:
    """What is known of a video beside its tracks."""

    contacts_s: tuple[float, ...] = ()  # when something is hit, roughly
    gravity: tuple[float, float] | None = None  # its direction in the picture, a unit vector with y down
    px_per_m: float | None = None
    masses: tuple[float, ...] | None = None  # of two things, in the order of `in_order`; None: taken as equal


@dataclass(frozen=True)
class Quantity:
    """One number that a law gives, with its 95% interval: errors go on from frame to frame (`uncertainty`)."""

    name: str
    value: float
    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class LawFit:
    """A law fitted to a video's tracks."""

    law: str
    residual: Float[ndarray, "time object"]  # pixels from the law's path; NaN where the fit does not speak
    stretch: Stretch  # counted among those that were fitted
    measured: Callable[[], tuple[Quantity, ...]] = field(repr=False)
    notes: tuple[str, ...] = ()  # what was taken for granted

    @cached_property
    def quantities(self) -> tuple[Quantity, ...]:
        """The law's constants; their intervals take a while, so they are found when asked for."""
        return self.measured()

    @property
    def deviation_px(self) -> float:
        """Root mean square distance from the law's path."""
        return float(np.sqrt(np.nanmean(self.residual**2))) if np.isfinite(self.residual).any() else np.nan


Fit = Callable[[TrackTimes, Position, VideoScene, Stretch | None], LawFit]  # the stretches: of an earlier fit, or None


class NoFit(ValueError):
    """A law that cannot be fitted; the text goes on from the video's name."""


@dataclass(frozen=True)
class VideoLaw:
    """What an event of the sidecar is measured by."""

    objects: int
    fit: Fit


# By the sidecar's `event` (`video/events.py` says what each is); other events follow no law that tracks could show.
VIDEO_LAWS: Registry[VideoLaw] = Registry(
    "law of real video",
    "vidworld.video_laws",
    dict.fromkeys(("projectile", "slide", "roll", "accelerated"), "vidworld.video_laws.parabolas:FLIGHT")
    | {
        "uniform": "vidworld.video_laws.parabolas:UNIFORM",
        "bounce": "vidworld.video_laws.parabolas:BOUNCE",
        "pendulum": "vidworld.video_laws.pendulum:PENDULUM",
        "spring": "vidworld.video_laws.pendulum:SPRING",
        "collision": "vidworld.video_laws.momentum:COLLISION",
        "explosion": "vidworld.video_laws.momentum:EXPLOSION",
    },
    of="vidworld.video_laws:VideoLaw",
)


def law_fit(
    law: str,
    path: ndarray,
    fitted: ndarray,
    stretch: Stretch,
    measured: Callable[[ndarray], Measured],
    design: ndarray,
    drawn_from: ndarray | None = None,
) -> LawFit:
    """The quantities with their intervals, and how far the path lies from the law's.

    path, fitted: (time, coordinate) or (time, object, coordinate), fitted NaN where the law does not speak.
    design: (time, parameter), columns that each coordinate is fitted with, or derivatives by the fit's parameters.
    drawn_from: the path of what is measured, where the law's own leaves some of it out.
    """

    def quantities() -> tuple[Quantity, ...]:
        around = fitted if drawn_from is None else drawn_from
        spoken = np.isfinite((path - around).reshape(len(path), -1)).all(axis=1)
        flat = np.where(spoken[:, None], path.reshape(len(path), -1), np.nan)
        errors = drawn_errors(flat, design).reshape(-1, *path.shape)
        found, draws = measured(path), []
        for error in errors:
            moved = path.copy()
            moved[spoken] = (around + error)[spoken]
            draws.append([*measured(moved).values()])
        columns = zip(found.items(), np.array(draws).T, strict=True)
        return tuple(Quantity(name, v, *interval_of(v, drawn, unit), unit) for ((name, unit), v), drawn in columns)

    residual = np.linalg.norm(path - fitted, axis=-1).reshape(len(path), -1)
    return LawFit(law, residual, stretch, quantities)


def frame_s(times: TrackTimes) -> float:
    if len(times) < 2:
        raise UserError("a law is fitted to two frames or more")
    return float(np.median(np.diff(times)))


def angle_between(first: ndarray, second: ndarray) -> float:
    """Degrees from the first to the second direction, from -180 to 180, clockwise in the picture."""
    cross = first[0] * second[1] - first[1] * second[0]
    return float(np.degrees(np.arctan2(cross, first @ second)))
