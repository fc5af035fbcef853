"""What the pixels of a context show of each disc, and what they would show of the discs of a scene.

Screens and blocks are grey boxes that stand still, found to a fraction of a pixel; discs are weighed colour by colour
before them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy import ndimage
from torch import Tensor

from vidworld.core.clip import Frames
from vidworld.core.clip_shape import WORLD_SIZE, ClipShape
from vidworld.simulation.discs import Scenes
from vidworld.simulation.simulated import BACKGROUND, BLOCK_GRAY, EDGE_PX, SCREEN_GRAY, base_pictures
from vidworld.simulation.stage import PALETTE
from vidworld.simulation.tracker import weigh_discs

FAINTEST = 0.015  # share of a disc's colour under which a pixel shows none of it: a few levels of 256
LEAST_AREA = 0.07  # square units of a colour that make a disc
STRIPS, FADES = 32, 8  # of a disc whose visible part is summed, and of its edge
GREY = 0.02  # difference of a pixel's channels up to which no disc shows in it
SAME = 0.02  # difference of two greys up to which they are one
SMALLEST = 5 / 64  # of the picture's width, of the side of a screen; smaller patches are a part of the background
Box = list[float]  # left, top, right, bottom


@dataclass(frozen=True)
class SeenDiscs:
    """What the pixels of each clip's context show."""

    area: Float[Tensor, "clip time object"]  # that shows, in square units
    place: Float[Tensor, "clip time object 2"]  # its centroid; where nothing shows, the disc's mean one
    color: Float[Tensor, "clip object 3"]
    present: Bool[Tensor, "clip object"]
    screens: Float[Tensor, "clip screen 4"]
    blocks: Float[Tensor, "clip block 4"]
    setting: ClipShape  # of the context

    def at(self, clips: Tensor) -> "SeenDiscs":
        return SeenDiscs(**{k: v if k == "setting" else v[clips] for k, v in vars(self).items()})

    @property
    def most(self) -> Float[Tensor, "clip object"]:
        """The most that shows of each disc in any frame, in square units."""
        return self.area.amax(dim=1).clamp(min=LEAST_AREA)

    @property
    def falls_alone(self) -> Bool[Tensor, " clip"]:
        """One disc and nothing else: only such are under gravity."""
        return (self.present.sum(dim=1) == 1) & (self.screens.sum(dim=(1, 2)) == 0) & (self.blocks.sum(dim=(1, 2)) == 0)


def see(frames: Frames, fps: float) -> SeenDiscs:
    """Discs, screens and blocks of each clip."""
    clips, times, _, height, width = frames.shape
    setting = ClipShape(num_frames=times, fps=fps, height_px=height, width_px=width)
    screens, blocks = find_boxes(frames, setting)
    base = base_pictures(screens, blocks, setting.pixel, setting)[:, None]
    above = (frames.float() - base.float()).movedim(2, -1) / 255
    area, place = weigh_discs(above, PALETTE.expand(clips, -1, -1), FAINTEST)
    area, place = area.double() * setting.pixel**2, place.double()
    there = area.amax(dim=1) > LEAST_AREA
    order = there.float().argsort(dim=1, descending=True, stable=True)[:, : max(1, int(there.sum(dim=1).max()))]
    area = area.gather(2, order[:, None].expand(-1, times, -1))
    place = place.gather(2, order[:, None, :, None].expand(-1, times, -1, 2))
    mean = (place * area[..., None]).sum(dim=1) / area.sum(dim=1).clamp(min=1e-9)[..., None]
    place = torch.where((area > 0)[..., None], place, mean[:, None])
    return SeenDiscs(area, place, PALETTE.double()[order], there.gather(1, order), screens, blocks, setting)


def visible_part(scenes: Scenes, position: Tensor, setting: ClipShape) -> tuple[Tensor, Tensor]:
    """Area (square units) and first moments of what shows of each disc: in the picture, and behind no screen.

    position: (scene, time, object, 2). Screens must not overlap each other.
    """
    radius = scenes.radius[:, None, :].expand(position.shape[:-1])
    reach = radius[..., None] + EDGE_PX * setting.pixel
    low, high = position - reach, position + reach
    picture = position.new_tensor([WORLD_SIZE, setting.height])
    partly = ~((low >= 0) & (high <= picture)).all(dim=-1)
    for left, top, right, bottom in (box[:, None, None].unbind(-1) for box in scenes.screens.unbind(dim=1)):
        partly |= (high[..., 0] > left) & (low[..., 0] < right) & (high[..., 1] > top) & (low[..., 1] < bottom)
    area = torch.pi * radius.square()
    moments = area[..., None] * position
    number = partly.nonzero()[:, 0]
    picture = torch.cat((torch.zeros(2).to(picture), picture)).expand(len(number), 1, 4)
    boxes = torch.cat((picture, scenes.screens[number]), dim=1)
    area[partly], moments[partly] = _strips(position[partly], radius[partly], boxes, EDGE_PX * setting.pixel)
    return area, moments


def _strips(
    position: Float[Tensor, "disc 2"], radius: Float[Tensor, " disc"], boxes: Float[Tensor, "disc box 4"], edge: float
) -> tuple[Float[Tensor, " disc"], Float[Tensor, "disc 2"]]:
    """Area and first moments of discs inside the first of their boxes and outside the others, by upright strips.

    A disc fades over `edge` on either side of its circle, as it is drawn: it is a mixture of discs with sharp edges,
    of which a strip has the mean height.
    """
    across = (torch.arange(STRIPS, dtype=radius.dtype) + 0.5) * 2 / STRIPS - 1
    fade = torch.arange(1, FADES, dtype=radius.dtype) / FADES  # how far into the edge each of the mixture ends
    share = fade * (1 - fade) / (fade * (1 - fade)).sum()
    drawn = (radius.square() - edge * edge / 5).clamp(min=0).sqrt()[:, None]
    sharp = (drawn + edge * (2 * fade - 1)).clamp(min=0)  # (disc, fade)
    x, y, reach = position[:, :1], position[:, 1:], drawn + edge
    off = reach * across
    tall = ((sharp[:, None].square() - off[..., None].square()).clamp(min=0).sqrt() * share).sum(dim=-1)
    tall = tall * torch.pi * radius[:, None].square() / (tall.sum(dim=1, keepdim=True) * 4 * reach / STRIPS)
    starts = torch.stack((x + off - reach / STRIPS, y - tall), dim=-1)
    ends = torch.stack((x + off + reach / STRIPS, y + tall), dim=-1)
    area, moments = torch.zeros_like(radius), torch.zeros_like(position)
    for i, box in enumerate(boxes.unbind(dim=1)):
        low = torch.maximum(starts, box[:, None, :2])
        high = torch.minimum(ends, box[:, None, 2:])
        part = (high - low).clamp(min=0).prod(dim=-1) * (-1 if i else 1)
        area = area + part.sum(dim=-1)
        moments = moments + (part[..., None] * (low + high) / 2).sum(dim=1)
    return area, moments


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
