"""phyworld's three settings with its exact ranges, so that its published numbers can stand beside ours.

Source: Kang et al., "How far is video generation from world model" (arXiv 2411.02385) and its released generators: a
10 x 10 world, 32 frames 0.1 s apart, discs that move to the right (of two, towards each other) and may leave the
picture at the end. Differences: speeds and radii are drawn, not taken from a grid; two discs start anywhere that leaves
8 frames before the contact, where phyworld keeps those of very different size to one side.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.simulation.stage import PALETTE, Candidates, PerWorld, Ranges, Scenario, Stage

PHYWORLD_GRAVITY = 2.5
PHYWORLD_MOTION_RANGES = Ranges((1.0, 4.0), (0.7, 1.4), ((0.0, 0.8), (4.5, 6.0)), ((0.3, 0.6), (1.5, 2.0)), corner=0.0)
PHYWORLD_COLLISION_RANGES = Ranges((1.0, 4.0), (0.5, 1.5), ((0.0, 0.8), (4.5, 6.0)), ((0.3, 0.4), (1.7, 2.0)), 0.0)
BORDER = 0.5  # distance that discs keep from the upper and lower edge
MIN_FRAMES_IN_VIEW = 24
MIN_FRAMES_BEFORE = 8
MAX_FRAMES_BEFORE = 24  # frames before the contact: at least 8, and 8 of the 32 after it


def _start(stage: Stage, radius: PerWorld, speed: PerWorld) -> PerWorld:
    """Where a disc starts to be in view for `MIN_FRAMES_IN_VIEW`; near the left edge if it cannot be."""
    rightmost = WORLD_SIZE - radius - MIN_FRAMES_IN_VIEW * stage.setting.dt_s * speed
    near_edge = radius + stage.draws.uniform(0.0, 0.5)
    return stage.draws.uniform(radius, torch.where(rightmost < radius, near_edge, rightmost))


def _colors(scenes: int, discs: int, like: Tensor) -> Float[Tensor, "world disc 3"]:
    """Red, then blue."""
    return PALETTE[[0, 2]][:discs].to(like).expand(scenes, discs, 3)


def _one_disc(stage: Stage, lowest: float, gravity: float) -> Candidates:
    """A disc to the right whose upper edge starts between the border and `lowest`."""
    radius, speed = stage.radius(1), stage.speed(1)
    x = _start(stage, radius[:, 0], speed[:, 0])
    y = stage.draws.uniform(BORDER + radius[:, 0], lowest + radius[:, 0])
    velocity = torch.stack([speed, torch.zeros_like(speed)], dim=2)
    position = torch.stack([x, y], dim=1)[:, None]
    scenes = stage.scenes(position, velocity, radius, _colors(len(x), 1, radius), gravity=gravity)
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
    return (stage.scenes(position, velocity, radius, _colors(len(y), 2, radius)),), nearest <= farthest


PHYWORLD_UNIFORM = Scenario((phyworld_uniform,), PHYWORLD_MOTION_RANGES, weight=0.0)
PHYWORLD_PARABOLA = Scenario((phyworld_parabola,), PHYWORLD_MOTION_RANGES, weight=0.0)
PHYWORLD_COLLISION = Scenario((phyworld_collision,), PHYWORLD_COLLISION_RANGES, weight=0.0)
