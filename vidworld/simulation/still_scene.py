"""Screens and blocks in pictures of a scene: grey boxes that stand still, found to a fraction of a pixel."""

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy import ndimage
from torch import Tensor

from vidworld.core.clip import Frames
from vidworld.core.clip_shape import ClipShape
from vidworld.simulation.simulated import BACKGROUND, BLOCK_GRAY, SCREEN_GRAY

GREY = 0.02  # difference of a pixel's channels up to which no disc shows in it
SAME = 0.02  # difference of two greys up to which they are one
SMALLEST = 5 / 64  # of the picture's width, of the side of a screen; smaller patches are a part of the background
Box = list[float]  # left, top, right, bottom


def find_boxes(
    frames: Frames, setting: ClipShape
) -> tuple[Float[Tensor, "clip screen 4"], Float[Tensor, "clip block 4"]]:
    """Each clip's screens and blocks, in world units; all zero for none. There is room for one of each at least."""
    shown = frames.float() / 255
    grey = shown.amax(dim=2) - shown.amin(dim=2) < GREY
    count = grey.sum(dim=1)
    still = (shown.mean(dim=2) * grey).sum(dim=1) / count.clamp(min=1)
    plates = torch.where(count > 0, still, BACKGROUND).double().cpu().numpy()
    found = [(_screens(plate), _blocks(plate)) for plate in plates]
    screens, blocks = zip(*found, strict=True)
    return _stacked(screens, setting.pixel), _stacked(blocks, setting.pixel)


def _stacked(boxes: tuple[list[Box], ...], pixel: float) -> Float[Tensor, "clip box 4"]:
    stacked = torch.zeros(len(boxes), max(1, *(len(each) for each in boxes)), 4, dtype=torch.float64)
    for i, each in enumerate(boxes):
        for j, box in enumerate(each):
            stacked[i, j] = torch.tensor(box, dtype=torch.float64) * pixel
    return stacked


def _screens(plate: Float[ndarray, "height width"]) -> list[Box]:
    side = max(3, int(SMALLEST * plate.shape[1]))
    core = ndimage.binary_opening(np.abs(plate - SCREEN_GRAY) < SAME, np.ones((side, side)))
    share = np.clip((plate - BACKGROUND) / (SCREEN_GRAY - BACKGROUND), 0, 1)
    found = []
    for rows, columns in ndimage.find_objects(ndimage.label(core)[0]):
        left, right = _edges(np.median(share[rows], axis=0), columns)
        top, bottom = _edges(np.median(share[:, columns], axis=1), rows)
        found.append([left, top, right, bottom])
    return found


def _blocks(plate: Float[ndarray, "height width"]) -> list[Box]:
    """Blocks are as high as the picture; a screen may stand before a part of them."""
    bright = ndimage.binary_opening(np.abs(plate - BLOCK_GRAY) < SAME, np.ones((3, 1)))
    share = np.clip((plate - BACKGROUND) / (BLOCK_GRAY - BACKGROUND), 0, 1)
    found = []
    for (columns,) in ndimage.find_objects(ndimage.label(bright.any(axis=0))[0]):
        rows = bright[:, columns].any(axis=1)
        left, right = _edges(np.median(share[rows], axis=0), columns)
        found.append([left, 0.0, right, float(len(plate))])
    return found


def _edges(share: Float[ndarray, " pixel"], inside: slice) -> tuple[float, float]:
    """Where a stretch of full pixels ends, by the shares of the pixels on either side of it."""
    before = share[inside.start - 1] if inside.start > 0 else 0.0
    after = share[inside.stop] if inside.stop < len(share) else 0.0
    return float(inside.start - before), float(inside.stop + after)
