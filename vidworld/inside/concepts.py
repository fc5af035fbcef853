"""Concepts, and what is true of them in simulated clips: samples, where in the picture each is, and the answers.

Discs are read one by one, in a window about the cell that each is in; where there is one disc, and how many there
are, of the whole picture. What is hidden is read in pairs of clips that look the same in their last frame, of the
same window in both, so that one half is right by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vidworld.core.clip import Clips, Tracks
from vidworld.core.clip_shape import WORLD_SIZE, ClipShape
from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.simulation.quadruplets import quadruplets
from vidworld.simulation.simulated import SimulatedClips

Part = Literal["fit", "choose", "test"]
_SPLITS: dict[Part, tuple[str, int]] = {"fit": ("val", 0), "choose": ("val", 50_000), "test": ("id", 0)}
"""The split of each part, and the number of its first clip."""
OF_DISCS = ("uniform", "parabola", "bounce", "collision", "billiards")
ALONE = 3
"""The first so many of these have one disc."""
_SHOWN = 0.9
"""Share of a disc's area that is to show for it to be read."""


class Concept(NamedTuple):
    label: str
    unit: str
    binary: bool = False


CONCEPTS = {
    "place": Concept("place of a disc from the middle of its cell (x, y)", "units"),
    "velocity": Concept("velocity of a disc (x, y)", "units/s"),
    "speed": Concept("speed of a disc", "units/s"),
    "direction": Concept("direction of a disc's motion (cosine, sine)", ""),
    "mass": Concept("mass of a disc, the square of its radius", "units²"),
    "time_to_contact": Concept("time until a disc meets another, of those that do within 0.8 s", "s"),
    "position": Concept("position of the only disc in the picture (x, y)", "units"),
    "count": Concept("number of discs", ""),
    "hidden_existence": Concept("whether a disc is behind the screen", "", binary=True),
    "hidden_place": Concept("behind which of two screens a disc is", "", binary=True),
}


@dataclass(frozen=True)
class Samples:
    """What is read of clips, of which only the context is here."""

    clips: Clips
    clip: Int[Tensor, " sample"]
    group: Int[Tensor, " sample"]
    """What is resampled together: a clip, or a quadruplet."""
    place: Float[Tensor, "sample 2"] | None
    """The middle of what each is about, in world units; None for the whole picture."""
    answers: dict[str, Float[Tensor, "sample _"]]
    """By concept; NaN where it does not apply. Binary ones are -1 and 1."""
    disc: Int[Tensor, " sample"] | None = None
    """The number of each in its clip."""
    tracks: tuple[Tracks, ...] = ()
    """The whole clips' truth, of each scenario in turn."""


def scene_samples(
    part: Part, shape: ClipShape, context: int, count: int, grid: tuple[int, int], shuffled: bool = False
) -> dict[str, Samples]:
    """The samples `discs` and `scene` of so many clips, which are the same of both.

    context: frames that are shown. grid: rows and columns of cells. shuffled: the frames are shown in random order, and
    what is true is that of the frame that is shown last.
    """
    split, first = _SPLITS[part]
    each, clips, parts = -(-count // len(OF_DISCS)), [], []
    for number, scenario in enumerate(OF_DISCS):
        numbers = range(first, first + each)
        made = SimulatedClips(scenario, split, shape=shape).clips(numbers)
        order = torch.arange(context).expand(each, -1)
        if shuffled:
            order = Draws(clip_streams(f"inside/{scenario}/{split}", numbers, torch.device("cpu"))).order(context)
        shown = made.frames[torch.arange(each)[:, None], order]
        clips.append(Clips(shown, made.fps, made.identity))
        parts.append(_Scene(made.truth, order[:, -1], 1 / made.fps, number * each, number < ALONE))
    together = Clips(
        torch.cat([each.frames for each in clips]), shape.fps, tuple(name for each in clips for name in each.identity)
    )
    cell = shape.height / grid[0], WORLD_SIZE / grid[1]
    return {"discs": _discs(together, parts, cell), "scene": _scenes(together, parts)}


class _Scene(NamedTuple):
    """Clips of one scenario, and the frame of each that is shown last."""

    tracks: Tracks
    last: Int[Tensor, " clip"]
    dt_s: float
    first: int
    alone: bool

    def now(self, values: Tensor) -> Tensor:
        return values[torch.arange(len(values)), self.last]


def _scenes(clips: Clips, parts: Sequence[_Scene]) -> Samples:
    position, count = [], []
    for part in parts:
        there = part.now(part.tracks.position)[:, 0].float()
        position.append(there if part.alone else torch.full_like(there, torch.nan))
        count.append(part.now(part.tracks.present).sum(dim=1, keepdim=True).float())
    number = torch.arange(len(clips))
    answers = {"position": torch.cat(position), "count": torch.cat(count)}
    return Samples(clips, number, number, None, answers)


def _discs(clips: Clips, parts: Sequence[_Scene], cell: tuple[float, float]) -> Samples:
    found: dict[str, list[Tensor]] = {name: [] for name in ("clip", "disc", "place", "velocity", "mass", "contact")}
    for part in parts:
        tracks = part.tracks
        clip, disc = (part.now(tracks.present) & (part.now(tracks.visible) > _SHOWN)).nonzero(as_tuple=True)
        contact = tracks.contact_s[clip, disc] - part.last[clip] * part.dt_s
        for name, value in (
            ("clip", clip + part.first), ("disc", disc), ("place", part.now(tracks.position)[clip, disc]),
            ("velocity", part.now(tracks.velocity)[clip, disc]), ("mass", tracks.mass[clip, disc]),
            ("contact", torch.where((contact > 0) & (contact <= 0.8), contact, torch.nan)),
        ):  # fmt: skip
            found[name].append(value)
    of_all = {name: torch.cat(values) for name, values in found.items()}
    place, velocity = of_all["place"].float(), of_all["velocity"].float()
    speed, size = velocity.norm(dim=1, keepdim=True), torch.tensor(cell[::-1])
    answers = {
        "place": place - ((place / size).floor() + 0.5) * size,
        "velocity": velocity,
        "speed": speed,
        "direction": torch.where(speed > 0.2, velocity / speed, torch.nan),
        "mass": of_all["mass"].float()[:, None],
        "time_to_contact": of_all["contact"].float()[:, None],
    }
    truth = tuple(part.tracks for part in parts)
    return Samples(clips, of_all["clip"], of_all["clip"], place, answers, of_all["disc"], truth)


def pairs_of(law: str, part: Part, shape: ClipShape, context: int, count: int) -> tuple[Clips, Clips]:
    """So many clips A and B of a law, whole ones, which look the same in the last frame that is shown."""
    split, first = _SPLITS[part]
    pairs = quadruplets(law, split, 0, range(first, first + count), splice_frame=context - 1, shape=shape)
    return pairs.a, pairs.b


def hidden_samples(kind: str, part: Part, shape: ClipShape, context: int, count: int) -> Samples:
    """The samples `hidden` or `screens` of so many pairs, A and B, which look the same in the last frame shown."""
    a, b = pairs_of({"hidden": "legacy_permanence", "screens": "legacy_continuity"}[kind], part, shape, context, count)
    truths = a.truth, b.truth
    there = [each.position[:, context - 1, 0].float() for each in truths]
    gone = [(each.visible[:, context - 1, 0] == 0) & each.present[:, context - 1, 0] for each in truths]
    frames = torch.cat((a.frames[:, :context], b.frames[:, :context]))
    clips = Clips(frames, shape.fps, (*a.identity, *b.identity))
    number, ones = torch.arange(count), torch.ones(count)
    if kind == "hidden":  # there is no such disc in B
        kept, places = gone[0], [there[0], there[0]]
        clip, answer, group = [number, number + count], [ones, -ones], [number, number]
        name = "hidden_existence"
    else:  # of both screens in both clips
        kept, places = gone[0] & gone[1], [there[0], there[1], there[0], there[1]]
        clip, group = [number, number, number + count, number + count], [number] * 4
        answer, name = [ones, -ones, -ones, ones], "hidden_place"
    of_all = [torch.cat([each[kept] for each in values]) for values in (clip, group, places, answer)]
    return Samples(clips, of_all[0], of_all[1], of_all[2], {name: of_all[3][:, None]}, tracks=truths)
