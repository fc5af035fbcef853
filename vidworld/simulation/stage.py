"""What samplers of scenes work with: how a clip is rendered, a scenario's ranges, and draws from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vidworld.core.clip import Tracks
from vidworld.core.clip_shape import WORLD_SIZE, ClipShape
from vidworld.core.counter_rng import Draws, clip_streams, mix, public, stratum
from vidworld.core.errors import UserError
from vidworld.simulation.chance import Chance
from vidworld.simulation.discs import Scenes, discs_alone

_COLORS = ((235, 45, 45), (45, 205, 60), (45, 75, 250), (240, 215, 40), (225, 50, 225), (40, 225, 230))
PALETTE = torch.tensor(_COLORS, dtype=torch.float32) / 255
"""The discs' colours: red, green, blue, yellow, magenta, cyan; no channel darker than the background."""

MAX_CANDIDATES = 100_000  # a clip that none of these fits is not to be had
CANDIDATES_AT_ONCE = 512

Range = tuple[float, float]
PerWorld = Float[Tensor, " world"]
PerDisc = Float[Tensor, "world count"]
Point = Float[Tensor, "world 2"]
Fits = Bool[Tensor, " world"]


@dataclass(frozen=True)
class Ranges:
    """What speeds (units a second) and radii (units) are drawn from, in distribution and outside it.

    In distribution no disc is both fast and large; in `recombined` one is at least. Nor is any in the hole.
    """

    speed: Range
    radius: Range
    speed_outside: tuple[Range, ...]
    radius_outside: tuple[Range, ...]
    corner: float = 0.4  # the part of the speeds that is fast, and of the radii that is large
    hole: Range | None = None  # speeds that no disc has in distribution, and one has in `hole`

    @property
    def fast(self) -> float:
        """The least of the speeds in the corner."""
        return self.speed[1] - self.corner * (self.speed[1] - self.speed[0])

    @property
    def large(self) -> float:
        """The least of the radii in the corner."""
        return self.radius[1] - self.corner * (self.radius[1] - self.radius[0])


class Stage:
    """One candidate scene a stream: draws its numbers as the split has them.

    In `ood`, a third of the candidates have speeds from outside, a third radii, a third both.
    """

    def __init__(self, streams: Int[Tensor, " world"], setting: ClipShape, ranges: Ranges, split: str) -> None:
        self.draws = Draws(streams)
        self.setting = setting
        self.ranges = ranges
        kind = self.draws.uniform(0.0, 3.0).floor()
        self.outside_speed = (split == "ood") & (kind != 1)
        self.outside_radius = (split == "ood") & (kind != 0)
        self.size = torch.tensor([WORLD_SIZE, setting.height], dtype=torch.float64, device=streams.device)

    def speed(self, count: int) -> PerDisc:
        return self._drawn(self.ranges.speed, self.ranges.speed_outside, self.outside_speed, count)

    def radius(self, count: int) -> PerDisc:
        return self._drawn(self.ranges.radius, self.ranges.radius_outside, self.outside_radius, count)

    def _drawn(self, inside: Range, outside: tuple[Range, ...], is_outside: Fits, count: int) -> PerDisc:
        share = self.draws.uniform(count=count)
        within = inside[0] + share * (inside[1] - inside[0])
        piece = (share * len(outside)).floor().clamp(max=len(outside) - 1)
        part = share * len(outside) - piece
        low, high = torch.tensor(outside, dtype=torch.float64, device=share.device)[piece.long()].unbind(-1)
        return torch.where(is_outside[:, None], low + part * (high - low), within)

    def colors(self, count: int) -> Float[Tensor, "world count 3"]:
        """Colours of `count` discs, no two the same."""
        return PALETTE.to(self.size)[self.draws.order(len(PALETTE))[:, :count]]

    def place(self, low: Point, high: Point) -> tuple[Point, Fits]:
        """A point about which all from `low` to `high` is in the picture, and whether there is one."""
        least, most = -low, self.size - high
        point = least + self.draws.uniform(count=2) * (most - least)
        return point, (least <= most).all(1)

    scenes = staticmethod(discs_alone)


Candidates = tuple[tuple[Scenes, ...], Fits]  # worlds a stream that belong together, and whether they will do
Sampler = Callable[[Stage], Candidates]
Layout = Callable[[Stage, PerWorld], Candidates]  # a sampler of worlds A and B that look the same at a moment (s)


@dataclass(frozen=True)
class Scenario:
    """What clips of one kind are drawn by."""

    samplers: tuple[Sampler, ...]  # one of these draws each clip, each as likely
    ranges: Ranges
    weight: float = 1.0  # how often training draws it, relatively; 0: neither trained on nor measured by default
    metrics: tuple[str, ...] = ()  # metrics that apply to it besides those that name it themselves
    version: int = 1  # of another package's; for ours the registry says it
    label: str = ""  # on pages; empty: its name in words
    more: tuple[Sampler, ...] = ()  # those of the split `more`: more discs than training has, from the same ranges
    goes_on: bool = False  # clips of several times the usual length are to be had (of slow discs, without walls)
    chance: Chance | None = None  # what happens that nothing before it tells


JoinedT = TypeVar("JoinedT", Scenes, Tracks)


def joined(parts: Sequence[JoinedT]) -> JoinedT:
    """The same of all parts, in order."""
    return type(parts[0])(**{name: torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])})


@dataclass(frozen=True)
class Law:
    """What a law says, and what its quadruplets are drawn by: one of the layouts, each as likely, from these ranges."""

    layouts: tuple[Layout, ...]
    ranges: Ranges
    statement: str  # what the law says, in a sentence for the page
    moment_frames: float = 0.0  # when, from the first frame after the splice on: A and B look the same then
    legacy: str = ""  # of a law that another has replaced: the name that its clips were drawn by; measured where named
    version: int = 1  # of another package's; for ours the registry says it


def sample_scenes(
    scenario: Scenario, name: str, indices: Sequence[int], setting: ClipShape, split: str, device: torch.device
) -> tuple[Scenes, ...]:
    """Worlds for the clips of these numbers, from each of the samplers for as many; `name` names the stream.

    Its secret, if it has one, decides on the clips and not on which sampler draws which.

    UserError where nothing fits the picture, the rate and the length, these ranges leave no corner or hole out, or
    nothing says how more discs are drawn.
    """
    samplers, ranges = scenario.more if split == "more" else scenario.samplers, scenario.ranges
    streams, name = clip_streams(name, indices, device), public(name)
    if not samplers:
        raise UserError(f"{name}: nothing draws more discs than training has; name a sampler for it, Scenario.more")
    if split == "recombined" and not ranges.corner:
        raise UserError(f"{name}: nothing is left to recombine; training draws every speed with every radius")
    if split == "hole" and not ranges.hole:
        raise UserError(f"{name}: training leaves no band of speeds out; uniform_hole is a scenario that does")
    kind = stratum(name, indices, len(samplers), device)

    def first_valid(sampler: Sampler, pending: Int[Tensor, " pending"]) -> list[tuple[Tensor, tuple[Scenes, ...]]]:
        """Each clip's first candidate that is valid: a function of its stream, however many are tried at once."""
        found, tried = [], 0
        while len(pending) > 0:
            if tried >= MAX_CANDIDATES:
                would_do = "fewer frames or a higher fps would do, or scenarios without it"
                raise UserError(f"{name}: no clip fits this picture, rate and length; {would_do}")
            at_once = min(max(CANDIDATES_AT_ONCE // len(pending), 4), 256)
            numbers = torch.arange(tried, tried + at_once, device=streams.device)
            candidates = mix(streams[pending][:, None] + mix(numbers)).flatten()
            scenes, valid = sampler(Stage(candidates, setting, ranges, split))
            if split != "ood":
                corner = torch.stack([_has_fast_and_large(scene, ranges) for scene in scenes]).any(0)
                valid = valid & (corner == (split == "recombined"))
                if ranges.hole:
                    in_hole = torch.stack([_has_speed_in(scene, ranges.hole) for scene in scenes]).any(0)
                    valid = valid & (in_hole == (split == "hole"))
            valid = valid.reshape(-1, at_once)
            has_one, first = valid.any(1), valid.to(torch.uint8).argmax(1)
            chosen = (torch.arange(len(pending), device=pending.device) * at_once + first)[has_one]
            found.append((pending[has_one], tuple(scene.at(chosen) for scene in scenes)))
            pending = pending[~has_one]
            tried += at_once
        return found

    parts = []
    for sampler in dict.fromkeys(samplers):
        uses = torch.tensor([each is sampler for each in samplers], device=device)
        parts += first_valid(sampler, uses[kind].nonzero()[:, 0])
    order = torch.cat([clips for clips, _ in parts]).argsort()

    worlds = zip(*(scenes for _, scenes in parts), strict=True)
    return tuple(joined(same).at(order) for same in worlds)


def _has_fast_and_large(scenes: Scenes, ranges: Ranges) -> Fits:
    """Whether a disc is in the corner of speed and radius that training leaves out."""
    fast = scenes.velocity.square().sum(-1) > ranges.fast**2
    return (fast & (scenes.radius > ranges.large) & scenes.present).any(1)


def _has_speed_in(scenes: Scenes, band: Range) -> Fits:
    """Whether a disc's speed lies in this band."""
    squared = scenes.velocity.square().sum(-1)
    return ((squared > band[0] ** 2) & (squared < band[1] ** 2) & scenes.present).any(1)
