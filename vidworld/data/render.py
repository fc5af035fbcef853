"""Pictures of discs, blocks and screens: anti-aliased, and fast because each disc has a window of its own.

Screens and blocks stand still, so each clip has one base picture. A disc adds to it coverage x (colour -
background) x the share of the pixel that no screen hides. Discs do not overlap and the palette is nowhere
darker than the background, so the contributions add without overflow, eight pixels at a time as one integer.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from vidworld.data.clip import WORLD_SIZE
from vidworld.data.stage import Setting

BACKGROUND = 20 / 255
"""Of the whole picture where there is nothing, all three channels."""
SCREEN_GRAY = 128 / 255
BLOCK_GRAY = 200 / 255

FRAMES_AT_ONCE = 256
"""What is drawn together stays in the processor's cache."""
WORD = 8
"""Pixels in a word of 64 bits."""
EVEN_BYTES = 0x00FF00FF00FF00FF
HALVES = 0x0080008000800080
EDGE_PX = 1.2
"""How far on either side of its circle a disc fades."""
FAR_PX = -1e4
"""Where discs that are absent would be drawn."""


def covered(
    edges: Float[Tensor, "clip rectangle 2"], count: int, pixel: float
) -> Float[Tensor, "clip rectangle pixel"]:
    """The share of each pixel of a row (or column) that lies between the two edges, in world units."""
    edge = edges / pixel
    number = torch.arange(count, dtype=edges.dtype, device=edges.device)
    inside = torch.minimum(edge[..., 1:], number + 1) - torch.maximum(edge[..., :1], number)
    return inside.clamp(0, 1)


def base_pictures(
    screens: Float[Tensor, "clip screen 4"],
    blocks: Float[Tensor, "clip block 4"],
    pixel: float,
    setting: Setting,
) -> UInt8[Tensor, "clip 3 height width"]:
    """Each clip's picture without discs: background, then blocks, then screens."""
    picture = screens.new_full((len(screens), setting.height_px, setting.width_px), BACKGROUND)
    for boxes, gray in ((blocks, BLOCK_GRAY), (screens, SCREEN_GRAY)):
        rows = covered(boxes[..., [1, 3]], setting.height_px, pixel)
        columns = covered(boxes[..., [0, 2]], setting.width_px, pixel)
        for i in range(boxes.shape[1]):
            share = rows[:, i, :, None] * columns[:, i, None, :]
            picture = picture + share * (gray - picture)
    return (picture * 255 + 0.5).to(torch.uint8)[:, None].expand(-1, 3, -1, -1)


def render(
    position: Float[Tensor, "clip time object 2"],
    radius: Float[Tensor, "clip object"],
    color: Float[Tensor, "clip object 3"],
    present: Bool[Tensor, "clip object"],
    screens: Float[Tensor, "clip screen 4"],
    blocks: Float[Tensor, "clip block 4"],
    setting: Setting,
) -> UInt8[Tensor, "clip time 3 height width"]:
    """The frames; discs may be partly or wholly out of the picture."""
    clips, times = position.shape[:2]
    padded = replace(setting, width_px=-(-setting.width_px // WORD) * WORD)  # whole words, cut off at the end
    base = base_pictures(screens, blocks, setting.pixel, padded)
    frames = base.new_empty((clips, times, 3, padded.height_px, padded.width_px))
    step = max(1, FRAMES_AT_ONCE // times)
    for start in range(0, clips, step):
        some = slice(start, start + step)
        frames[some] = base[some, None]
        add_discs(
            frames[some],
            position[some],
            radius[some],
            color[some],
            present[some],
            screens[some],
            setting.pixel,
        )
    return frames[..., : setting.width_px].contiguous()


def add_discs(
    frames: UInt8[Tensor, "clip time 3 height width"],
    position: Float[Tensor, "clip time object 2"],
    radius: Float[Tensor, "clip object"],
    color: Float[Tensor, "clip object 3"],
    present: Bool[Tensor, "clip object"],
    screens: Float[Tensor, "clip screen 4"],
    pixel: float,
) -> None:
    """Add every disc to the frames, in place; the width is a whole number of words."""
    height, width = frames.shape[-2:]
    radius_px = torch.where(present, radius / pixel, 0.0)
    diameter = int(2 * float(radius_px.max() + EDGE_PX)) + 3
    rows, columns = min(height, diameter), min(width, -(-(diameter + WORD - 1) // WORD) * WORD)
    center = torch.where(present[:, None, :, None], position / pixel - 0.5, FAR_PX)
    # the upper left pixel of each disc's window: on a whole word, and all of it in the picture
    corner = (center - radius_px[:, None, :, None] - EDGE_PX).floor().clamp(min=0).to(torch.int64)
    left = (corner[..., 0] // WORD * WORD).clamp(max=width - columns)
    top = corner[..., 1].clamp(max=height - rows)
    alpha = disc_coverage(center, torch.stack([left, top], dim=-1), radius_px, rows, columns)
    screen_rows, screen_columns = (
        covered(screens[..., [1, 3]], height, pixel),
        covered(screens[..., [0, 2]], width, pixel),
    )
    for i in range(screens.shape[1]):
        across, down = window(screen_columns[:, i], left, columns), window(screen_rows[:, i], top, rows)
        alpha *= 1 - down[..., :, None] * across[..., None, :]
    ink = torch.where(present[:, :, None], (color - BACKGROUND) * 256 + 0.5, 0.0).to(torch.int64)
    added = tinted(alpha.to(torch.uint8).view(torch.int64)[:, :, :, None], ink[:, None, :, :, None, None])
    words = width // WORD
    grid = words * (
        torch.arange(3, device=left.device)[:, None, None] * height
        + torch.arange(rows, device=left.device)[:, None]
    ) + torch.arange(columns // WORD, device=left.device)
    index = (top * words + left // WORD)[..., None] + grid.flatten()
    canvas = frames.view(torch.int64).flatten(2).flatten(0, 1)  # (frame, channel x row x word)
    canvas.scatter_add_(1, index.flatten(2).flatten(0, 1), added.flatten(2).flatten(0, 1))


def disc_coverage(
    center: Float[Tensor, "clip time object 2"],
    corner: Int[Tensor, "clip time object 2"],
    radius_px: Float[Tensor, "clip object"],
    rows: int,
    columns: int,
) -> Float[Tensor, "clip time object row column"]:
    """How much of each pixel of the window at `corner` the disc covers: 0 to 255, and a half for rounding.

    The edge is a smooth step from `EDGE_PX` outside to `EDGE_PX` inside, which leaves so little to alias that
    the centroid keeps to a hundredth of a pixel (a step one pixel wide strays by three). It is drawn about a
    radius as much smaller as gives the disc its own area.
    """
    step = 2 * EDGE_PX  # lengths from here on are in steps
    pixels = torch.arange(max(rows, columns), device=center.device)
    # in float64 up to here, so that no rounding depends on where the window lies
    offset = ((corner[..., None] + pixels - center[..., None]) / step).to(torch.float32)
    x, y = offset[..., 0, :columns], offset[..., 1, :rows]
    distance = ((y * y)[..., :, None] + (x * x)[..., None, :]).sqrt_()
    radius = (radius_px * radius_px - EDGE_PX * EDGE_PX / 5).clamp(min=0).sqrt()
    edge = torch.where(radius_px > 0, radius / step + 0.5, 0.0).to(torch.float32)
    share = distance.neg_().add_(edge[:, None, :, None, None]).clamp_(0, 1)
    slope = (share * -510).add_(765)
    return slope.mul_(share).mul_(share).add_(0.5)


def tinted(alpha: Int[Tensor, "*#any"], ink: Int[Tensor, "*#any"]) -> Int[Tensor, "..."]:
    """Each of a word's eight bytes times ink / 256, rounded: even and odd bytes in turn, in 16-bit lanes."""
    even = ((alpha & EVEN_BYTES) * ink + HALVES) >> 8 & EVEN_BYTES
    odd = (((alpha >> 8) & EVEN_BYTES) * ink + HALVES) & ~EVEN_BYTES
    return even | odd


def window(
    line: Float[Tensor, "clip pixel"], start: Int[Tensor, "clip time object"], length: int
) -> Float[Tensor, "clip time object length"]:
    """The pixels of each clip's line from each start on."""
    index = start[..., None] + torch.arange(length, device=start.device)
    return line.to(torch.float32).gather(1, index.flatten(1)).reshape(index.shape)


STRIPS = 64


def visible_share(
    position: Float[Tensor, "clip time object 2"],
    radius: Float[Tensor, "clip object"],
    screens: Float[Tensor, "clip screen 4"],
    setting: Setting,
) -> Float[Tensor, "clip time object"]:
    """The share of each disc's area that is in the picture and behind no screen, to about 0.001.

    Exactly 0 where all is hidden and exactly 1 where none is. Screens must not overlap each other.
    """
    picture = screens.new_tensor([0.0, 0.0, WORLD_SIZE, setting.height]).expand(len(screens), 1, 4)
    boxes = torch.cat([picture, screens], dim=1)
    # each box in radii from each disc's centre: (clip, time, object, box)
    from_center = boxes.reshape(len(boxes), 1, 1, -1, 2, 2) - position[:, :, :, None, None]
    left, top, right, bottom = (from_center / radius[:, None, :, None, None, None]).flatten(-2).unbind(-1)
    inside = (left <= -1) & (right >= 1) & (top <= -1) & (bottom >= 1)
    outside = (left >= 1) | (right <= -1) | (top >= 1) | (bottom <= -1)
    share = inside.to(torch.float64)
    partly = ~(inside | outside)
    share[partly] = share_inside(left[partly], top[partly], right[partly], bottom[partly])
    shown = share[..., 0]
    for i in range(1, boxes.shape[1]):
        shown = shown - share[..., i]
    return shown.clamp(0, 1).to(torch.float32)


def share_inside(
    left: Float[Tensor, " disc"],
    top: Float[Tensor, " disc"],
    right: Float[Tensor, " disc"],
    bottom: Float[Tensor, " disc"],
) -> Float[Tensor, " disc"]:
    """The share of the unit disc inside each box, in upright strips as high as the disc at their middle."""
    width = 2 / STRIPS
    start = torch.arange(STRIPS, dtype=left.dtype, device=left.device) * width - 1
    half = (1 - (start + width / 2) ** 2).sqrt()
    across = torch.minimum(right[:, None], start + width) - torch.maximum(left[:, None], start)
    down = torch.minimum(bottom[:, None], half) - torch.maximum(top[:, None], -half)
    area = across.clamp(min=0) * down.clamp(min=0)
    whole = 2 * half * width
    while area.shape[1] > 1:  # the sum in one order whatever the batch
        area = area[:, ::2] + area[:, 1::2]
        whole = whole[::2] + whole[1::2]
    return area[:, 0] / whole
