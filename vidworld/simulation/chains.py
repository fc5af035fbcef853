"""Chains of discs, the dominoes of this simulator: equal discs in a row, of which the first is struck."""

from dataclasses import replace

import torch

from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.simulation.stage import Candidates, Ranges, Scenario, Stage

MOST = 5  # discs that wait, at most: the palette has a colour for each and for the one that strikes
GAPS = (0.15, 0.6)  # units between neighbours of a chain
RUN_UP_S = (0.8, 1.1)  # seconds until the first is struck: after a context of eight frames
CHAIN_RANGES = Ranges((2.5, 4.5), (0.4, 0.6), ((1.8, 2.3), (4.8, 5.5)), ((0.65, 0.75),), corner=0.0)


def dominoes(stage: Stage) -> Candidates:
    """Two to five discs at rest in a row of any direction, and a disc as large and heavy that strikes the first.

    Equal discs hand their velocity on from one to the next, so each moves once, after the one before it, and the last
    flies off. Disc 0 strikes; the others are in the order of the chain. All remain in view.
    """
    count, draws = MOST + 1, stage.draws
    radius = stage.radius(1).expand(-1, count)
    speed, direction = stage.speed(1), draws.direction(1)
    waits = torch.arange(count, device=radius.device) < draws.uniform(3.0, count + 1.0).floor()[:, None]
    gap = draws.uniform(*GAPS, count=count)
    gap[:, 1] = speed[:, 0] * draws.uniform(*RUN_UP_S)
    gap[:, 0] = 0.0
    along = (gap + 2 * radius).cumsum(1)
    along = along - along[:, :1]
    velocity = torch.zeros(len(radius), count, 2, dtype=torch.float64, device=radius.device)
    velocity[:, 0] = speed * direction[:, 0]
    # When the last is struck: the gaps are crossed one after another at one speed.
    travelled = torch.where(waits, gap, 0.0).sum(1)
    left = (speed[:, 0] * stage.setting.duration_s - travelled).clamp(min=0)
    end = torch.where(waits, along, 0.0).amax(1) + left
    way = direction[:, 0] * end[:, None]
    position, valid = stage.place(way.clamp(max=0) - radius[:, :1], way.clamp(min=0) + radius[:, :1])
    position = position[:, None] + along[..., None] * direction
    # Discs that are not there lie anywhere inside the picture.
    position = torch.where(waits[..., None], position, WORLD_SIZE / 2)
    scenes = stage.scenes(position, velocity, radius.clone(), stage.colors(count))
    struck_s = travelled / speed[:, 0]
    return (replace(scenes, present=waits),), valid & (struck_s < stage.setting.duration_s - 2 * stage.setting.dt_s)


DOMINOES = Scenario((dominoes,), CHAIN_RANGES, weight=0.0)
