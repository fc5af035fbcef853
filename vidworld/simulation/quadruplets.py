"""Quads: two valid clips that look the same at a splice, and the two impossible ones made of their frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch

from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import public, stratum
from vidworld.core.errors import UserError
from vidworld.simulation import LAWS, NuisanceLevel
from vidworld.simulation.simulated import LEVEL_MARK, check_split, simulated, with_level
from vidworld.simulation.stage import Layout, Sampler, Scenario

SEAM = 4
"""Of 255: by so much pictures that look the same may differ, where they are drawn on another device."""


@dataclass(frozen=True)
class Quadruplets:
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
    """`a` before the frame and `b` from it on; no scene moves like that, so there are no true tracks."""
    frames = torch.cat([a.frames[:, :frame], b.frames[:, frame:]], dim=1)
    clean = None
    if a.clean is not None and b.clean is not None:
        clean = torch.cat([a.clean[:, :frame], b.clean[:, frame:]], dim=1)
    return Clips(frames, a.fps, tuple(f"{identity}/{name}" for identity in a.identity), clean=clean)


@cache  # `sample_scenes` draws the clips of equal samplers together
def at_moment(layout: Layout, moment_s: float) -> Sampler:
    """A sampler of both worlds of a layout."""
    return lambda stage: layout(stage, torch.full_like(stage.draws.streams, moment_s, dtype=torch.float64))


def layout_of(identity: str) -> str | None:
    """The name of the layout that a simulated quadruplet was drawn by, by its identity; None for any other."""
    parts = identity.split("/")
    if len(parts) != 4 or parts[0] not in LAWS or not parts[3].isdecimal():
        return None
    law = LAWS[parts[0]]
    stream = "/".join(["quad", law.legacy or parts[0], parts[1].partition(LEVEL_MARK)[0], parts[2]])
    kind = stratum(stream, [int(parts[3])], len(law.layouts), torch.device("cpu"))
    return getattr(law.layouts[int(kind)], "__name__", None)


def quadruplets(
    law: str,
    split: str,
    seed: int | str,
    indices: Sequence[int],
    splice_frame: int = 8,
    shape: ClipShape = ClipShape(),
    device: torch.device | str = "cpu",
    nuisance: NuisanceLevel = 0,
) -> Quadruplets:
    """The quadruplets of these numbers, each a function of (law, split, seed, number) and how it is rendered.

    seed: a number, or with a secret, as that of `SimulatedClips`.
    Nuisance follows the quadruplet and a frame's place in time, in all four clips. Where discs are hidden at the splice
    they are so in the frames before and after it; where they are in view (momentum, collision), A and B look the same
    in the frame before `splice_frame`, the legacy ones in that frame.

    Raises UserError: A and B look the same in neither, so that the seam would tell what is possible.
    """
    rule = LAWS[law]
    check_split(split)
    if not 0 < splice_frame < shape.num_frames:
        raise UserError(f"{law}: splice_frame {splice_frame} must lie within the {shape.num_frames} frames")
    moment_s = (splice_frame + rule.moment_frames) / shape.fps
    samplers = tuple(at_moment(layout, moment_s) for layout in rule.layouts)
    identity = tuple(public(f"{law}/{with_level(split, nuisance)}/{seed}") + f"/{index}" for index in indices)
    identities = [tuple(f"{each}/{side}" for each in identity) for side in "ab"]
    stream, device = f"quad/{rule.legacy or law}/{split}/{seed}", torch.device(device)
    drawn_by = Scenario(samplers, rule.ranges)
    a, b = simulated(drawn_by, stream, indices, identities, shape, split, device, nuisance)
    frames = slice(splice_frame - 1, splice_frame + 1)
    apart = (a.frames[:, frames].int() - b.frames[:, frames].int()).abs().amax(dim=(0, 2, 3, 4))
    if identity and int(apart.min()) > SEAM:
        raise UserError(
            f"law {law}: A and B look the same neither in the frame before the splice nor in that frame, where no seam "
            "may be seen; a layout that gives both the same places at its moment would do"
        )
    bare_a, bare_b = (replace(clips, identity=identity, tracks=None) for clips in (a, b))
    a_then_b = splice(bare_a, bare_b, splice_frame, "a_then_b")
    return Quadruplets(law, a, b, a_then_b, splice(bare_b, bare_a, splice_frame, "b_then_a"), splice_frame, identity)
