"""Simulated clips by number: nothing on disk, any worker or rank makes any clip."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from vidworld.core.clip import Clips, Tracks
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.core.threads import in_threads
from vidworld.simulation import SCENARIOS
from vidworld.simulation.discs import Scenes, simulate
from vidworld.simulation.render import render_discs, visible_share
from vidworld.simulation.stage import sample_scenes

SPLITS = ("train", "val", "id", "ood", "recombined")
"""`train`, `val` and `id` draw from the same ranges with different numbers, `ood` from outside them; in
`recombined` some disc is as fast and as large as only different discs are in the first three."""


def check_split(name: str) -> None:
    """Raise UserError if there is no such split."""
    if name not in SPLITS:
        raise UserError(f"there is no split {name!r}; there are {', '.join(SPLITS)}")


MAX_IN_A_BLOCK = 64  # clips that one thread of a CPU makes at a time


def videos(
    draw: Callable[[Sequence[int]], tuple[Scenes, ...]],
    indices: Sequence[int],
    setting: ClipShape,
    device: torch.device,
    count: int,
) -> list[tuple[UInt8[Tensor, "clip time 3 height width"], Tracks]]:
    """Frames and true tracks of each of the `count` worlds that `draw` has for these numbers."""
    shape = (len(indices), setting.num_frames, 3, setting.height_px, setting.width_px)
    frames = [torch.empty(shape, dtype=torch.uint8, device=device) for _ in range(count)]
    blocks = -(-len(indices) // MAX_IN_A_BLOCK) if device.type == "cpu" else 1
    size = -(-len(indices) // blocks)

    def make(start: int) -> list[Tracks]:
        some = slice(start, start + size)
        return [
            render_scenes(scenes, setting, out[some]) for scenes, out in zip(draw(indices[some]), frames, strict=True)
        ]

    starts = range(0, len(indices), size)
    parts = in_threads(make, starts) if device.type == "cpu" else [make(0)]
    return [(out, joined(tracks)) for out, *tracks in zip(frames, *parts, strict=True)]


def render_scenes(scenes: Scenes, setting: ClipShape, out: UInt8[Tensor, "clip time 3 height width"]) -> Tracks:
    """The true tracks of these scenes, whose frames go to `out`."""
    times_s = torch.arange(setting.num_frames, dtype=torch.float64, device=out.device) / setting.fps
    motion = simulate(scenes, times_s)
    looks = (scenes.radius, scenes.color, scenes.present, scenes.screens, scenes.blocks)
    render_discs(motion.position, *looks, setting, out)
    present = scenes.present[:, None].expand(-1, setting.num_frames, -1)
    visible = visible_share(motion.position, scenes.radius, scenes.screens, setting)
    return Tracks(
        position=torch.where(present[..., None], motion.position, torch.nan),
        velocity=torch.where(present[..., None], motion.velocity, torch.nan),
        radius=scenes.radius,
        mass=scenes.mass,
        color=scenes.color.to(torch.float32),
        present=present,
        visible=torch.where(present, visible, 0.0),
        contact_s=motion.contact_s,
    )


def joined(parts: Sequence[Tracks]) -> Tracks:
    """The tracks of all parts, in order."""
    return Tracks(**{name: torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])})


class SimulatedClips:
    """A ClipSource: clip `i` is a function of (scenario, split, seed, i) and how it is rendered.

    A call costs some milliseconds whatever it asks for: a hundred clips at a time are made four times as fast as ten.
    """

    def __init__(
        self,
        scenario: str,
        split: str,
        seed: int = 0,
        length: int = 100_000,
        shape: ClipShape = ClipShape(),
        device: torch.device | str = "cpu",
    ) -> None:
        SCENARIOS.check([scenario])
        check_split(split)
        self.name = f"{scenario}/{split}/{seed}"
        self.scenario, self.split, self.length = scenario, split, length
        self.shape, self.device = shape, torch.device(device)

    def __len__(self) -> int:
        return self.length

    def clips(self, indices: Sequence[int]) -> Clips:
        """The clips of these numbers."""
        for index in indices:
            if not 0 <= index < self.length:
                raise IndexError(f"{self.name} has clips 0 to {self.length - 1}, not {index}")
        scenario = SCENARIOS[self.scenario]

        def draw(some: Sequence[int]) -> tuple[Scenes, ...]:
            how = (self.shape, scenario.ranges, self.split, self.device)
            return sample_scenes(scenario.samplers, self.name, some, *how)

        ((frames, tracks),) = videos(draw, indices, self.shape, self.device, 1)
        return Clips(frames, self.shape.fps, tuple(f"{self.name}/{index}" for index in indices), tracks)
