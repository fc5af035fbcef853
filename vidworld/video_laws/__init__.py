"""How well tracks of real video keep a law, and what the law's constants are in them, with intervals.

Each law is a least-squares fit to positions in pixels over seconds. The true video deviates from its law (friction,
a round lens, the tracker): that is no error of a model, which is penalised for what it adds to it. Fitted to a
prediction, a law takes the truth's own stretches between contacts.
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
