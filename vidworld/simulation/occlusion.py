"""Scenes with screens: layouts, each a pair (A, B) of valid scenes that look the same while all is hidden.

The scenario `occlusion` videos either world of any layout, at any time; the quads of the four occluded laws take both,
at the splice. So a network trained on the scenario has seen all that a possible clip shows.

Discs move horizontally, each in a lane of its own. In every layout the passing disc is all hidden for at least half a
frame before and after `moment_s`, and its centre is clear of the screen a quarter of a clip off.
"""

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.simulation.discs import Scenes
from vidworld.simulation.stage import Candidates, Fits, Layout, PerWorld, Ranges, Sampler, Scenario, Stage

RANGES = Ranges((2.5, 4.0), (0.5, 0.9), ((2.0, 2.4), (4.2, 5.0)), ((0.35, 0.45), (1.0, 1.1)), corner=0.0)
MIN_SIZE_RATIO = 1.4  # how much the larger disc's radius exceeds the smaller's where size is what changes
MIN_BLOCK_SHOWN = 0.5
FAR = -1e9  # offset of a wall that is not there


class Passage:
    """A disc's pass behind a screen: when, how fast, which way, and how wide the screen must be."""

    def __init__(self, stage: Stage, moment_s: PerWorld, radius: PerWorld) -> None:
        dt_s, shift = stage.setting.dt_s, stage.draws.uniform(-0.5, 0.5)
        self.middle_s = moment_s + shift * dt_s
        self.speed = stage.speed(1)[:, 0]
        self.sign = stage.draws.sign()
        self.velocity = self.sign * self.speed
        self.margin = 1.5 * stage.setting.pixel  # more than a disc's edge fades over
        self.radius = radius
        self.half_width = radius + self.margin + self.speed * dt_s * (0.5 + shift.abs()) + stage.draws.uniform(0.0, 0.3)
        self.quarter_s = stage.setting.num_frames / 4 * dt_s
        self.before = self.speed * self.middle_s
        self.after = self.speed * (stage.setting.duration_s - self.middle_s)

    def start(self, x: PerWorld) -> PerWorld:
        """Where the disc is at time 0 if it is at `x` in the middle of its pass."""
        return x - self.velocity * self.middle_s

    def clears(self) -> Fits:
        """Whether the centre is beside the screen a quarter of a clip before and after the middle."""
        return self.speed * self.quarter_s >= self.half_width


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


class Companion:
    """A second disc in about half the scenes, in another lane, the same in A and B."""

    def __init__(self, stage: Stage, lane: PerWorld, radius: PerWorld) -> None:
        self.radius = stage.radius(1)[:, 0]
        self.speed = stage.speed(1)[:, 0] * stage.draws.sign()
        self.present = stage.draws.chance(0.5)
        travel = self.speed * stage.setting.duration_s
        self.x, fits = place_between(stage, travel.clamp(max=0) - self.radius, travel.clamp(min=0) + self.radius)
        self.lane, has_lane = place_between(stage, -self.radius, self.radius, stage.setting.height)
        free = (self.lane - lane).abs() >= radius + self.radius + 0.2
        self.valid = ~self.present | (fits & has_lane & free)


def scene(
    stage: Stage,
    x: PerWorld,
    velocity: PerWorld,
    lane: PerWorld,
    radius: PerWorld,
    color: Float[Tensor, "world object 3"],
    present: PerWorld | bool,
    screens: Float[Tensor, "world screen 4"],
    companion: Companion | None = None,
    wall: Float[Tensor, "world 1 3"] | None = None,
    block: Float[Tensor, "world 1 4"] | None = None,
) -> Scenes:
    """A world in the shape of all layouts: a disc and a companion, two screens, a block and its wall."""
    zero, nobody = torch.zeros_like(x), torch.zeros_like(x, dtype=torch.bool)
    if companion is None:
        second = (zero, zero, zero, zero + 1.0, nobody)
    else:
        second = (companion.x, companion.lane, companion.speed, companion.radius, companion.present)
    none = x.new_zeros(len(x), 2 - screens.shape[1], 4)
    if wall is None:
        wall = x.new_tensor([0.0, 0.0, FAR]).expand(len(x), 1, 3)
    return stage.scenes(
        position=torch.stack([torch.stack([x, lane], 1), torch.stack(second[:2], 1)], dim=1),
        velocity=torch.stack([torch.stack([velocity, zero], 1), torch.stack([second[2], zero], 1)], dim=1),
        radius=torch.stack([radius, second[3]], dim=1),
        color=color,
        present=torch.stack([nobody | present, second[4]], dim=1),
        walls=wall,
        screens=torch.cat([screens, none], dim=1),
        blocks=x.new_zeros(len(x), 1, 4) if block is None else block,
    )


def permanence(stage: Stage, moment_s: PerWorld) -> Candidates:
    """A: a disc passes behind a screen. B: there is none."""
    radius, color = stage.radius(1), stage.colors(2)
    return _one_screen(stage, moment_s, radius.expand(-1, 2), (color, color), (True, False))


def color_constancy(stage: Stage, moment_s: PerWorld) -> Candidates:
    """A and B: a disc passes behind a screen; its colour is another in A than in B."""
    radius, colors = stage.radius(1), stage.colors(3)
    return _one_screen(stage, moment_s, radius.expand(-1, 2), (colors[:, [0, 2]], colors[:, [1, 2]]))


def size_constancy(stage: Stage, moment_s: PerWorld) -> Candidates:
    """A and B: a disc passes behind a screen; its size is another in A than in B."""
    radii, color = stage.radius(2), stage.colors(2)
    scenes, valid = _one_screen(stage, moment_s, radii, (color, color))
    return scenes, valid & (radii.amax(1) >= MIN_SIZE_RATIO * radii.amin(1))


def _one_screen(
    stage: Stage,
    moment_s: PerWorld,
    radii: Float[Tensor, "world 2"],
    colors: tuple[Float[Tensor, "world object 3"], Float[Tensor, "world object 3"]],
    present: tuple[bool, bool] = (True, True),
) -> Candidates:
    """A and B: a disc passes behind a screen, with the radius, colour and presence of each."""
    largest = radii.amax(1)
    way = Passage(stage, moment_s, largest)
    lane, has_lane = place_between(stage, -largest, largest, stage.setting.height)
    companion = Companion(stage, lane, largest)
    x, fits = _screen_place(stage, way, torch.zeros_like(largest))
    screens = screen(stage, x, lane, way)
    scenes = tuple(
        scene(stage, way.start(x), way.velocity, lane, radius, color, there, screens, companion)
        for radius, color, there in zip(radii.unbind(1), colors, present, strict=True)
    )
    return scenes, has_lane & companion.valid & fits & way.clears()


def continuity(stage: Stage, moment_s: PerWorld) -> Candidates:
    """Two screens with a gap; at the moment the disc is behind the first (A) or the second (B)."""
    radius, color = stage.radius(1)[:, 0], stage.colors(2)
    way = Passage(stage, moment_s, radius)
    spacing = 2 * way.half_width + radius * stage.draws.uniform(1.2, 2.5)
    lane, has_lane = place_between(stage, -radius, radius, stage.setting.height)
    companion = Companion(stage, lane, radius)
    first, fits = _screen_place(stage, way, way.sign * spacing)
    second = first + way.sign * spacing
    screens = torch.cat([screen(stage, first, lane, way), screen(stage, second, lane, way)], dim=1)
    scenes = tuple(
        scene(stage, way.start(x), way.velocity, lane, radius, color, True, screens, companion) for x in (first, second)
    )
    return scenes, has_lane & companion.valid & fits & way.clears()


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
    stage: Stage,
    way: Passage,
    color: Float[Tensor, "world object 3"],
    stop: PerWorld,
    half_block: PerWorld | None = None,
) -> Candidates:
    """A disc comes from one side (A) or the other (B) to `stop` from the screen's middle, where the block is if any."""
    farthest = stop + torch.maximum(way.before, way.after) + way.radius
    lane, has_lane = place_between(stage, -way.radius, way.radius, stage.setting.height)
    x, fits = place_between(stage, -farthest, farthest)
    clears = stop + way.speed * way.quarter_s >= way.half_width
    screens, zero = screen(stage, x, lane, way), torch.zeros_like(x)
    block: Tensor | None = None
    wall: Tensor | None = None
    if half_block is not None:
        edges = [x - half_block, zero, x + half_block, zero + stage.setting.height]
        block = torch.stack(edges, dim=1)[:, None]
    scenes = []
    for sign in (way.sign, -way.sign):
        if half_block is not None:
            wall = torch.stack([-sign, zero, half_block - sign * x], dim=1)[:, None]
        start, velocity = x - sign * (stop + way.before), sign * way.speed
        scenes.append(scene(stage, start, velocity, lane, way.radius, color, True, screens, None, wall, block))
    return tuple(scenes), has_lane & fits & clears


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
        is_a = stage.draws.chance(0.5)
        (a, b), valid = layout(stage, moment_s)

        def mixed(of_a: Tensor, of_b: Tensor) -> Tensor:
            return torch.where(is_a.reshape(-1, *[1] * (of_a.ndim - 1)), of_a, of_b)

        return (Scenes(**{name: mixed(value, getattr(b, name)) for name, value in vars(a).items()}),), valid

    return either


RENDERED: tuple[Layout, ...] = (
    *(permanence, permanence),
    *(color_constancy, size_constancy),
    *(continuity, continuity),
    *(block_solidity, open_solidity),
)
"""The layouts of the scenario `occlusion`, each entry in an eighth of the clips: another entry changes every clip,
which makes another version. A new layout gets a scenario of its own."""
OCCLUSION = Scenario(tuple(at_any_time(layout) for layout in RENDERED), RANGES, weight=3.0)
