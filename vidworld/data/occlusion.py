"""Scenes with screens: four layouts, each a pair (A, B) of valid worlds that look the same while all is hidden.

The scenario `occlusion` films either world of any layout, at any time; the quads of the four occluded laws take
both, at the splice. So a network trained on the scenario has seen everything that a possible clip shows.

Discs move horizontally, each in a lane of its own. In every layout the passing disc is all hidden for at least
half a frame before and after `moment_s`, and its centre is clear of the screen a quarter of a clip from it.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vidworld.data.clip import WORLD_SIZE
from vidworld.data.discs import Worlds
from vidworld.data.stage import Candidates, Ranges, Stage

OCCLUSION_RANGES = Ranges((2.5, 4.0), (0.5, 0.9), ((2.0, 2.4), (4.2, 5.0)), ((0.35, 0.45), (1.0, 1.1)))
LEAST_SIZE_RATIO = 1.4
"""How much the larger disc's radius exceeds the smaller's where size is what changes."""
FAR = -1e9
"""Offset of a wall that is not there."""

PerWorld = Float[Tensor, " world"]


class Passage:
    """A disc's pass behind a screen: when, how fast, which way, and how wide the screen must be."""

    def __init__(self, stage: Stage, moment_s: PerWorld, radius: PerWorld) -> None:
        dt_s = stage.setting.dt_s
        shift = stage.draws.uniform(-0.5, 0.5)
        self.middle_s = moment_s + shift * dt_s
        self.speed = stage.speed(1)[:, 0]
        self.sign = stage.draws.sign()
        self.margin = stage.setting.pixel + 0.05
        self.radius = radius
        self.half_width = radius + self.margin + self.speed * dt_s * (0.5 + shift.abs()) + stage.draws.uniform(0, 0.3)
        self.quarter_s = stage.setting.num_frames / 4 * dt_s
        self.before = self.speed * self.middle_s
        self.after = self.speed * (stage.setting.duration_s - self.middle_s)

    def clears(self) -> Bool[Tensor, " world"]:
        """Whether the centre is beside the screen a quarter of a clip before and after the middle."""
        return self.speed * self.quarter_s >= self.half_width


def place_between(
    stage: Stage, low: PerWorld, high: PerWorld, size: float = WORLD_SIZE
) -> tuple[PerWorld, Bool[Tensor, " world"]]:
    """A coordinate about which everything from `low` to `high` lies in the picture, and whether there is one."""
    least, most = -low, size - high
    return least + stage.draws.uniform() * (most - least), least <= most


def screen(stage: Stage, x: PerWorld, lane: PerWorld, passage: Passage) -> Float[Tensor, "world 1 4"]:
    """A screen about `x` that hides the passing disc's lane and some more above and below."""
    height = stage.setting.height
    more = stage.draws.uniform(0, 1.2, count=2)
    top = (lane - passage.radius - passage.margin - more[:, 0]).clamp(min=0)
    bottom = (lane + passage.radius + passage.margin + more[:, 1]).clamp(max=height)
    return torch.stack([x - passage.half_width, top, x + passage.half_width, bottom], dim=1)[:, None]


class Companion:
    """A second disc in about half the worlds, in another lane, the same in A and B."""

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
) -> Worlds:
    """A world of every layout's shape: two discs (the second the companion), two screens, one block and its wall."""
    zero = torch.zeros_like(x)
    nobody = torch.zeros_like(x, dtype=torch.bool)
    here = nobody | present
    if companion is None:
        second = (zero, zero, zero, zero + 1.0, nobody)
    else:
        second = (companion.x, companion.lane, companion.speed, companion.radius, companion.present)
    none = x.new_zeros(len(x), 2 - screens.shape[1], 4)
    if wall is None:
        wall = x.new_tensor([0.0, 0.0, FAR]).expand(len(x), 1, 3)
    return stage.worlds(
        position=torch.stack([torch.stack([x, lane], 1), torch.stack(second[:2], 1)], dim=1),
        velocity=torch.stack([torch.stack([velocity, zero], 1), torch.stack([second[2], zero], 1)], dim=1),
        radius=torch.stack([radius, second[3]], dim=1),
        color=color,
        present=torch.stack([here, second[4]], dim=1),
        walls=wall,
        screens=torch.cat([screens, none], dim=1),
        blocks=x.new_zeros(len(x), 1, 4) if block is None else block,
    )


def permanence(stage: Stage, moment_s: PerWorld) -> Candidates:
    """A: a disc passes behind a screen. B: there is none."""
    radius, color = stage.radius(1)[:, 0], stage.colors(2)
    way = Passage(stage, moment_s, radius)
    lane, has_lane = place_between(stage, -radius, radius, stage.setting.height)
    companion = Companion(stage, lane, radius)
    x, fits = _screen_place(stage, way, torch.zeros_like(radius))
    screens = screen(stage, x, lane, way)
    a, b = (
        scene(stage, x - way.sign * way.before, way.sign * way.speed, lane, radius, color, there, screens, companion)
        for there in (True, False)
    )
    return (a, b), has_lane & companion.valid & fits & way.clears()


def constancy(stage: Stage, moment_s: PerWorld) -> Candidates:
    """A and B: a disc passes behind a screen; they differ in its colour, or in its size."""
    radii, colors = stage.radius(2), stage.colors(3)
    resized = stage.draws.chance(0.5)[:, None]
    radii = torch.where(resized, radii, radii[:, :1])
    larger = radii.amax(1)
    way = Passage(stage, moment_s, larger)
    lane, has_lane = place_between(stage, -larger, larger, stage.setting.height)
    companion = Companion(stage, lane, larger)
    x, fits = _screen_place(stage, way, torch.zeros_like(larger))
    screens = screen(stage, x, lane, way)
    recolored = torch.where(resized[:, :, None], colors[:, :1], colors[:, 1:2])
    a, b = (
        scene(stage, x - way.sign * way.before, way.sign * way.speed, lane, radius, color, True, screens, companion)
        for radius, color in (
            (radii[:, 0], colors[:, [0, 2]]),
            (radii[:, 1], torch.cat([recolored, colors[:, 2:]], dim=1)),
        )
    )
    changes = (larger >= LEAST_SIZE_RATIO * radii.amin(1)) | ~resized[:, 0]
    return (a, b), has_lane & companion.valid & fits & way.clears() & changes


def continuity(stage: Stage, moment_s: PerWorld) -> Candidates:
    """Two screens; at the moment the disc is behind the first (A: the gap lies ahead) or the second (B: behind)."""
    radius, color = stage.radius(1)[:, 0], stage.colors(2)
    way = Passage(stage, moment_s, radius)
    spacing = 2 * way.half_width + radius * stage.draws.uniform(1.2, 2.5)
    lane, has_lane = place_between(stage, -radius, radius, stage.setting.height)
    companion = Companion(stage, lane, radius)
    first, fits = _screen_place(stage, way, way.sign * spacing)
    second = first + way.sign * spacing
    screens = torch.cat([screen(stage, first, lane, way), screen(stage, second, lane, way)], dim=1)
    a, b = (
        scene(stage, x - way.sign * way.before, way.sign * way.speed, lane, radius, color, True, screens, companion)
        for x in (first, second)
    )
    return (a, b), has_lane & companion.valid & fits & way.clears()


def solidity(stage: Stage, moment_s: PerWorld) -> Candidates:
    """A disc comes from one side (A) or the other (B): in half the worlds a block behind the screen sends it back.

    The block shows above and below the screen. In the other half nothing is there and the disc goes through: so
    a world that merely expects the disc to come back where it went in, or never to, is right in half.
    """
    radius, color = stage.radius(1)[:, 0], stage.colors(2)
    way = Passage(stage, moment_s, radius)
    solid = stage.draws.chance(0.5)
    half_block = torch.where(solid, stage.draws.uniform(0.15, 0.3), 0.0)
    stop = torch.where(solid, half_block + radius, 0.0)  # distance of the disc's centre from the middle at contact
    way.half_width = way.half_width + stop
    farthest = stop + torch.maximum(way.before, way.after) + radius
    lane, has_lane = place_between(stage, -radius, radius, stage.setting.height)
    x, fits = place_between(stage, -farthest, farthest)
    screens = screen(stage, x, lane, way)
    zero = torch.zeros_like(x)
    block = torch.stack([x - half_block, zero, x + half_block, zero + stage.setting.height], dim=1)
    block = torch.where(solid[:, None], block, 0.0)[:, None]
    worlds = []
    for sign in (way.sign, -way.sign):
        wall = torch.stack([-sign, zero, torch.where(solid, half_block - sign * x, FAR)], dim=1)[:, None]
        start = x - sign * (stop + way.before)
        worlds.append(
            scene(stage, start, sign * way.speed, lane, radius, color, True, screens, wall=wall, block=block)
        )
    seen_above = (screens[:, 0, 1] > 0.3) | (screens[:, 0, 3] < stage.setting.height - 0.3)
    clears = stop + way.speed * way.quarter_s >= way.half_width
    return tuple(worlds), has_lane & fits & clears & seen_above


def _screen_place(stage: Stage, way: Passage, offset: PerWorld) -> tuple[PerWorld, Bool[Tensor, " world"]]:
    """The middle of the first screen, such that the second at `offset` and both passages are in the picture."""
    start = -way.sign * way.before
    end = way.sign * way.after
    ends = torch.stack([start, end, start + offset, end + offset], dim=1)
    low = torch.minimum(ends.amin(1) - way.radius, offset.clamp(max=0) - way.half_width)
    high = torch.maximum(ends.amax(1) + way.radius, offset.clamp(min=0) + way.half_width)
    return place_between(stage, low, high)


LAYOUTS: dict[str, Callable[[Stage, PerWorld], Candidates]] = {
    "permanence": permanence,
    "constancy": constancy,
    "continuity": continuity,
    "solidity": solidity,
}


def occlusion(stage: Stage) -> Candidates:
    """Either world of any layout, each layout a quarter, with the disc hidden at any time of the clip."""
    moment_s = stage.setting.duration_s * stage.draws.uniform(0.2, 0.8)
    pick = stage.draws.uniform(0, 2 * len(LAYOUTS)).floor()
    worlds: list[Worlds] = []
    valid: list[Tensor] = []
    for layout in LAYOUTS.values():
        pair, fits = layout(stage, moment_s)
        worlds += pair
        valid += [fits, fits]
    chosen = {
        name: _pick([vars(world)[name] for world in worlds], pick) for name in vars(worlds[0])
    }
    return (Worlds(**chosen),), _pick(valid, pick)


def _pick(options: list[Tensor], number: PerWorld) -> Tensor:
    """Row by row, the option of this number."""
    chosen = options[0]
    for i, option in enumerate(options[1:], start=1):
        chosen = torch.where((number == i).reshape(-1, *[1] * (option.ndim - 1)), option, chosen)
    return chosen
