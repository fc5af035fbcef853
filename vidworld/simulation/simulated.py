"""Simulated clips by number, and their pictures: nothing on disk, any worker or rank makes any clip.

Pictures are anti-aliased, and fast because each disc has a window of its own. Screens and blocks stand still, so each
clip has one base picture. A disc adds to it coverage x (colour - background) x the share of the pixel that no screen
hides. Discs do not overlap and the palette is nowhere darker than the background, so the contributions add without
overflow, eight pixels at a time as one integer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from vidworld.core.clip import Clips, Frames, Tracks
from vidworld.core.clip_shape import WORLD_SIZE, ClipShape
from vidworld.core.counter_rng import public
from vidworld.core.errors import UserError
from vidworld.core.hardware import in_threads
from vidworld.simulation import SCENARIOS, NuisanceLevel
from vidworld.simulation.chance import OWN_FUTURE, Again, Happening
from vidworld.simulation.discs import Scenes, simulate
from vidworld.simulation.nuisance import BARE, add_nuisance, add_texture
from vidworld.simulation.stage import Scenario, joined, sample_scenes

SPLITS = ("train", "val", "id", "ood", "recombined", "hole", "more", "textures")
"""`train`, `val` and `id` draw from the same ranges with different numbers, `ood` from outside them; in
`recombined` some disc is as fast and as large as only different discs are in the first three, and in `hole` one has a
speed that the first three leave out. `more` has more discs than these, `textures` a background that is not plain; both
draw from the ranges of the first three."""
MAX_IN_A_BLOCK = 64  # clips that one thread of a CPU makes at a time
BACKGROUND = BARE / 255  # of the whole picture where there is nothing, all three channels
SCREEN_GRAY = 128 / 255
BLOCK_GRAY = 200 / 255
FRAMES_AT_ONCE = 128  # what is drawn together stays in the processor's cache
WORD = 8  # pixels in a word of 64 bits
EVEN_BYTES = 0x00FF00FF
EDGE_PX = 1.2  # how far on either side of its circle a disc fades
FAR_PX = -1e4  # where discs that are absent would be drawn
STRIPS = 64  # of a disc whose visible share is summed

_Places = Float[Tensor, "clip time object 2"]
Radii = Float[Tensor, "clip object"]
Boxes = Float[Tensor, "clip _ 4"]  # (left, top, right, bottom) of screens or blocks
Rows = Float[Tensor, "clip time object row"]
Columns = Float[Tensor, "clip time object column"]
Edges = Float[Tensor, " disc"]


def check_split(name: str) -> None:
    """Raise UserError if there is no such split."""
    if name not in SPLITS:
        raise UserError(f"there is no split {name!r}; there are {', '.join(SPLITS)}")


class SimulatedClips:
    """A ClipSource: clip `i` is a function of (scenario, split, seed, i) and how it is rendered, nuisance included.

    seed: a number, or "0+SECRET" for clips that nobody without the secret can make again; names have its digest.
    A call costs some milliseconds whatever it asks for: a hundred clips at a time are made four times as fast as ten.
    `called` is what identities have in place of the split, where clips of one split are of several shapes. `again`:
    another future of the same contexts, or another level of what is left to chance, in a scenario that has any.
    """

    def __init__(
        self,
        scenario: str,
        split: str,
        seed: int | str = 0,
        length: int = 100_000,
        shape: ClipShape = ClipShape(),
        device: torch.device | str = "cpu",
        nuisance: NuisanceLevel = 0,
        called: str = "",
        again: Again = OWN_FUTURE,
    ) -> None:
        SCENARIOS.check([scenario])
        check_split(split)
        self.stream = f"{scenario}/{split}/{seed}"
        self.name = f"{scenario}/{with_level(called or split, nuisance)}/{seed}"
        self.scenario, self.split, self.length = scenario, split, length
        self.shape, self.device, self.nuisance, self.again = shape, torch.device(device), nuisance, again

    def __len__(self) -> int:
        return self.length

    def clips(self, indices: Sequence[int]) -> Clips:
        """The clips of these numbers."""
        for index in indices:
            if not 0 <= index < self.length:
                raise IndexError(f"{public(self.name)} has clips 0 to {self.length - 1}, not {index}")
        identities, drawn_by = self.identities(indices), SCENARIOS[self.scenario]
        how = (self.shape, self.split, self.device, self.nuisance, self.again)
        (clips,) = simulated(drawn_by, self.stream, indices, [identities], *how)
        return clips

    def identities(self, indices: Sequence[int]) -> tuple[str, ...]:
        """What the clips of these numbers are called."""
        return tuple(f"{public(self.name)}/{index}" for index in indices)


LEVEL_MARK = "_nuisance_"


def with_level(split: str, nuisance: NuisanceLevel) -> str:
    """What the identities of clips say of their split: with its level of nuisance, where there is any."""
    return f"{split}{LEVEL_MARK}{nuisance}" if nuisance else split


def simulated(
    scenario: Scenario,
    name: str,
    indices: Sequence[int],
    identities: Sequence[tuple[str, ...]],
    setting: ClipShape,
    split: str,
    device: torch.device,
    nuisance: NuisanceLevel = 0,
    again: Again = OWN_FUTURE,
) -> list[Clips]:
    """The clips of these numbers of the stream `name`: of each world that the samplers draw, with its identities.

    All worlds of a number have the same texture, where the split has any, and the same nuisance.
    """
    shape = (len(indices), setting.num_frames, 3, setting.height_px, setting.width_px)
    clean = [torch.empty(shape, dtype=torch.uint8, device=device) for _ in identities]
    frames = [torch.empty_like(each) for each in clean] if nuisance else clean
    blocks = -(-len(indices) // MAX_IN_A_BLOCK) if device.type == "cpu" else 1
    size = -(-len(indices) // blocks)

    def make(start: int) -> list[Tracks]:
        some = slice(start, start + size)
        worlds = sample_scenes(scenario, name, indices[some], setting, split, device)
        chance = scenario.chance
        happening = None if chance is None else Happening.of(chance, name, indices[some], device, again)
        each = zip(worlds, clean, strict=True)
        tracks = [render_scenes(scenes, setting, out[some], happening) for scenes, out in each]
        for out, shown in zip(clean, frames, strict=True):
            if split == "textures":
                add_texture(out[some], name, indices[some])
            if happening is not None:
                happening.paint(out[some])
            if nuisance:
                shown[some] = add_nuisance(out[some], name, indices[some], nuisance)
        return tracks

    starts = range(0, len(indices), size)
    parts = in_threads(make, starts) if device.type == "cpu" else [make(0)]
    tracks = [joined(of_world) for of_world in zip(*parts, strict=True)]
    made = zip(frames, identities, tracks, clean if nuisance else [None] * len(clean), strict=True)
    return [Clips(out, setting.fps, *each) for out, *each in made]


def render_scenes(scenes: Scenes, setting: ClipShape, out: Frames, happening: Happening | None = None) -> Tracks:
    """The true tracks of these scenes, whose frames go to `out`; `happening` is what chance adds."""
    if happening is None:
        times_s = torch.arange(setting.num_frames, dtype=torch.float64, device=out.device) / setting.fps
        motion = simulate(scenes, times_s)
    else:
        scenes = happening.shown(scenes, setting)
        motion = happening.motion(scenes, setting)
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


def covered(edges: Float[Tensor, "clip box 2"], count: int, pixel: float) -> Float[Tensor, "clip box pixel"]:
    """The share of each pixel of a row (or column) that lies between the two edges, in world units."""
    edge = edges / pixel
    number = torch.arange(count, dtype=edges.dtype, device=edges.device)
    inside = torch.minimum(edge[..., 1:], number + 1) - torch.maximum(edge[..., :1], number)
    return inside.clamp(0, 1)


def base_pictures(
    screens: Boxes, blocks: Boxes, pixel: float, setting: ClipShape
) -> UInt8[Tensor, "clip 3 height width"]:
    """Each clip's picture without discs: background, then blocks, then screens."""
    picture = torch.full((len(screens), setting.height_px, setting.width_px), BACKGROUND, device=screens.device)
    for boxes, gray in ((blocks, BLOCK_GRAY), (screens, SCREEN_GRAY)):
        rows = covered(boxes[..., [1, 3]], setting.height_px, pixel).to(torch.float32)
        columns = covered(boxes[..., [0, 2]], setting.width_px, pixel).to(torch.float32)
        for i in range(boxes.shape[1]):
            share = rows[:, i, :, None] * columns[:, i, None, :]
            picture = picture + share * (gray - picture)
    return (picture * 255 + 0.5).to(torch.uint8)[:, None].expand(-1, 3, -1, -1)


def render_discs(
    position: _Places,
    radius: Radii,
    color: Float[Tensor, "clip object 3"],
    present: Bool[Tensor, "clip object"],
    screens: Boxes,
    blocks: Boxes,
    setting: ClipShape,
    out: Frames | None = None,
) -> Frames:
    """The frames, in `out` if it is given; discs may be partly or wholly out of the picture."""
    clips, times = position.shape[:2]
    padded = replace(setting, width_px=-(-setting.width_px // WORD) * WORD)  # whole words, cut off at the end
    base = base_pictures(screens, blocks, setting.pixel, padded)
    windows = place_windows(position, torch.where(present, radius, 0.0), screens, setting.pixel, padded)
    ink = torch.where(present[:, :, None], (color - BACKGROUND) * 255 + 1.5, 0.0).to(torch.int32)
    ink = ink[:, None, :, :, None, None]
    if out is None:
        out = base.new_empty((clips, times, 3, setting.height_px, setting.width_px))
    frames = out if padded == setting else base.new_empty((clips, times, 3, padded.height_px, padded.width_px))
    step = max(1, FRAMES_AT_ONCE // times)
    for start in range(0, clips, step):
        some = slice(start, start + step)
        frames[some] = base[some, None]
        alpha = disc_coverage(windows.x[some], windows.y[some], windows.edge[some])
        for down, across in windows.hidden:
            alpha *= 1 - down[some, ..., :, None] * across[some, ..., None, :]
        added = tinted(alpha.to(torch.uint8).view(torch.int32)[:, :, :, None], ink[some]).view(torch.int64)
        index = windows.first_word[some, ..., None] + windows.words
        canvas = frames[some].view(torch.int64).flatten(2).flatten(0, 1)  # (frame, channel x row x word)
        canvas.scatter_add_(1, index.flatten(2).flatten(0, 1), added.flatten(2).flatten(0, 1))
    return out if frames is out else out.copy_(frames[..., : setting.width_px])


@dataclass(frozen=True)
class PixelWindows:
    """The part of the picture in which each disc is drawn: whole words, and nowhere outside the picture."""

    x: Columns  # each column's distance from the disc's centre, as `y` each row's, in steps of 2 `EDGE_PX`
    y: Rows
    edge: Radii  # where a disc's edge ends, in steps from its centre
    first_word: Int[Tensor, "clip time object"]  # upper left in the frame; the others are `words` further on
    words: Int[Tensor, " word"]
    hidden: list[tuple[Rows, Columns]]  # each screen's coverage of rows and columns; that of a pixel is their product


def place_windows(position: _Places, radius: Radii, screens: Boxes, pixel: float, picture: ClipShape) -> PixelWindows:
    """A window about each disc, all as large as the largest disc needs; radius 0 for none."""
    height, width = picture.height_px, picture.width_px
    radius_px = radius / pixel
    diameter = int(2 * float(radius_px.max() + EDGE_PX)) + 3
    rows, columns = min(height, diameter), min(width, -(-(diameter + WORD - 1) // WORD) * WORD)
    there = radius > 0
    center = torch.where(there[:, None, :, None], position / pixel - 0.5, FAR_PX)
    corner = (center - radius_px[:, None, :, None] - EDGE_PX).floor().clamp(min=0).to(torch.int64)
    left = (corner[..., 0] // WORD * WORD).clamp(max=width - columns)
    top = corner[..., 1].clamp(max=height - rows)
    pixels = torch.arange(max(rows, columns), device=position.device)
    # in float64 up to here, so that no rounding depends on where the window lies
    x = (left[..., None] + pixels[:columns] - center[..., :1]) / (2 * EDGE_PX)
    y = (top[..., None] + pixels[:rows] - center[..., 1:]) / (2 * EDGE_PX)
    # a smooth step adds EDGE_PX^2 / 5 to a disc's squared radius: with as much less it has its own area
    drawn_px = (radius_px * radius_px - EDGE_PX * EDGE_PX / 5).clamp(min=0).sqrt()
    edge = torch.where(there, drawn_px / (2 * EDGE_PX) + 0.5, 0.0)
    channel_row = torch.arange(3, device=position.device)[:, None] * height + pixels[:rows]
    words = channel_row[..., None] * (width // WORD) + pixels[: columns // WORD]
    first_word = top * (width // WORD) + left // WORD
    down, across = covered(screens[..., [1, 3]], height, pixel), covered(screens[..., [0, 2]], width, pixel)
    hidden = [(cut(down[:, i], top, rows), cut(across[:, i], left, columns)) for i in range(screens.shape[1])]
    exact = (x.to(torch.float32), y.to(torch.float32), edge.to(torch.float32))
    return PixelWindows(*exact, first_word, words.flatten(), hidden)


def cut(
    line: Float[Tensor, "clip pixel"], start: Int[Tensor, "clip time object"], length: int
) -> Float[Tensor, "clip time object length"]:
    """The pixels of each clip's line from each start on."""
    index = start[..., None] + torch.arange(length, device=start.device)
    return line.to(torch.float32).gather(1, index.flatten(1)).reshape(index.shape)


def disc_coverage(x: Columns, y: Rows, edge: Radii) -> Float[Tensor, "clip time object row column"]:
    """How much of each pixel of its window a disc covers: 0 to 255, and a half for rounding.

    The edge is a smooth step from `EDGE_PX` outside to `EDGE_PX` inside: the centroid keeps to a hundredth of a pixel
    (a step one pixel wide strays by three).
    """
    share = ((y * y)[..., :, None] + (x * x)[..., None, :]).sqrt_()
    torch.sub(edge[:, None, :, None, None], share, out=share).clamp_(0, 1)
    return (share * -510).add_(765).mul_(share).mul_(share).add_(0.5)


def tinted(alpha: Int[Tensor, "*#any"], ink: Int[Tensor, "*#any"]) -> Int[Tensor, "..."]:
    """Each of an integer's four bytes times ink / 256: even and odd bytes in turn, in lanes of 16 bits."""
    even = ((alpha & EVEN_BYTES) * ink) >> 8 & EVEN_BYTES
    odd = ((alpha >> 8 & EVEN_BYTES) * ink) & ~EVEN_BYTES
    return even | odd


def visible_share(
    position: _Places, radius: Radii, screens: Boxes, setting: ClipShape
) -> Float[Tensor, "clip time object"]:
    """The share of each disc's area that is in the picture and behind no screen, to about 0.001, exactly 0 or 1 where
    all or none is hidden. Screens must not overlap each other."""
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


def share_inside(left: Edges, top: Edges, right: Edges, bottom: Edges) -> Edges:
    """The share of the unit disc inside each box, in upright strips as high as the disc at their middle."""
    width = 2 / STRIPS
    start = torch.arange(STRIPS, dtype=left.dtype, device=left.device) * width - 1
    half = (1 - (start + width / 2) ** 2).sqrt()
    across = torch.minimum(right[:, None], start + width) - torch.maximum(left[:, None], start)
    down = torch.minimum(bottom[:, None], half) - torch.maximum(top[:, None], -half)
    areas = torch.cat([across.clamp(min=0) * down.clamp(min=0), (2 * half * width)[None]])  # last that of the disc
    while areas.shape[1] > 1:  # the sum in one order whatever the batch
        areas = areas[:, ::2] + areas[:, 1::2]
    return areas[:-1, 0] / areas[-1]
