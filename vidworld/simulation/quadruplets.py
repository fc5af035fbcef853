"""Quads: two valid clips that look the same at a splice, and the two impossible ones made of their frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Clips
from vidworld.core.counter_rng import stratum
from vidworld.core.errors import UserError
from vidworld.simulation import occlusion
from vidworld.simulation.discs import Worlds, dot
from vidworld.simulation.occlusion import Layout
from vidworld.simulation.scenarios import COLLISION_RANGES, MOTION_RANGES, collisions, one_in_four
from vidworld.simulation.simulated import SPLITS, check_name, films
from vidworld.simulation.stage import Candidates, Ranges, Sampler, Setting, Stage, sample

LEAST_CHANGE = 1.5
"""How much A's velocity differs from B's where the ways cross, at least (units a second)."""
LEAST_CHANGE_OF_TWO = 3.0
"""The same for the velocities of two discs that meet, taken as one vector of four."""


@dataclass(frozen=True)
class Quads:
    """Two possible clips (`a`, `b`) and the two impossible ones that swap their futures."""

    law: str
    a: Clips
    b: Clips
    a_then_b: Clips
    b_then_a: Clips
    splice_frame: int
    identity: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.identity)


def splice(a: Clips, b: Clips, frame: int, name: str = "spliced") -> Clips:
    """`a` before the frame and `b` from it on; no world moves like that, so there are no true tracks."""
    frames = torch.cat([a.frames[:, :frame], b.frames[:, frame:]], dim=1)
    return Clips(frames, a.fps, tuple(f"{identity}/{name}" for identity in a.identity))


def momentum(stage: Stage, moment_s: Float[Tensor, " world"]) -> Candidates:
    """A and B: one disc on two straight ways that cross at the moment."""
    radius, color = stage.radius(1), stage.colors(1)
    velocities = [stage.speed(1)[:, :, None] * stage.draws.direction(1) for _ in range(2)]
    before = moment_s[:, None, None]
    after = stage.setting.duration_s - before
    ends = torch.cat([end for v in velocities for end in (-v * before, v * after)], dim=1)
    point, valid = stage.place(ends.amin(1) - radius, ends.amax(1) + radius)
    worlds = tuple(stage.worlds(point[:, None] - v * before, v, radius, color) for v in velocities)
    change = velocities[0][:, 0] - velocities[1][:, 0]
    return worlds, valid & (dot(change, change) >= LEAST_CHANGE**2)


def collision(head_on: bool) -> Layout:
    """A and B: two discs that meet in the same place at the moment, from other velocities."""

    def layout(stage: Stage, moment_s: Float[Tensor, " world"]) -> Candidates:
        (a, b), valid = collisions(stage, moment_s, 2, head_on)
        change = a.velocity - b.velocity
        return (a, b), valid & (dot(change, change).sum(1) >= LEAST_CHANGE_OF_TWO**2)

    layout.__name__ = "head_on" if head_on else "oblique"
    return layout


@dataclass(frozen=True)
class Law:
    """What a law's quads are drawn by: one of the layouts, each as likely, from these ranges."""

    layouts: tuple[Layout, ...]
    ranges: Ranges
    moment_frames: float
    """When, from the first frame after the splice on: A and B look the same then."""


LAWS: dict[str, Law] = {
    **{law: Law(layouts, occlusion.RANGES, -0.5) for law, layouts in occlusion.LAYOUTS.items()},
    "momentum": Law((momentum,), MOTION_RANGES, 0.0),
    "collision": Law(one_in_four(collision), COLLISION_RANGES, 0.0),
}


def at_moment(layout: Layout, moment_s: float) -> Sampler:
    """A sampler of both worlds of a layout."""
    return lambda stage: layout(
        stage, stage.draws.streams.new_full((len(stage.draws.streams),), moment_s, dtype=torch.float64)
    )


def stream_name(law: str, split: str, seed: int | str) -> str:
    """Of the random stream that a law's quads are drawn from."""
    return f"quad/{law}/{split}/{seed}"


def layout_of(identity: str) -> str | None:
    """The name of the layout that the simulated quad of this identity was drawn by; None for any other quad."""
    parts = identity.split("/")
    if len(parts) != 4 or parts[0] not in LAWS or not parts[3].isdecimal():
        return None
    law, split, seed, index = parts
    layouts = LAWS[law].layouts
    kind = stratum(stream_name(law, split, seed), [int(index)], len(layouts), torch.device("cpu"))
    return getattr(layouts[int(kind)], "__name__", None)


def quads(
    law: str,
    split: str,
    seed: int,
    indices: Sequence[int],
    num_frames: int = 16,
    splice_frame: int = 8,
    fps: float = 10.0,
    height_px: int = 64,
    width_px: int = 64,
    device: torch.device | str = "cpu",
) -> Quads:
    """The quads of these numbers, each a function of (law, split, seed, number).

    Where discs are hidden at the splice (permanence, constancy, continuity, solidity) they are so in the
    frames before and after it; where two ways cross (momentum, collision) they do so in `splice_frame`.
    """
    check_name(law, LAWS, "law")
    check_name(split, SPLITS, "split")
    if not 0 < splice_frame < num_frames:
        raise UserError(f"{law}: splice_frame {splice_frame} must lie within the {num_frames} frames")
    setting = Setting(num_frames, fps, height_px, width_px)
    rule, moment_s = LAWS[law], (splice_frame + LAWS[law].moment_frames) / fps
    at_splice = {layout: at_moment(layout, moment_s) for layout in rule.layouts}
    samplers = [at_splice[layout] for layout in rule.layouts]
    name = stream_name(law, split, seed)
    device = torch.device(device)

    def draw(indices: Sequence[int]) -> tuple[Worlds, ...]:
        return sample(samplers, name, indices, setting, rule.ranges, split, device)

    identity = tuple(f"{law}/{split}/{seed}/{index}" for index in indices)
    a, b = (
        Clips(frames, fps, tuple(f"{each}/{side}" for each in identity), tracks)
        for side, (frames, tracks) in zip("ab", films(draw, indices, setting, device, 2), strict=True)
    )
    bare_a, bare_b = (Clips(clips.frames, fps, identity) for clips in (a, b))
    return Quads(
        law,
        a,
        b,
        splice(bare_a, bare_b, splice_frame, "a_then_b"),
        splice(bare_b, bare_a, splice_frame, "b_then_a"),
        splice_frame,
        identity,
    )
