"""Frames cut into spacetime patches and put together again: exact inverses, no parameters."""

from einops import rearrange
from jaxtyping import Shaped
from torch import Tensor

from vidworld.core.errors import UserError

PatchSize = tuple[int, int, int]
"""Frames, rows and columns of one patch."""


def grid_shape(num_frames: int, height_px: int, width_px: int, patch_size: PatchSize) -> tuple[int, int, int]:
    """The latent grid (t, h, w) of a clip of this shape.

    Raises UserError: if the clip does not divide into whole patches.
    """
    sides = zip(("frames", "rows", "columns"), (num_frames, height_px, width_px), patch_size, strict=True)
    for name, side, patch in sides:
        if side % patch or side < patch:
            raise UserError(
                f"a clip of {num_frames} frames of {height_px} x {width_px} px does not divide into patches of "
                f"{patch_size}: {side} {name} is no multiple of {patch}"
            )
    return num_frames // patch_size[0], height_px // patch_size[1], width_px // patch_size[2]


def patchify(
    frames: Shaped[Tensor, "clip time channel height width"], patch_size: PatchSize
) -> Shaped[Tensor, "clip t h w values"]:
    """The patches of each clip, every patch's values in the order (frame, row, column, channel)."""
    grid_shape(frames.shape[1], frames.shape[3], frames.shape[4], patch_size)
    p, q, r = patch_size
    return rearrange(frames, "b (t p) c (h q) (w r) -> b t h w (p q r c)", p=p, q=q, r=r)


def unpatchify(
    patches: Shaped[Tensor, "clip t h w values"], patch_size: PatchSize, channels: int = 3
) -> Shaped[Tensor, "clip time channel height width"]:
    """The frames that `patchify` cut into these patches."""
    p, q, r = patch_size
    return rearrange(patches, "b t h w (p q r c) -> b (t p) c (h q) (w r)", p=p, q=q, r=r, c=channels)
