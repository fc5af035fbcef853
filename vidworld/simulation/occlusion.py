"""Scenes with screens: layouts, each a pair (A, B) of valid scenes that look the same while all is hidden.

The scenario `occlusion` videos either world of any layout, at any time; the quads of the four occluded laws take both,
at the splice. So a network trained on the scenario has seen all that a possible clip shows.

Discs move horizontally, each in a lane of its own. In every layout the passing disc is all hidden for at least half a
frame before and after `moment_s`, and its centre is clear of the screen a quarter of a clip off.
"""

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.simulation.discs import Scenes
from vidworld.simulation.stage import Candidates, Fits, Layout, PerWorld, Ranges, Sampler, Stage

Colors = Float[Tensor, "world object 3"]
Screens = Float[Tensor, "world screen 4"]
Solid = tuple[Float[Tensor, "world 1 3"], Float[Tensor, "world 1 4"]]  # a wall, and the block that it makes solid
RANGES = Ranges((2.5, 4.0), (0.5, 0.9), ((2.0, 2.4), (4.2, 5.0)), ((0.35, 0.45), (1.0, 1.1)), corner=0.0)
MIN_SIZE_RATIO = 1.4  # how much the larger disc's radius exceeds the smaller's where size is what changes
MIN_BLOCK_SHOWN = 0.5
FAR = -1e9  # offset of a wall that is not there


class Passage:
    """A disc's pass behind a screen: when, how fast, which way, and how wide the screen must be."""

    def __init__(self, stage: Stage, moment_s: PerWorld, radius: PerWorld) -> None:
        dt_s, shift = stage.setting.dt_s, stage.draws.uniform(-0.5, 0.5)
        middle_s = moment_s + shift * dt_s
        self.speed = stage.speed(1)[:, 0]
        self.sign = stage.draws.sign()
        self.margin = 1.5 * stage.setting.pixel  # more than a disc's edge fades over
        self.radius = radius
        self.half_width = radius + self.margin + self.speed * dt_s * (0.5 + shift.abs()) + stage.draws.uniform(0.0, 0.3)
        self.before = self.speed * middle_s  # how far it goes before the middle of its pass
        self.after = self.speed * (stage.setting.duration_s - middle_s)
        self.quarter = self.speed * (stage.setting.num_frames / 4 * dt_s)  # in valid scenes past the screen's edge


def place_between(stage: Stage, low: PerWorld, high: PerWorld, size: float = WORLD_SIZE) -> tuple[PerWorld, Fits]:
    """A coordinate about which all from `low` to `high` lies in the picture, and whether there is one."""
    least, most = -low, size - high
    return least + stage.draws.uniform() * (most - least), least <= most


def screen(stage: Stage, x: PerWorld, lane: PerWorld, passage: Passage) -> Float[Tensor, "world 1 4"]:
    """A screen about `x` that hides the passing disc's lane and some more above and below."""
    more = stage.draws.uniform(0.0, 1.2, count=2)
    top = (lane - passage.radius - passage.margin - more[:, 0]).clamp(min=0)
    bottom = (lane + passage.radius + passage.margin + more[:, 1]).clamp(max=stage.setting.height)
    return torch.stack([x - passage.half_width, top, x + passage.half_width, bottom], dim=1)[:, None]


class Disc(NamedTuple):
    """A disc that moves horizontally, in every world."""

    x: PerWorld
    lane: PerWorld
    velocity: PerWorld
    radius: PerWorld
    present: Fits


def companion(stage: Stage, lane: PerWorld, radius: PerWorld) -> tuple[Disc, Fits]:
    """A second disc in about half the scenes, in another lane, the same in A and B; and whether it has room."""
    own_radius = stage.radius(1)[:, 0]
    velocity = stage.speed(1)[:, 0] * stage.draws.sign()
    present = stage.draws.chance(0.5)
    travel = velocity * stage.setting.duration_s
    x, fits = place_between(stage, travel.clamp(max=0) - own_radius, travel.clamp(min=0) + own_radius)
    own_lane, has_lane = place_between(stage, -own_radius, own_radius, stage.setting.height)
    free = (own_lane - lane).abs() >= radius + own_radius + 0.2
    return Disc(x, own_lane, velocity, own_radius, present), ~present | (fits & has_lane & free)


def scene(
    stage: Stage, discs: tuple[Disc, Disc], color: Colors, screens: Screens, solid: Solid | None = None
) -> Scenes:
    """A world in the shape of all layouts: two discs, two screens, and a block with its wall (`solid`: wall, block)."""
    x, lane, velocity, radius, present = (torch.stack(both, dim=1) for both in zip(*discs, strict=True))
    wall, block = solid or (x.new_tensor([0.0, 0.0, FAR]).expand(len(x), 1, 3), x.new_zeros(len(x), 1, 4))
    position, velocity = torch.stack([x, lane], dim=2), torch.stack([velocity, torch.zeros_like(x)], dim=2)
    both_screens = F.pad(screens, (0, 0, 0, 2 - screens.shape[1]))
    discs_alone = stage.scenes(position, velocity, radius, color)
    return replace(discs_alone, present=present, walls=wall, screens=both_screens, blocks=block)


def permanence(stage: Stage, moment_s: PerWorld) -> Candidates:
    """A: a disc passes behind a screen. B: there is none."""
    radius, color = stage.radius(1), stage.colors(2)
    return _behind_screens(stage, moment_s, radius.expand(-1, 2), (color, color), present=(True, False))


def color_constancy(stage: Stage, moment_s: PerWorld) -> Candidates:
    """A and B: a disc passes behind a screen; its colour is another in A than in B."""
    radius, colors = stage.radius(1), stage.colors(3)
    return _behind_screens(stage, moment_s, radius.expand(-1, 2), (colors[:, [0, 2]], colors[:, [1, 2]]))


def size_constancy(stage: Stage, moment_s: PerWorld) -> Candidates:
    """A and B: a disc passes behind a screen; its size is another in A than in B."""
    radii, color = stage.radius(2), stage.colors(2)
    scenes, valid = _behind_screens(stage, moment_s, radii, (color, color))
    return scenes, valid & (radii.amax(1) >= MIN_SIZE_RATIO * radii.amin(1))


def continuity(stage: Stage, moment_s: PerWorld) -> Candidates:
    """Two screens with a gap; at the moment the disc is behind the first (A) or the second (B)."""
    radius, color = stage.radius(1), stage.colors(2)
    return _behind_screens(stage, moment_s, radius.expand(-1, 2), (color, color), gap=True)


def _behind_screens(
    stage: Stage,
    moment_s: PerWorld,
    radii: Float[Tensor, "world 2"],
    colors: tuple[Colors, Colors],
    present: tuple[bool, bool] = (True, True),
    gap: bool = False,
) -> Candidates:
    """A and B: a disc passes behind a screen, with the radius, colour and presence of each; `gap`: B behind another."""
    largest = radii.amax(1)
    way = Passage(stage, moment_s, largest)
    spacing = 2 * way.half_width + largest * stage.draws.uniform(1.2, 2.5) if gap else torch.zeros_like(largest)
    lane, has_lane = place_between(stage, -largest, largest, stage.setting.height)
    second, has_room = companion(stage, lane, largest)
    first_x, fits = _screen_place(stage, way, way.sign * spacing)
    places = (first_x, first_x + way.sign * spacing)
    screens = torch.cat([screen(stage, x, lane, way) for x in places[: 1 + gap]], dim=1)
    scenes = []
    for x, radius, color, there in zip(places, radii.unbind(1), colors, present, strict=True):
        first = Disc(x - way.sign * way.before, lane, way.sign * way.speed, radius, torch.full_like(fits, there))
        scenes.append(scene(stage, (first, second), color, screens))
    return tuple(scenes), has_lane & has_room & fits & (way.quarter >= way.half_width)


def block_solidity(stage: Stage, moment_s: PerWorld) -> Candidates:
    """A disc comes from either side to a block behind a screen, above or below which it shows, and goes back."""
    radius, color = stage.radius(1)[:, 0], stage.colors(2)
    way = Passage(stage, moment_s, radius)
    half_block = stage.draws.uniform(0.15, 0.3)
    stop = half_block + radius  # the disc's centre at the contact, from the block's middle
    way.half_width = way.half_width + stop
    scenes, valid = _from_either_side(stage, way, color, stop, half_block)
    top, bottom = scenes[0].screens[:, 0, 1], scenes[0].screens[:, 0, 3]
    return scenes, valid & ((top > MIN_BLOCK_SHOWN) | (bottom < stage.setting.height - MIN_BLOCK_SHOWN))


def open_solidity(stage: Stage, moment_s: PerWorld) -> Candidates:
    """The same without a block: the disc goes through."""
    radius, color = stage.radius(1)[:, 0], stage.colors(2)
    return _from_either_side(stage, Passage(stage, moment_s, radius), color, torch.zeros_like(radius))


def _from_either_side(
    stage: Stage, way: Passage, color: Colors, stop: PerWorld, half_block: PerWorld | None = None
) -> Candidates:
    """A disc comes from one side (A) or the other (B) to `stop` from the screen's middle, where the block is if any."""
    farthest = stop + torch.maximum(way.before, way.after) + way.radius
    lane, has_lane = place_between(stage, -way.radius, way.radius, stage.setting.height)
    x, fits = place_between(stage, -farthest, farthest)
    screens, zero, there = screen(stage, x, lane, way), torch.zeros_like(x), torch.ones_like(fits)
    scenes, solid = [], None
    for sign in (way.sign, -way.sign):
        if half_block is not None:
            wall = torch.stack([-sign, zero, half_block - sign * x], dim=1)[:, None]
            edges = [x - half_block, zero, x + half_block, zero + stage.setting.height]
            solid = wall, torch.stack(edges, dim=1)[:, None]
        disc = Disc(x - sign * (stop + way.before), lane, sign * way.speed, way.radius, there)
        scenes.append(scene(stage, (disc, Disc(zero, zero, zero, zero + 1.0, ~there)), color, screens, solid))
    return tuple(scenes), has_lane & fits & (stop + way.quarter >= way.half_width)


def _screen_place(stage: Stage, way: Passage, offset: PerWorld) -> tuple[PerWorld, Fits]:
    """The first screen's middle, such that the second at `offset` and both passages are in the picture."""
    start, end = -way.sign * way.before, way.sign * way.after
    ends = torch.stack([start, end, start + offset, end + offset], dim=1)
    low = torch.minimum(ends.amin(1) - way.radius, offset.clamp(max=0) - way.half_width)
    high = torch.maximum(ends.amax(1) + way.radius, offset.clamp(min=0) + way.half_width)
    return place_between(stage, low, high)


@cache  # `sample_scenes` draws the clips of equal samplers together
def at_any_time(layout: Layout) -> Sampler:
    """A sampler of either scene of the layout, with the disc hidden at any time of the clip."""

    def either(stage: Stage) -> Candidates:
        moment_s = stage.setting.duration_s * stage.draws.uniform(0.2, 0.8)
        is_b = (~stage.draws.chance(0.5)).long()
        (a, b), valid = layout(stage, moment_s)
        worlds = torch.arange(len(is_b), device=is_b.device)
        both = {name: torch.stack([value, getattr(b, name)]) for name, value in vars(a).items()}
        return (Scenes(**{name: value[is_b, worlds] for name, value in both.items()}),), valid

    return either


RENDERED: tuple[Layout, ...] = (
    *(permanence, permanence),
    *(color_constancy, size_constancy),
    *(continuity, continuity),
    *(block_solidity, open_solidity),
)
"""The layouts of the scenario `occlusion`, each entry in an eighth of the clips: another entry changes every clip,
which makes another version. A new layout gets a scenario of its own."""
