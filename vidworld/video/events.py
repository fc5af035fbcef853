"""The words for what happens in a video: the sidecar's `event`, what else people call it, and what each asks for."""

import difflib
from collections.abc import Iterable
from importlib import metadata
from typing import NamedTuple

LAWS_GROUP = "vidworld.video_laws"  # the entry points by which other packages add laws, and so events


class Event(NamedTuple):
    """What a word of the sidecar stands for."""

    shows: str  # what is to be seen
    measured: str = ""  # what a law gives of it; empty where it follows none that tracks could show
    also: str = ""  # other words for it


_PULL = "acceleration, its angle to gravity, speeds"
_FALL = (
    "free fall, fall, falling, drop, throw, thrown, toss, parabola, parabolic motion, projectile motion, flight, launch"
)
_PULLED = "acceleration, constant acceleration, uniform acceleration, uniformly accelerated, constant force"
_STRAIGHT = "uniform motion, constant velocity, constant speed, inertia, straight line"
_TO_AND_FRO = "oscillation, oscillator, vibration, harmonic motion, simple harmonic motion, mass on a spring"
_MEETING = "collisions, elastic collision, inelastic collision, impact, crash"
_MOMENTUM = "how far the total momentum is turned, what share of it is kept, restitution, energy kept"
EVENTS: dict[str, Event] = {
    "projectile": Event("something falls or is thrown and hits nothing", _PULL, _FALL),
    "slide": Event("something slides, with friction", _PULL, "sliding, incline, inclined plane"),
    "roll": Event("something rolls", _PULL, "rolling"),
    "accelerated": Event("one steady force acts", _PULL, _PULLED),
    "uniform": Event("nothing acts: a straight line", "speeds, acceleration (which is to be zero)", _STRAIGHT),
    "bounce": Event("something hits a floor or wall", "acceleration, restitution", "bounces, bouncing, rebound"),
    "pendulum": Event("something swings", "period, decay", "swing, swinging, pendula"),
    "spring": Event("something goes to and fro on a spring", "period, decay", _TO_AND_FRO),
    "collision": Event("two things meet", _MOMENTUM, _MEETING),
    "explosion": Event(
        "two things that rest together fly apart",
        "total momentum (which is to be zero), ratio of speeds",
        "recoil, separation, burst",
    ),
    "loop": Event("something goes round a loop"),
    "deflection": Event("something is drawn aside, as by a magnet"),
    "permanence": Event("something is hidden and comes back"),
    "rendered": Event("a computer's picture"),
    "general": Event("anything else", "", "other, none, unknown"),
}


def event_of(word: str) -> str:
    """The event that a word stands for; ValueError with the nearest word where it is none."""
    plain = " ".join(word.casefold().replace("_", " ").replace("-", " ").split())
    for article in ("a ", "an ", "the "):
        plain = plain.removeprefix(article)
    added = metadata.entry_points(group=LAWS_GROUP).names
    if word in added or word in EVENTS:
        return word
    known = {other: name for name, event in EVENTS.items() for other in (name, *event.also.split(", ")) if other}
    known |= {other.replace(" ", ""): name for other, name in known.items()}
    if plain in known:
        return known[plain]
    near = nearest(plain, [*known, *added], 0.7)
    hint = f"did you mean {known.get(near, near)}?" if near else f"there are {', '.join(EVENTS)}"
    raise ValueError(f"there is no event {word!r}; {hint}")


def nearest(word: str, words: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The word that is spelt most like another, if one is."""
    found = difflib.get_close_matches(word.casefold(), list(words), n=1, cutoff=cutoff)
    return found[0] if found else None


def events_help() -> str:
    """A line an event: its word, what it shows, what is measured of it."""
    lines = []
    for name, event in EVENTS.items():
        lines.append(f"  {name:12} {event.shows}: {event.measured or 'no law that tracks could show'}")
        lines += [f"  {'':12} (also: {event.also})"] if event.also else []
    return "\n".join(lines)
