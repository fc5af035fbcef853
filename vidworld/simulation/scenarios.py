"""What each scenario and law samples: discs, motions and their ranges, in distribution and outside it.

Scenes with screens are in `occlusion`.
"""

from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.simulation import occlusion
from vidworld.simulation.crowds import apart_at_first, crowded
from vidworld.simulation.discs import dot
from vidworld.simulation.stage import PALETTE, Candidates, Law, Layout, PerWorld, Point, Ranges, Scenario, Stage

GRAVITY = 5.0  # units a second squared: twice phyworld's, for clips half as long

MOTION_RANGES = Ranges((1.0, 4.0), (0.7, 1.4), ((0.2, 0.8), (4.5, 5.5)), ((0.4, 0.6), (1.5, 1.8)))
COLLISION_RANGES = Ranges((1.0, 4.0), (0.6, 1.3), ((0.2, 0.8), (4.5, 5.5)), ((0.4, 0.5), (1.4, 1.6)))
BILLIARDS_RANGES = Ranges((1.0, 4.0), (0.5, 1.0), ((0.2, 0.8), (4.5, 5.5)), ((0.35, 0.45), (1.1, 1.2)))
RESTITUTION = (0.6, 1.0)
RESTITUTION_OUTSIDE = (0.35, 0.5)
MIN_CLOSING_SPEED = 1.0  # of two discs that meet (units a second)
MIN_IMPACT = 2.0  # of a disc on the floor (units a second)
MIN_CHANGE = 1.5  # how much A's velocity differs from B's where the ways cross, at least (units a second)
MIN_CHANGE_OF_TWO = 3.0  # the same for the velocities of two discs that meet, taken as one vector of four


def uniform(stage: Stage, below: float = 0.0) -> Candidates:
    """One disc at constant velocity in any direction, in full view throughout, `below` units free at the lower edge."""
    radius, color = stage.radius(1), stage.colors(1)
    velocity = stage.speed(1)[:, :, None] * stage.draws.direction(1)
    travel = velocity[:, 0] * stage.setting.duration_s
    high = travel.clamp(min=0) + radius + radius.new_tensor([0.0, below])
    position, valid = stage.place(travel.clamp(max=0) - radius, high)
    return (stage.scenes(position[:, None], velocity, radius, color),), valid


def parabola(stage: Stage) -> Candidates:
    """One disc thrown in any direction under gravity, in full view throughout."""
    radius, color = stage.radius(1), stage.colors(1)
    velocity = stage.speed(1)[:, :, None] * stage.draws.direction(1)
    end_s, speed_down = stage.setting.duration_s, velocity[:, 0, 1]
    travel = velocity[:, 0] * end_s
    fall = travel[:, 1] + GRAVITY * end_s * end_s / 2
    apex_s = (-speed_down / GRAVITY).clamp(0, end_s)
    apex = apex_s * (speed_down + GRAVITY * apex_s / 2)
    low = torch.stack([travel[:, 0].clamp(max=0), apex], dim=1) - radius
    high = torch.stack([travel[:, 0].clamp(min=0), fall.clamp(min=0)], dim=1) + radius
    position, valid = stage.place(low, high)
    return (stage.scenes(position[:, None], velocity, radius, color, GRAVITY),), valid


def bounce(stage: Stage) -> Candidates:
    """One disc that falls to the floor, the picture's lower edge, and bounces at least once."""
    radius, color = stage.radius(1), stage.colors(1)
    velocity = stage.speed(1)[:, :, None] * stage.draws.direction(1)
    share = stage.draws.uniform()
    inside, outside = (low + share * (high - low) for low, high in (RESTITUTION, RESTITUTION_OUTSIDE))
    restitution = torch.where(stage.outside_speed | stage.outside_radius, outside, inside)
    end_s, floor = stage.setting.duration_s, stage.setting.height
    contact_s = end_s * stage.draws.uniform(0.15, 0.85)
    speed_down = velocity[:, 0, 1]
    drop = contact_s * (speed_down + GRAVITY * contact_s / 2)
    impact = speed_down + GRAVITY * contact_s
    apex = speed_down.clamp(max=0).square() / (2 * GRAVITY)  # above the start, where it is thrown up
    rebound = restitution * restitution * impact * impact / (2 * GRAVITY)
    room = floor - 2 * radius[:, 0]
    travel = velocity[:, 0, 0] * end_s
    sideways = torch.stack([travel, torch.zeros_like(travel)], dim=1)
    position, valid = stage.place(sideways.clamp(max=0) - radius, sideways.clamp(min=0) + radius)
    position[:, 1] = floor - radius[:, 0] - drop
    valid = valid & (drop > 0) & (impact > MIN_IMPACT) & (drop + apex <= room) & (rebound <= room)
    walls = radius.new_tensor([[0.0, -1.0, -floor]]).expand(len(radius), 1, 3)
    scenes = stage.scenes(position[:, None], velocity, radius, color, GRAVITY)
    return (replace(scenes, restitution=restitution, walls=walls),), valid


def billiards(stage: Stage, least: int = 3, most: int = 5) -> Candidates:
    """Three to five discs (or from `least` to `most`) and the picture's four edges, all contacts elastic."""
    radius, color = stage.radius(most), stage.colors(most)
    velocity = stage.speed(most)[:, :, None] * stage.draws.direction(most)
    count = stage.draws.uniform(float(least), float(most + 1)).floor()
    present = torch.arange(most, device=radius.device) < count[:, None]
    room = stage.size - 2 * radius[:, :, None]
    share = stage.draws.uniform(count=2 * most).reshape(-1, most, 2)
    position = radius[:, :, None] + share * room
    valid = apart_at_first(position, radius, present) & ((room > 0).all(2) | ~present).all(1)
    width, height = WORLD_SIZE, stage.setting.height
    edges = [[1.0, 0.0, 0.0], [-1.0, 0.0, -width], [0.0, 1.0, 0.0], [0.0, -1.0, -height]]
    walls = radius.new_tensor(edges).expand(len(radius), 4, 3)
    return (replace(stage.scenes(position, velocity, radius, color), present=present, walls=walls),), valid


def one_collision(stage: Stage, head_on: bool) -> Candidates:
    """Two discs that meet inside the clip, mostly in its second half, in view throughout."""
    late, share = stage.draws.chance(0.75), stage.draws.uniform()
    contact_s = stage.setting.duration_s * torch.where(late, 0.5 + 0.4 * share, 0.15 + 0.35 * share)
    return collisions(stage, contact_s, 1, head_on)


def collisions(stage: Stage, contact_s: PerWorld, count: int, head_on: bool) -> Candidates:
    """`count` collisions of two discs at one place and time, each from velocities of its own."""
    radius, color = stage.radius(2), stage.colors(2)
    normal = stage.draws.direction(1)[:, 0]  # from the first disc to the second
    offset = torch.stack([-radius[:, :1] * normal, radius[:, 1:] * normal], dim=1)
    before = contact_s[:, None, None]
    after = stage.setting.duration_s - before
    low, high = offset - radius[:, :, None], offset + radius[:, :, None]
    valid = torch.ones_like(contact_s, dtype=torch.bool)
    approaches = []
    for _ in range(count):
        directions = torch.stack([normal, -normal], dim=1) if head_on else stage.draws.direction(2)
        incoming = stage.speed(2)[:, :, None] * directions
        outgoing = after_contact(incoming, radius * radius, normal)
        for reached in (offset - incoming * before, offset + outgoing * after):
            low = torch.minimum(low, reached - radius[:, :, None])
            high = torch.maximum(high, reached + radius[:, :, None])
        valid = valid & (dot(incoming[:, 0] - incoming[:, 1], normal) > MIN_CLOSING_SPEED)
        approaches.append(incoming)
    point, fits = stage.place(low.amin(1), high.amax(1))
    middle = point[:, None] + offset
    scenes = tuple(stage.scenes(middle - incoming * before, incoming, radius, color) for incoming in approaches)
    return scenes, valid & fits


def after_contact(velocity: Float[Tensor, "world 2 2"], mass: Point, normal: Point) -> Float[Tensor, "world 2 2"]:
    """The two discs' velocities after an elastic contact along this normal."""
    change = 2 * dot(velocity[:, 0] - velocity[:, 1], normal)[:, None] * normal / mass.sum(1, keepdim=True)
    return torch.stack([velocity[:, 0] - mass[:, 1:] * change, velocity[:, 1] + mass[:, :1] * change], dim=1)


def momentum(stage: Stage, moment_s: PerWorld) -> Candidates:
    """A and B: one disc on two straight ways that cross at the moment."""
    radius, color = stage.radius(1), stage.colors(1)
    velocities = [stage.speed(1)[:, :, None] * stage.draws.direction(1) for _ in range(2)]
    before = moment_s[:, None, None]
    after = stage.setting.duration_s - before
    ends = torch.cat([end for v in velocities for end in (-v * before, v * after)], dim=1)
    point, valid = stage.place(ends.amin(1) - radius, ends.amax(1) + radius)
    scenes = tuple(stage.scenes(point[:, None] - v * before, v, radius, color) for v in velocities)
    change = velocities[0][:, 0] - velocities[1][:, 0]
    return scenes, valid & (dot(change, change) >= MIN_CHANGE**2)


def collision(head_on: bool) -> Layout:
    """A and B: two discs that meet in the same place at the moment, from other velocities."""

    def layout(stage: Stage, moment_s: PerWorld) -> Candidates:
        (a, b), valid = collisions(stage, moment_s, 2, head_on)
        change = a.velocity - b.velocity
        return (a, b), valid & (dot(change, change).sum(1) >= MIN_CHANGE_OF_TWO**2)

    layout.__name__ = "head_on" if head_on else "oblique"
    return layout


# --- phyworld's three settings with its exact ranges, so that its published numbers can stand beside ours ---
#
# Source: Kang et al., "How far is video generation from world model" (arXiv 2411.02385) and its released generators: a
# 10 x 10 world, 32 frames 0.1 s apart, discs that move to the right (of two, towards each other) and may leave the
# picture at the end. Differences: speeds and radii are drawn, not taken from a grid; two discs start anywhere that
# leaves 8 frames before the contact, where phyworld keeps those of very different size to one side. Its engine, Box2D,
# steps 0.01 s (a thrown disc falls g t dt / 2 more; contacts are found at a step), and discs that close in at less than
# 1 unit a second do not bounce off each other there but go on together: a sixth of the collisions out of distribution.

PHYWORLD_GRAVITY = 2.5
PHYWORLD_MOTION_RANGES = Ranges((1.0, 4.0), (0.7, 1.4), ((0.0, 0.8), (4.5, 6.0)), ((0.3, 0.6), (1.5, 2.0)), corner=0.0)
PHYWORLD_COLLISION_RANGES = Ranges((1.0, 4.0), (0.5, 1.5), ((0.0, 0.8), (4.5, 6.0)), ((0.3, 0.4), (1.7, 2.0)), 0.0)
RED_AND_BLUE = PALETTE[[0, 2]]
BORDER = 0.5  # distance that discs keep from the upper and lower edge
MIN_FRAMES_IN_VIEW = 24
MIN_FRAMES_BEFORE = 8
MAX_FRAMES_BEFORE = 24  # frames before the contact: at least 8, and 8 of the 32 after it


def _one_disc(stage: Stage, lowest: float, gravity: float) -> Candidates:
    """A disc to the right whose upper edge starts between the border and `lowest`.

    It is in view for `MIN_FRAMES_IN_VIEW`, and starts near the left edge if it cannot be.
    """
    radius, speed = stage.radius(1), stage.speed(1)
    leftmost = radius[:, 0]
    rightmost = WORLD_SIZE - leftmost - MIN_FRAMES_IN_VIEW * stage.setting.dt_s * speed[:, 0]
    near_edge = leftmost + stage.draws.uniform(0.0, 0.5)
    x = stage.draws.uniform(leftmost, torch.where(rightmost < leftmost, near_edge, rightmost))
    y = stage.draws.uniform(BORDER + radius[:, 0], lowest + radius[:, 0])
    velocity = torch.stack([speed, torch.zeros_like(speed)], dim=2)
    position = torch.stack([x, y], dim=1)[:, None]
    scenes = stage.scenes(position, velocity, radius, RED_AND_BLUE[:1].to(radius).expand(len(x), 1, 3), gravity=gravity)
    return (scenes,), y + radius[:, 0] <= stage.setting.height - BORDER


def phyworld_uniform(stage: Stage) -> Candidates:
    """One disc at constant velocity to the right, at any height."""
    return _one_disc(stage, stage.setting.height, 0.0)


def phyworld_parabola(stage: Stage) -> Candidates:
    """One disc thrown to the right within a unit of the upper border, under gravity."""
    return _one_disc(stage, BORDER + 1, PHYWORLD_GRAVITY)


def phyworld_collision(stage: Stage) -> Candidates:
    """Two discs that move towards each other at one height and meet head-on."""
    radius, speed = stage.radius(2), stage.speed(2)
    reach, closing = radius.sum(1), speed.sum(1) * stage.setting.dt_s
    nearest = reach + MIN_FRAMES_BEFORE * closing
    farthest = (reach + MAX_FRAMES_BEFORE * closing).clamp(max=WORLD_SIZE - reach)
    apart = stage.draws.uniform(nearest, farthest)
    left = stage.draws.uniform(radius[:, 0], WORLD_SIZE - radius[:, 1] - apart)
    largest = radius.amax(1)
    y = stage.draws.uniform(BORDER + largest, stage.setting.height - BORDER - largest)
    position = torch.stack([torch.stack([left, left + apart], 1), torch.stack([y, y], 1)], dim=2)
    velocity = torch.stack([speed * speed.new_tensor([1.0, -1.0]), torch.zeros_like(speed)], dim=2)
    color = RED_AND_BLUE.to(radius).expand(len(y), 2, 3)
    return (stage.scenes(position, velocity, radius, color),), nearest <= farthest


# --- the registries' entries ---

UNIFORM = Scenario((uniform,), MOTION_RANGES, more=(crowded(uniform, uniform),), goes_on=True)
PARABOLA = Scenario((parabola,), MOTION_RANGES)
_HEAD_ON, _OBLIQUE = (partial(one_collision, head_on=head_on) for head_on in (True, False))
_CROWDS = (crowded(_HEAD_ON, uniform), *[crowded(_OBLIQUE, uniform)] * 3)
COLLISION = Scenario((_HEAD_ON, _OBLIQUE, _OBLIQUE, _OBLIQUE), COLLISION_RANGES, more=_CROWDS, goes_on=True, weight=3.0)
BOUNCE = Scenario((bounce,), MOTION_RANGES, goes_on=True)
_SIX = partial(billiards, least=6, most=6)
BILLIARDS = Scenario((billiards,), BILLIARDS_RANGES, more=(_SIX,), goes_on=True)
OCCLUSION = Scenario(tuple(map(occlusion.at_any_time, occlusion.RENDERED)), occlusion.RANGES, weight=3.0)
PHYWORLD_UNIFORM = Scenario((phyworld_uniform,), PHYWORLD_MOTION_RANGES, weight=0.0)
PHYWORLD_PARABOLA = Scenario((phyworld_parabola,), PHYWORLD_MOTION_RANGES, weight=0.0)
PHYWORLD_COLLISION = Scenario((phyworld_collision,), PHYWORLD_COLLISION_RANGES, weight=0.0)

HIDDEN = -0.5  # the moment of the occluded laws: between the last frame of the past and the first of the future
# The first edition's quadruplets, which cues tell without physics (docs/log, 2026-11-28).
_hidden = partial(Law, ranges=occlusion.RANGES, moment_frames=HIDDEN)
LEGACY_PERMANENCE_LAW = _hidden(
    (occlusion.permanence,), statement="A hidden object is still there.", legacy="permanence"
)
LEGACY_CONSTANCY_LAW = _hidden(
    (occlusion.color_constancy, occlusion.size_constancy),
    statement="Colour and size stay the same while hidden.",
    legacy="constancy",
)
LEGACY_CONTINUITY_LAW = _hidden(
    (occlusion.continuity,),
    statement="Nothing gets from one place to another without crossing what lies between.",
    legacy="continuity",
)
# A cue that is right in one half is wrong in the other: controls are judged in each by itself.
LEGACY_SOLIDITY_LAW = _hidden(
    (occlusion.block_solidity, occlusion.open_solidity),
    statement="Solid things do not pass through each other.",
    legacy="solidity",
)
LEGACY_MOMENTUM_LAW = Law(
    (momentum,), MOTION_RANGES, "Nothing changes its velocity without a cause.", legacy="momentum"
)
LEGACY_COLLISION_LAW = Law(
    (collision(True), *[collision(False)] * 3),
    COLLISION_RANGES,
    "How two discs part follows from how they met.",
    legacy="collision",
)
