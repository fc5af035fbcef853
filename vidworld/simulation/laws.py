"""The laws that quadruplets test: what each says, and how its two possible clips are drawn."""

from dataclasses import dataclass

import torch

from vidworld.simulation import occlusion
from vidworld.simulation.discs import dot
from vidworld.simulation.scenarios import COLLISION_RANGES, MOTION_RANGES, collisions, one_in_four
from vidworld.simulation.stage import Candidates, Layout, PerWorld, Ranges, Stage

MIN_CHANGE = 1.5  # how much A's velocity differs from B's where the ways cross, at least (units a second)
MIN_CHANGE_OF_TWO = 3.0  # the same for the velocities of two discs that meet, taken as one vector of four


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


@dataclass(frozen=True)
class Law:
    """What a law says, and what its quadruplets are drawn by: one of the layouts, each as likely, from these ranges."""

    layouts: tuple[Layout, ...]
    ranges: Ranges
    statement: str  # what the law says, in a sentence for the page
    moment_frames: float = 0.0  # when, from the first frame after the splice on: A and B look the same then
    version: int = 1  # of another package's; for ours the registry says it


HIDDEN = -0.5  # the moment of the occluded laws: between the last frame of the past and the first of the future


def _hidden(*layouts: Layout, statement: str) -> Law:
    return Law(layouts, occlusion.RANGES, statement, HIDDEN)


PERMANENCE_LAW = _hidden(occlusion.permanence, statement="A hidden object is still there.")
CONSTANCY_LAW = _hidden(
    occlusion.color_constancy, occlusion.size_constancy, statement="Colour and size stay the same while hidden."
)
CONTINUITY_LAW = _hidden(
    occlusion.continuity, statement="Nothing gets from one place to another without crossing what lies between."
)
# A cue that is right in one half is wrong in the other: controls are judged in each by itself.
SOLIDITY_LAW = _hidden(
    occlusion.block_solidity, occlusion.open_solidity, statement="Solid things do not pass through each other."
)
MOMENTUM_LAW = Law((momentum,), MOTION_RANGES, "Nothing changes its velocity without a cause.")
COLLISION_LAW = Law(one_in_four(collision), COLLISION_RANGES, "How two discs part follows from how they met.")
