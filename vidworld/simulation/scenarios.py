"""What each scenario samples: discs, motions and their ranges, in distribution and outside it."""

from collections.abc import Callable
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.simulation.discs import dot
from vidworld.simulation.stage import Candidates, PerWorld, Point, Ranges, Sampler, Scenario, Stage

GRAVITY = 5.0  # units a second squared: twice phyworld's, for clips half as long

MOTION_RANGES = Ranges((1.0, 4.0), (0.7, 1.4), ((0.2, 0.8), (4.5, 5.5)), ((0.4, 0.6), (1.5, 1.8)))
COLLISION_RANGES = Ranges((1.0, 4.0), (0.6, 1.3), ((0.2, 0.8), (4.5, 5.5)), ((0.4, 0.5), (1.4, 1.6)))
BILLIARDS_RANGES = Ranges((1.0, 4.0), (0.5, 1.0), ((0.2, 0.8), (4.5, 5.5)), ((0.35, 0.45), (1.1, 1.2)))
RESTITUTION = (0.6, 1.0)
RESTITUTION_OUTSIDE = (0.35, 0.5)
MIN_CLOSING_SPEED = 1.0  # of two discs that meet (units a second)
MIN_IMPACT = 2.0  # of a disc on the floor (units a second)


def uniform(stage: Stage) -> Candidates:
    """One disc at constant velocity in any direction, in full view throughout."""
    radius, color = stage.radius(1), stage.colors(1)
    velocity = stage.speed(1)[:, :, None] * stage.draws.direction(1)
    travel = velocity[:, 0] * stage.setting.duration_s
    position, valid = stage.place(travel.clamp(max=0) - radius, travel.clamp(min=0) + radius)
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
    return (stage.scenes(position[:, None], velocity, radius, color, gravity=GRAVITY),), valid


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
    scenes = stage.scenes(position[:, None], velocity, radius, color, None, GRAVITY, restitution, walls)
    return (scenes,), valid


def billiards(stage: Stage) -> Candidates:
    """Three to five discs and the picture's four edges, all contacts elastic."""
    radius, color = stage.radius(5), stage.colors(5)
    velocity = stage.speed(5)[:, :, None] * stage.draws.direction(5)
    present = torch.arange(5, device=radius.device) < stage.draws.uniform(3.0, 6.0).floor()[:, None]
    room = stage.size - 2 * radius[:, :, None]
    share = stage.draws.uniform(count=10).reshape(-1, 5, 2)
    position = radius[:, :, None] + share * room
    first, second = torch.triu_indices(5, 5, offset=1, device=radius.device)
    apart = position[:, first] - position[:, second]
    reach = radius[:, first] + radius[:, second]
    free = (dot(apart, apart) > reach * reach) | ~present[:, second]  # if one is absent, the second is
    valid = free.all(1) & ((room > 0).all(2) | ~present).all(1)
    width, height = WORLD_SIZE, stage.setting.height
    edges = [[1.0, 0.0, 0.0], [-1.0, 0.0, -width], [0.0, 1.0, 0.0], [0.0, -1.0, -height]]
    walls = radius.new_tensor(edges).expand(len(radius), 4, 3)
    return (stage.scenes(position, velocity, radius, color, present, walls=walls),), valid


MadeT = TypeVar("MadeT")


def one_in_four(make: Callable[[bool], MadeT]) -> tuple[MadeT, MadeT, MadeT, MadeT]:
    """What draws collisions, for a quarter of them head-on, and for the others from any direction."""
    head_on, oblique = make(True), make(False)
    return head_on, oblique, oblique, oblique


def collision_sampler(head_on: bool) -> Sampler:
    """A sampler of two discs that meet inside the clip, mostly in its second half, in view throughout."""

    def collision(stage: Stage) -> Candidates:
        late = stage.draws.chance(0.75)
        share = stage.draws.uniform()
        contact_s = stage.setting.duration_s * torch.where(late, 0.5 + 0.4 * share, 0.15 + 0.35 * share)
        return collisions(stage, contact_s, 1, head_on)

    return collision


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


UNIFORM = Scenario((uniform,), MOTION_RANGES)
PARABOLA = Scenario((parabola,), MOTION_RANGES)
COLLISION = Scenario(one_in_four(collision_sampler), COLLISION_RANGES, weight=3.0)
BOUNCE = Scenario((bounce,), MOTION_RANGES)
BILLIARDS = Scenario((billiards,), BILLIARDS_RANGES)
