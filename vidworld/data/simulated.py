"""Simulated clips by number: nothing on disk, any worker or rank makes any clip."""

import difflib
from collections.abc import Iterable, Sequence

import torch

from vidworld.data.clip import Clips, Tracks
from vidworld.data.discs import Worlds, simulate
from vidworld.data.render import render, visible_share
from vidworld.data.scenarios import SCENARIOS
from vidworld.data.stage import Setting, sample
from vidworld.errors import UserError

SPLITS = ("train", "val", "id", "ood")
"""`train`, `val` and `id` draw from the same ranges with different numbers, `ood` from outside them."""


def check_name(name: str, known: Iterable[str], what: str) -> None:
    """Nothing, for a known name.

    Raises:
        UserError: there is no such name; the message gives the nearest one.
    """
    known = list(known)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise UserError(f"no {what} named {name!r}: did you mean {near!r}? (one of {', '.join(known)})")


def film(worlds: Worlds, setting: Setting, identity: Sequence[str]) -> Clips:
    """What the worlds look like, frame by frame, with their true tracks."""
    times_s = torch.arange(setting.num_frames, dtype=torch.float64, device=worlds.radius.device) / setting.fps
    motion = simulate(worlds, times_s)
    frames = render(
        motion.position, worlds.radius, worlds.color, worlds.present, worlds.screens, worlds.blocks, setting
    )
    present = worlds.present[:, None].expand(-1, setting.num_frames, -1)
    visible = visible_share(motion.position, worlds.radius, worlds.screens, setting)
    tracks = Tracks(
        position=torch.where(present[..., None], motion.position, torch.nan),
        velocity=torch.where(present[..., None], motion.velocity, torch.nan),
        radius=worlds.radius,
        mass=worlds.mass,
        color=worlds.color.to(torch.float32),
        present=present,
        visible=torch.where(present, visible, 0.0),
        contact_s=motion.contact_s,
    )
    return Clips(frames, setting.fps, tuple(identity), tracks)


class SimulatedClips:
    """A ClipSource: clip `i` is a function of (scenario, split, seed, i) and how it is filmed."""

    def __init__(
        self,
        scenario: str,
        split: str,
        seed: int = 0,
        length: int = 100_000,
        num_frames: int = 16,
        fps: float = 10.0,
        height_px: int = 64,
        width_px: int = 64,
        device: torch.device | str = "cpu",
    ) -> None:
        check_name(scenario, SCENARIOS, "scenario")
        check_name(split, SPLITS, "split")
        self.name = f"{scenario}/{split}/{seed}"
        self.scenario, self.split, self.length = scenario, split, length
        self.setting = Setting(num_frames, fps, height_px, width_px)
        self.device = torch.device(device)

    def __len__(self) -> int:
        return self.length

    def clips(self, indices: Sequence[int]) -> Clips:
        """The clips of these numbers."""
        for index in indices:
            if not 0 <= index < self.length:
                raise IndexError(f"{self.name} has clips 0 to {self.length - 1}, not {index}")
        scenario, outside = SCENARIOS[self.scenario], self.split == "ood"
        (worlds,) = sample(
            scenario.samplers, self.name, indices, self.setting, scenario.ranges, outside, self.device
        )
        return film(worlds, self.setting, [f"{self.name}/{index}" for index in indices])
