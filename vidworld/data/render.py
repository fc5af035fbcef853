"""Pictures of discs, blocks and screens: anti-aliased, and fast because each disc is drawn in a window of its own.

Screens and blocks stand still, so each clip has one base picture. A disc adds to it coverage x (colour - background)
x the share of the pixel that no screen hides. Discs do not overlap and the palette is nowhere darker than the
background, so the contributions add without overflow, and eight pixels can be added at a time as one integer.
"""

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from vidworld.data.stage import Setting

BACKGROUND = 20 / 255
"""Of the whole picture where there is nothing, all three channels."""
SCREEN_GRAY = 128 / 255
BLOCK_GRAY = 200 / 255

FRAMES_AT_ONCE = 512
"""A block's working set then stays in the processor's cache."""
WORDS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}


def covered(
    edges: Float[Tensor, "clip rectangle 2"], count: int, setting: Setting
) -> Float[Tensor, "clip rectangle pixel"]:
    """The share of each pixel of a row (or column) that lies between the two edges, in world units."""
    edge = edges / setting.pixel
    pixel = torch.arange(count, dtype=edges.dtype, device=edges.device)
    inside = torch.minimum(edge[..., 1:], pixel + 1) - torch.maximum(edge[..., :1], pixel)
    return inside.clamp(0, 1)


def rectangles(
    boxes: Float[Tensor, "clip rectangle 4"], setting: Setting
) -> tuple[Float[Tensor, "clip rectangle height"], Float[Tensor, "clip rectangle width"]]:
    """The coverage of each box (left, top, right, bottom) by row and by column; a pixel's is their product."""
    return covered(boxes[..., [1, 3]], setting.height_px, setting), covered(boxes[..., [0, 2]], setting.width_px, setting)


def base_pictures(
    screens: Float[Tensor, "clip screen 4"], blocks: Float[Tensor, "clip block 4"], setting: Setting
) -> UInt8[Tensor, "clip 3 height width"]:
    """Each clip's picture without discs: background, then blocks, then screens."""
    picture = screens.new_full((len(screens), setting.height_px, setting.width_px), BACKGROUND)
    for boxes, gray in ((blocks, BLOCK_GRAY), (screens, SCREEN_GRAY)):
        rows, columns = rectangles(boxes, setting)
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
    base = base_pictures(screens, blocks, setting)
    frames = torch.empty(
        (clips, times, 3, setting.height_px, setting.width_px), dtype=torch.uint8, device=position.device
    )
    step = max(1, FRAMES_AT_ONCE // times)
    for start in range(0, clips, step):
        some = slice(start, start + step)
        block = frames[some]
        block.copy_(base[some, None].expand_as(block))
        add_discs(
            block, position[some], radius[some], color[some], present[some], rectangles(screens[some], setting), setting
        )
    return frames


def add_discs(
    frames: UInt8[Tensor, "clip time 3 height width"],
    position: Float[Tensor, "clip time object 2"],
    radius: Float[Tensor, "clip object"],
    color: Float[Tensor, "clip object 3"],
    present: Bool[Tensor, "clip object"],
    screens: tuple[Float[Tensor, "clip screen height"], Float[Tensor, "clip screen width"]],
    setting: Setting,
) -> None:
    """Add every disc to the frames, in place."""
    height, width = setting.height_px, setting.width_px
    word = next(size for size in WORDS if width % size == 0)
    radius_px = torch.where(present, radius / setting.pixel, 0.0)
    diameter = int(2 * float(radius_px.max())) + 4
    rows = min(height, diameter)
    columns = min(width, -(-(diameter + word - 1) // word) * word)
    # (clip, time, object): the disc's centre in pixels and the upper left pixel of its window
    center = torch.where(present[:, None, :, None], position / setting.pixel - 0.5, -1e6)
    corner = (center - radius_px[:, None, :, None] - 1).floor().clamp(min=0).to(torch.int64)
    left = (corner[..., 0] // word * word).clamp(max=width - columns)
    top = corner[..., 1].clamp(max=height - rows)
    alpha = disc_coverage(center, torch.stack([left, top], dim=-1), radius_px, rows, columns)
    screen_rows, screen_columns = screens
    for i in range(screen_rows.shape[1]):
        hidden = window(screen_rows[:, i], top, rows)[..., :, None] * window(screen_columns[:, i], left, columns)[..., None, :]
        alpha *= 1 - hidden
    ink = torch.where(present[:, :, None], (color - BACKGROUND) * 255, 0.0).to(torch.float32)
    added = (alpha[:, :, :, None] * ink[:, None, :, :, None, None] + 0.5).to(torch.uint8)
    # the windows' words among the frame's (channel, row, word)
    words = width // word
    grid = (
        torch.arange(3, device=left.device)[:, None, None] * (height * words)
        + torch.arange(rows, device=left.device)[:, None] * words
        + torch.arange(columns // word, device=left.device)
    )
    index = (top * words + left // word)[..., None] + grid.flatten()
    frames.view(WORDS[word]).flatten(2).flatten(0, 1).scatter_add_(
        1, index.flatten(2).flatten(0, 1), added.view(WORDS[word]).flatten(2).flatten(0, 1)
    )


def disc_coverage(
    center: Float[Tensor, "clip time object 2"],
    corner: Int[Tensor, "clip time object 2"],
    radius_px: Float[Tensor, "clip object"],
    rows: int,
    columns: int,
) -> Float[Tensor, "clip time object row column"]:
    """The share of each pixel of the window at `corner` that the disc covers: a ramp one pixel wide at its edge."""
    offset = (corner - center).to(torch.float32)
    x = offset[..., 0, None] + torch.arange(columns, device=center.device)
    y = offset[..., 1, None] + torch.arange(rows, device=center.device)
    distance = ((y * y)[..., :, None] + (x * x)[..., None, :]).sqrt_()
    edge = (radius_px + 0.5).to(torch.float32)[:, None, :, None, None]
    return distance.neg_().add_(edge).clamp_(0, 1)


def window(
    line: Float[Tensor, "clip pixel"], start: Int[Tensor, "clip time object"], length: int
) -> Float[Tensor, "clip time object length"]:
    """The pixels of each clip's line from each start on."""
    index = start[..., None] + torch.arange(length, device=start.device)
    return line.to(torch.float32).gather(1, index.flatten(1)).reshape(index.shape)


STRIPS = 32


def visible_share(
    position: Float[Tensor, "clip time object 2"],
    radius: Float[Tensor, "clip object"],
    screens: Float[Tensor, "clip screen 4"],
    setting: Setting,
) -> Float[Tensor, "clip time object"]:
    """The share of each disc's area that is in the picture and behind no screen, to about 0.001.

    Exactly 0 where all is hidden and exactly 1 where none is. Screens must not overlap each other.
    """
    picture = position.new_tensor([0.0, 0.0, 10.0, setting.height]).expand(len(position), 4)
    shown = share_inside(position, radius, picture)
    for i in range(screens.shape[1]):
        shown = shown - share_inside(position, radius, screens[:, i])
    return shown.clamp(0, 1).to(torch.float32)


def share_inside(
    position: Float[Tensor, "clip time object 2"],
    radius: Float[Tensor, "clip object"],
    box: Float[Tensor, "clip 4"],
) -> Float[Tensor, "clip time object"]:
    """The share of each disc's area inside its clip's box: the disc cut into upright strips."""
    relative = (box.reshape(-1, 1, 1, 2, 2) - position[..., None, :]) / radius[:, None, :, None, None]
    left, top, right, bottom = relative.flatten(-2).unbind(-1)
    area = torch.zeros_like(left)
    whole = 0.0
    for i in range(STRIPS):
        start, width = 2 * i / STRIPS - 1, 2 / STRIPS
        half = (1 - (start + width / 2) ** 2) ** 0.5
        across = torch.minimum(right, left.new_tensor(start + width)) - left.clamp(min=start)
        down = bottom.clamp(max=half) - top.clamp(min=-half)
        area += across.clamp(min=0) * down.clamp(min=0)
        whole += width * 2 * half
    inside = (left <= -1) & (right >= 1) & (top <= -1) & (bottom >= 1)
    outside = (left >= 1) | (right <= -1) | (top >= 1) | (bottom <= -1)
    return torch.where(inside, 1.0, torch.where(outside, 0.0, area / whole))
