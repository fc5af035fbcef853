"""Chance of known form: what happens in a clip that nothing before it tells, so that its true distribution is known.

A clip's chance is drawn from streams of its own, beside that of its scene. Drawn again from a frame on, it gives
another future of the same context, which stays the same to the last bit: many are the true conditional distribution.
How much is left to chance, the *level*, differs from clip to clip, and the context shows it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vidworld.core.clip_shape import WORLD_SIZE, ClipShape
from vidworld.core.counter_rng import Draws, clip_streams, mix
from vidworld.simulation.discs import Scenes, Trajectories, simulate

CHANCE_LEVELS = (0.5, 1.5)
"""What levels are drawn from, evenly. A standard deviation is the level times that of level 1."""
BAR = 0.625
"""Height (units) of the bar at the lower edge whose length shows the level; level 2 would fill the edge."""
CELLS_ACROSS, CELLS_DOWN = 8, 2
"""Cells of the panel, which takes the lower edge; squares."""
PANEL_HEIGHT = CELLS_DOWN * WORLD_SIZE / CELLS_ACROSS
PANEL_MEAN, PANEL_STD = 0.5, 0.08
"""Mean brightness of the panel's cells, and its standard deviation at level 1, of 1."""

Level = Float[Tensor, " clip"]
Brightness = Float[Tensor, "clip time cell"]
KickLaw = Callable[[Scenes, Level, Draws], Float[Tensor, "clip object 2"]]
"""The change of the discs' velocities, from the state that they have at the moment."""


@dataclass(frozen=True)
class Chance:
    """What a scenario leaves to chance: a change of velocities at the moment halfway, or a panel that flickers."""

    kick: KickLaw | None = None
    panel: bool = False


class Again(NamedTuple):
    """Which of the futures of a clip is meant."""

    number: int = 0  # 0: the clip's own; others have drawn their chance again
    seen_frames: int = 0  # frames whose chance stays the clip's own
    level: float | None = None  # in place of the clips' own levels


def moment_s(setting: ClipShape) -> float:
    """When kicks come (s): between the two frames in the middle of a clip."""
    return (setting.num_frames // 2 - 0.5) / setting.fps


OWN_FUTURE = Again()
"""What happens in the clip itself."""


@dataclass(frozen=True)
class Happening:
    """The chance of some clips, in one or several futures of each; a row is a future."""

    chance: Chance
    level: Level
    own: Int[Tensor, " clip"]
    later: Int[Tensor, " clip"]  # streams of what is drawn after the frames that were seen
    seen_frames: int

    @staticmethod
    def of(
        chance: Chance, name: str, numbers: Sequence[int], device: torch.device, again: Again, futures: int = 0
    ) -> "Happening":
        """That of the clips of these numbers of a stream: one future each, or so many of each clip in a row."""
        own = clip_streams(f"chance/{name}", numbers, device)
        level = Draws(mix(own)).uniform(*CHANCE_LEVELS)
        if again.level is not None:
            level = torch.full_like(level, again.level)
        count = torch.arange(1, futures + 1, device=device) if futures else torch.tensor([again.number], device=device)
        later = torch.where(count == 0, own[:, None], mix(own[:, None] + mix(count)))
        own, level = (each.repeat_interleave(len(count)) for each in (own, level))
        return Happening(chance, level, own, later.flatten(), again.seen_frames)

    def shown(self, scenes: Scenes, setting: ClipShape) -> Scenes:
        """The scenes with the bar that shows the level of a kick; a panel shows its own."""
        if self.chance.kick is None:
            return scenes
        zero, lower = torch.zeros_like(self.level), torch.full_like(self.level, setting.height)
        bar = torch.stack([zero, lower - BAR, self.level * (WORLD_SIZE / 2), lower], dim=1)
        return replace(scenes, blocks=torch.cat([scenes.blocks, bar[:, None]], dim=1))

    def motion(self, scenes: Scenes, setting: ClipShape) -> Trajectories:
        """The discs' exact motion, whatever is to happen at its moment."""
        times_s = torch.arange(setting.num_frames, dtype=torch.float64, device=self.level.device) / setting.fps
        if self.chance.kick is None:
            return simulate(scenes, times_s)
        after, moment = setting.num_frames // 2, moment_s(setting)
        before = simulate(scenes, torch.cat([times_s[:after], times_s.new_tensor([moment])]))
        state = replace(scenes, position=before.position[:, -1], velocity=before.velocity[:, -1])
        draws = Draws(self.own if self.seen_frames > after else self.later)
        state = replace(state, velocity=state.velocity + self.chance.kick(state, self.level, draws))
        rest = simulate(state, times_s[after:] - moment)
        parts = ((getattr(x, name) for x in (before, rest)) for name in ("position", "velocity"))
        position, velocity = (torch.cat([first[:, :-1], second], dim=1) for first, second in parts)
        contact_s = torch.where(before.contact_s.isnan(), rest.contact_s + moment, before.contact_s)
        return Trajectories(position, velocity, contact_s)

    def brightness(self, num_frames: int) -> Brightness:
        """Of the panel's cells, row by row, in every frame: independent normal numbers, cut off at 0 and 1."""
        count = num_frames * CELLS_ACROSS * CELLS_DOWN
        own, later = (Draws(each).normal(count).unflatten(1, (num_frames, -1)) for each in (self.own, self.later))
        seen = torch.arange(num_frames, device=own.device) < self.seen_frames
        normal = torch.where(seen[:, None], own, later)
        return (PANEL_MEAN + PANEL_STD * self.level[:, None, None] * normal).clamp(0, 1)

    def paint(self, frames: UInt8[Tensor, "clip time 3 height width"]) -> None:
        """Paint the panel over the frames, in place."""
        if self.chance.panel:
            bright = (self.brightness(frames.shape[1]) * 255).round().to(torch.uint8).unbind(dim=2)
            for value, (rows, columns) in zip(bright, panel_cells(*frames.shape[-2:]), strict=True):
                frames[..., rows, columns] = value[:, :, None, None, None]


def panel_cells(height_px: int, width_px: int) -> list[tuple[slice, slice]]:
    """Rows and columns of each of the panel's cells in a picture of this size."""
    edge = [round(i * width_px / CELLS_ACROSS) for i in range(CELLS_ACROSS + 1)]
    top = height_px - edge[CELLS_DOWN]
    down, across = ([slice(*pair) for pair in pairwise(edge)][:n] for n in (CELLS_DOWN, CELLS_ACROSS))
    return [(slice(top + row.start, top + row.stop), column) for row in down for column in across]


def panel_brightness(frames: UInt8[Tensor, "clip time 3 height width"]) -> Brightness:
    """The mean brightness of each of the panel's cells in these frames, of 1."""
    cells = panel_cells(*frames.shape[-2:])
    means = [frames[..., rows, columns].double().mean(dim=(2, 3, 4)) / 255 for rows, columns in cells]
    return torch.stack(means, dim=2)
