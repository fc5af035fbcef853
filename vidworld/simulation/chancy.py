"""Scenarios with chance of known form (a kick, a peg, a noisy panel), and one whose training lacks a band of speeds."""

from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.counter_rng import Draws
from vidworld.simulation.chance import BAR, PANEL_HEIGHT, Chance, Level, moment_s
from vidworld.simulation.discs import Scenes
from vidworld.simulation.scenarios import MOTION_RANGES, uniform
from vidworld.simulation.stage import Candidates, Ranges, Scenario, Stage

KICK_RANGES = Ranges((0.5, 2.5), (0.6, 1.1), ((0.1, 0.4), (2.8, 3.2)), ((0.4, 0.55), (1.15, 1.25)))
KICK_STD = 1.0
"""Standard deviation of either component of a kick at level 1 (units a second), before its ends are cut off."""
KICK_ENDS = 2.5
"""Standard deviations at which they are: a kicked disc stays in view, whatever is drawn."""
MOST_KICK = 1.5 * KICK_STD * KICK_ENDS
PEG_SPEED = 2.0
"""Speed with which a disc leaves a peg at level 1 (units a second)."""
PEG_SIZE, PEG_GAP = 0.6, 0.5
"""Of the peg, and between it and the disc when that turns: what is solid overlaps nothing (units)."""
HOLE = (2.0, 3.0)
"""Speeds (units a second) that the training of `uniform_hole` leaves out."""


def kick(stage: Stage) -> Candidates:
    """One disc at constant velocity but for the kick that it gets halfway; a bar at the lower edge is as long as the
    kick's standard deviation. In view throughout, whatever the kick."""
    radius, color = stage.radius(1), stage.colors(1)
    velocity = stage.speed(1)[:, :, None] * stage.draws.direction(1)
    moment, end = moment_s(stage.setting), stage.setting.duration_s
    reach = MOST_KICK * (end - moment)
    there, then = velocity[:, 0] * moment, velocity[:, 0] * end
    low = torch.minimum(there, then - reach).clamp(max=0) - radius
    high = torch.maximum(there, then + reach).clamp(min=0) + radius
    position, valid = stage.place(low, high + radius.new_tensor([0.0, BAR]))
    return (stage.scenes(position[:, None], velocity, radius, color),), valid


def kicked(state: Scenes, level: Level, draws: Draws) -> Float[Tensor, "clip object 2"]:
    """Independent normal numbers with their ends cut off."""
    least = float(torch.special.ndtr(torch.tensor(-KICK_ENDS, dtype=torch.float64)))
    normal: Tensor = torch.special.ndtri(draws.uniform(least, 1 - least, count=2))
    return (KICK_STD * level[:, None] * normal)[:, None]


def peg(stage: Stage) -> Candidates:
    """One disc that falls at constant speed towards a peg, and leaves it to the left or to the right, each as likely;
    a bar at the lower edge is as long as it is fast then."""
    radius, color = stage.radius(1), stage.colors(1)
    down = stage.speed(1) * moment_s(stage.setting)  # (world, 1)
    reach = 1.5 * PEG_SPEED * (stage.setting.duration_s - moment_s(stage.setting)) + radius
    start, valid = stage.place(
        torch.cat([-reach, -radius], dim=1), torch.cat([reach, down + radius + PEG_GAP + PEG_SIZE + BAR], dim=1)
    )
    left = start[:, 0] - PEG_SIZE / 2
    top = start[:, 1] + (down + radius)[:, 0] + PEG_GAP
    block = torch.stack([left, top, left + PEG_SIZE, top + PEG_SIZE], dim=1)[:, None]
    fall = down / moment_s(stage.setting)
    velocity = torch.stack([torch.zeros_like(fall), fall], dim=2)
    return (replace(stage.scenes(start[:, None], velocity, radius, color), blocks=block),), valid


def sent_aside(state: Scenes, level: Level, draws: Draws) -> Float[Tensor, "clip object 2"]:
    """The disc stops falling and goes left or right."""
    aside = torch.stack([PEG_SPEED * level * draws.sign(), torch.zeros_like(level)], dim=1)
    return aside[:, None] - state.velocity


panel = partial(uniform, below=PANEL_HEIGHT)
"""One disc at constant velocity, in full view above a panel of cells whose brightness flickers."""

# Weight 0: the trainings and evaluations of everything stay what they are; a configuration names these.
KICK = Scenario((kick,), KICK_RANGES, weight=0.0, chance=Chance(kick=kicked))
PEG = Scenario((peg,), replace(KICK_RANGES, corner=0.0), weight=0.0, chance=Chance(kick=sent_aside))
PANEL = Scenario((panel,), MOTION_RANGES, weight=0.0, chance=Chance(panel=True))
UNIFORM_HOLE = Scenario((uniform,), replace(MOTION_RANGES, hole=HOLE), weight=0.0)
