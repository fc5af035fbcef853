"""How well tracks of real film keep a law, and what the law's constants are in them, with intervals.

Each law is a least-squares fit to positions in pixels over seconds. What the true film deviates from its law (friction,
a round lens, the tracker) is no fault of a world: a world is charged for what it adds to that. Fitted to a prediction,
a law takes the truth's own stretches between contacts.

Intervals are 95% and from a moving-block bootstrap of the fit's residuals (Source: Künsch 1989), as the errors of a
tracker are alike from one frame to the next. They say nothing of a wrong scale or a tilted camera.
"""

from dataclasses import dataclass

from vidworld.video_laws.collision import fit_collision
from vidworld.video_laws.flight import fit_bounces, fit_flight, fit_uniform
from vidworld.video_laws.law import Fit
from vidworld.video_laws.pendulum import fit_pendulum


@dataclass(frozen=True)
class VideoLaw:
    """What an event of the sidecar is measured by."""

    objects: int
    fit: Fit


# By the sidecar's `event`; other events follow no law that tracks could show.
VIDEO_LAWS: dict[str, VideoLaw] = {
    **dict.fromkeys(("projectile", "slide", "roll", "accelerated"), VideoLaw(1, fit_flight)),
    "uniform": VideoLaw(1, fit_uniform),
    "bounce": VideoLaw(1, fit_bounces),
    "pendulum": VideoLaw(1, fit_pendulum),
    "collision": VideoLaw(2, fit_collision),
}
