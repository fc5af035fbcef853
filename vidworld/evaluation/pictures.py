"""Predicted pictures beside ideal ones: what the metrics of pictures (`metrics/appearance`) are computed from.

The ideal picture has the true scene (what the true clip shows where no disc is) and the true discs at the places where
the *prediction* has them, behind the scene's screens and blocks. Each pixel in which the prediction differs from it
belongs to the nearest disc, or to the scene.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from vidworld.core.clip import Frames, Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.metrics.appearance import Pictures
from vidworld.simulation.simulated import BACKGROUND, EDGE_PX, FAR_PX, SCREEN_GRAY, disc_coverage
from vidworld.simulation.tracker import FAINT, OFF_COLOUR

NEAR_RADII = 1.5  # from its centre within which a pixel is an object's, and at least
NEAR_EDGE_PX = 3.0  # so far from its edge
STEPS = 6  # at most, in which a disc's place is found, each a few times nearer than the one before
SETTLED_PX = 0.02  # a step that is no longer than this was the last
GRAY = (BACKGROUND + SCREEN_GRAY) / 2 * 255  # above which all channels of a screen are, but not all of a disc's colour
WITHIN_PX = 2  # from the edges of screens and blocks, where one looks for what shows through
CLIPS_AT_ONCE = 8  # clips: what is computed together stays in the processor's cache

_Shown = Float[Tensor, "clip time 3 height width"]  # in grey levels, 0 to 255
_Places = Float[Tensor, "clip time object 2"]  # in pixels; NaN for none


class Scene(NamedTuple):
    """What stands still in a clip."""

    plate: Float[Tensor, "clip 3 height width"]  # without discs, in grey levels
    opacity: Float[Tensor, "clip height width"]  # 1 where a screen or block hides all that is behind it


def beside_ideal(
    future: Frames,
    predicted: Tracks,
    true_frames: UInt8[Tensor, "clip whole channel height width"],
    truth: Tracks,
    scene: Scene,
    start: int,
) -> Pictures:
    """Predicted frames from `start` on beside the true ones of the whole clips, whose scene is `scene_of` these."""
    parts = []
    for first in range(0, len(future), CLIPS_AT_ONCE):
        some = slice(first, first + CLIPS_AT_ONCE)
        still = Scene(*(each[some] for each in scene))
        tracks, true = (each.at(some).between(start, start + future.shape[1]) for each in (predicted, truth))
        frames = future[some].float()
        parts.append((*_remainder(frames, tracks, true, still), *_through(frames, true, still)))
    measured = map(torch.cat, zip(*parts, strict=True))
    return Pictures(future, predicted, true_frames, truth, start, *measured)


def scene_of(true_frames: Frames, truth: Tracks) -> Scene:
    """What the true clip shows where no disc is, and how much of each pixel hides what is behind it.

    Where a disc is in every frame, there is the background behind it, or what hides it: that is gray.
    """
    frames, width = true_frames.float(), true_frames.shape[-1]
    free = torch.ones_like(true_frames[:, :, 0], dtype=torch.bool)
    places = truth.position.float() * (width / WORLD_SIZE)
    for i, radius in enumerate(_looks(truth, width)[1].unbind(dim=1)):
        free &= _distance(places[:, :, i], *true_frames.shape[-2:]) > radius[:, None, None, None] + EDGE_PX + 0.5
    count = free.sum(dim=1)[:, None]
    darkest = frames.amin(dim=1)
    behind = torch.where(darkest.amin(dim=1, keepdim=True) > GRAY, darkest, BACKGROUND * 255)
    plate = torch.where(count > 0, (frames * free[:, :, None]).sum(dim=1) / count.clamp_min(1), behind)
    opacity = (plate.mean(dim=1) / 255 - BACKGROUND) / (SCREEN_GRAY - BACKGROUND)
    return Scene(plate, opacity.clamp(0, 1))


def _remainder(
    frames: _Shown, predicted: Tracks, truth: Tracks, scene: Scene
) -> tuple[Float[Tensor, "clip time object"], Float[Tensor, " clip"]]:
    """How much of each object is right, and how far the scene is off, where the ideal pictures are taken away."""
    plate, opacity = scene
    here, radius, color = _looks(truth, frames.shape[-1])
    found = predicted.position[:, :, : here.shape[1]].float() * (frames.shape[-1] / WORLD_SIZE)
    places = settled(frames, found, radius, color, scene)
    remains = _remains(frames, torch.where(here[:, None, :, None], places, FAR_PX), color)
    discs = (~remains.isnan().any(dim=-1) | ~places.isnan().any(dim=-1)).nonzero(as_tuple=True)
    clip, time, disc = discs
    is_found = ~places[discs].isnan().any(dim=-1)
    place, r = torch.where(is_found[:, None], places[discs], remains[discs]), radius[clip, disc]

    window = _Window.about(place, radius.amax(), frames)
    pixel = ((clip * frames.shape[1] + time) * frames[0, 0, 0].numel())[:, None, None] + window.pixel
    behind = plate.movedim(1, -1).flatten(1, 2)[clip[:, None, None], window.pixel]  # (disc, row, column, 3)
    hides = opacity.flatten(1)[clip[:, None, None], window.pixel]
    share = disc_shares(window.dx[:, None, None], window.dy[:, None, None], r[:, None])[:, 0, 0]
    share = share * (1 - hides) * (window.inside & is_found[:, None, None])
    ink = share[..., None] * (color[clip, disc][:, None, None] - behind)
    left = (frames - plate[:, None]).movedim(2, -1).flatten(0, 3).index_add(0, pixel.flatten(), -ink.flatten(0, 2))
    off = _squared(left)

    beyond = (window.distance - r[:, None, None]) / (r * (NEAR_RADII - 1)).clamp_min(NEAR_EDGE_PX)[:, None, None]
    beyond = beyond.masked_fill(~window.inside | (hides > 0.5), torch.inf)
    nearest = torch.full_like(off, torch.inf).scatter_reduce(0, pixel.flatten(), beyond.flatten(), "amin")
    mine = (beyond <= 1) & (beyond == nearest[pixel])
    wrong, whole = (off.sqrt()[pixel] * mine).sum(dim=(1, 2)), _squared(ink).sqrt().sum(dim=(1, 2))
    intact = torch.zeros_like(places[..., 0])
    intact[discs] = torch.where(whole > 0, 1 - wrong / whole.clamp_min(1e-6), 0.0).clamp_min(0)
    alone = (nearest > 1).view(len(frames), -1)
    mean = (off.view(len(frames), -1) * alone).sum(dim=1) / (3 * alone.sum(dim=1)).clamp_min(1)
    return intact, mean.sqrt()


def _through(frames: _Shown, truth: Tracks, scene: Scene) -> tuple[Float[Tensor, " clip"], Float[Tensor, " clip"]]:
    """Areas in pixels: of discs' colours on screens and blocks, and of what these truly hide of discs."""
    plate, opacity = scene
    here, radius, color = _looks(truth, frames.shape[-1])
    # What lies just within an edge may show something of what is beside it, in a picture that is not quite sharp.
    inside = -F.max_pool2d(-F.pad(opacity, [WITHIN_PX] * 4, mode="replicate"), 2 * WITHIN_PX + 1, stride=1) > 0.99
    left = frames - plate[:, None]
    left, color = left - left.mean(dim=2, keepdim=True), color - color.mean(dim=2, keepdim=True)
    places = truth.position.float() * (frames.shape[-1] / WORLD_SIZE)
    shows, hidden = torch.zeros_like(left[:, :, 0]), torch.zeros_like(left[:, :, 0])
    for i, r in enumerate(radius.unbind(dim=1)):
        line = color[:, i] / color[:, i].square().sum(dim=1, keepdim=True) * here[:, i, None]
        ink = torch.einsum("btchw, bc -> bthw", left, line)
        shows = torch.maximum(shows, ink.clamp(0, 1))
        hidden = torch.maximum(hidden, _coverage(places[:, :, i], r, *frames.shape[-2:]))
    shown, hides = ((each * inside[:, None]).sum(dim=(1, 2, 3)) for each in (shows, hidden))
    return shown, hides


def _looks(truth: Tracks, width: int) -> tuple[Bool[Tensor, "clip object"], Float[Tensor, "clip object"], Tensor]:
    """Whether a disc is there, its radius in pixels and its colour (clip, object, 3) in grey levels."""
    return truth.present.any(dim=1), truth.radius.float() * (width / WORLD_SIZE), truth.color.float() * 255


def _remains(frames: Tensor, places: _Places, color: Float[Tensor, "clip object 3"]) -> _Places:
    """The middle of what shows of discs that have no place (mostly of such as are nearly hidden); NaN for nothing."""
    clip, time, disc = places.isnan().any(dim=-1).nonzero(as_tuple=True)
    remains = torch.full_like(places, torch.nan)
    if len(clip):
        ink = _ink(frames[clip, time].movedim(1, -1), color[clip, disc])
        x, y = (torch.arange(side).expand(len(clip), -1) + 0.5 for side in (ink.shape[2], ink.shape[1]))
        seen = (ink.sum(dim=(1, 2)) > 0)[:, None]
        remains[clip, time, disc] = torch.where(seen, _middle(ink, x, y), torch.nan)
    return remains


def settled(
    frames: _Shown,
    found: _Places,
    radius: Float[Tensor, "clip object"],
    color: Float[Tensor, "clip object 3"],
    scene: Scene,
) -> _Places:
    """The places of discs which, drawn in the scene, have their ink where the frames have it near the place found.

    A disc that is partly hidden, or partly out of the picture, lies elsewhere than the middle of what shows of it; and
    what is far from it does not move it.
    """
    places, every = found.clone(), frames.movedim(2, -1).flatten(2, 3)
    clip, time, disc = found.isfinite().all(dim=-1).nonzero(as_tuple=True)
    for _ in range(STEPS):
        place, r, paint, of = places[clip, time, disc], radius[clip, disc], color[clip, disc], clip[:, None, None]
        window = _Window.about(place, radius.amax(), frames)
        near = window.inside & (window.distance < (NEAR_RADII * r)[:, None, None])
        shown = every[of, time[:, None, None], window.pixel]
        plate = scene.plate.movedim(1, -1).flatten(1, 2)[of, window.pixel]
        share = disc_shares(window.dx[:, None, None], window.dy[:, None, None], r[:, None])[:, 0, 0]
        share = share * (1 - scene.opacity.flatten(1)[of, window.pixel])
        drawn = plate + share[..., None] * (paint[:, None, None] - plate)
        middle, expected = (_middle(_ink(each, paint) * near, window.dx, window.dy) for each in (shown, drawn))
        places[clip, time, disc] = place + middle - expected
        moved = (middle - expected).abs().amax(dim=1) > SETTLED_PX
        clip, time, disc = clip[moved], time[moved], disc[moved]
    return places


class _Window(NamedTuple):
    """The pixels about each disc, as many as belong to the largest."""

    pixel: Int[Tensor, "disc row column"]  # its number in the picture; of one outside it that of the nearest inside
    inside: Bool[Tensor, "disc row column"]
    dx: Float[Tensor, "disc column"]  # from the disc's centre to the pixel's middle
    dy: Float[Tensor, "disc row"]

    @property
    def distance(self) -> Float[Tensor, "disc row column"]:
        return (self.dx.square()[:, None] + self.dy.square()[:, :, None]).sqrt()

    @staticmethod
    def about(place: Float[Tensor, "disc 2"], largest: Tensor, frames: Tensor) -> "_Window":
        height, width = frames.shape[-2:]
        reach = int(min(max(NEAR_RADII * float(largest), float(largest) + NEAR_EDGE_PX), max(height, width))) + 1
        offset = torch.arange(2 * reach + 1) - reach
        columns, rows = (each.floor().long()[:, None] + offset for each in place.unbind(dim=1))
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
        pixel = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None]
        return _Window(pixel, inside, columns + 0.5 - place[:, :1], rows + 0.5 - place[:, 1:])


def _squared(vector: Float[Tensor, "*any 3"]) -> Float[Tensor, "*any"]:
    """Each vector's length, squared: three times as fast as a sum over so short an axis."""
    return vector.square() @ vector.new_ones(3)


def _ink(
    picture: Float[Tensor, "disc row column 3"], paint: Float[Tensor, "disc 3"]
) -> Float[Tensor, "disc row column"]:
    """How much of a disc of this colour each pixel shows, as the tracker weighs it."""
    line, above = paint - BACKGROUND * 255, picture - BACKGROUND * 255
    squared = _squared(line)[:, None, None]
    share = (above.flatten(1, 2) @ line[..., None]).view(above.shape[:3]) / squared
    off = _squared(above) / squared - share.square()
    return share.clamp(0, 1) * ((off < (OFF_COLOUR * share).square()) & (share > FAINT))


def _middle(
    ink: Float[Tensor, "disc row column"], dx: Float[Tensor, "disc column"], dy: Float[Tensor, "disc row"]
) -> Float[Tensor, "disc 2"]:
    """Where the middle of the ink is, from the place; 0 where there is none."""
    total = ink.sum(dim=(1, 2)).clamp_min(1e-6)
    return torch.stack([(ink.sum(dim=1) * dx).sum(dim=1), (ink.sum(dim=2) * dy).sum(dim=1)], dim=1) / total[:, None]


def _distance(place: Float[Tensor, "clip time 2"], height: int, width: int) -> Float[Tensor, "clip time height width"]:
    """Of each pixel's middle from the place, in pixels; far for no place."""
    place = place.nan_to_num(FAR_PX)
    x, y = torch.arange(width) + 0.5 - place[..., :1], torch.arange(height) + 0.5 - place[..., 1:]
    return (x.square()[..., None, :] + y.square()[..., None]).sqrt()


def _coverage(
    place: Float[Tensor, "clip time 2"], radius: Float[Tensor, " clip"], height: int, width: int
) -> Float[Tensor, "clip time height width"]:
    place = place.nan_to_num(FAR_PX)
    dx, dy = torch.arange(width) + 0.5 - place[..., :1], torch.arange(height) + 0.5 - place[..., 1:]
    return disc_shares(dx[:, :, None], dy[:, :, None], radius[:, None])[:, :, 0]


def disc_shares(
    dx: Float[Tensor, "clip time object column"],
    dy: Float[Tensor, "clip time object row"],
    radius: Float[Tensor, "clip object"],
) -> Float[Tensor, "clip time object row column"]:
    """The share of each pixel that a disc covers, as the simulator draws it; distances in pixels from its centre."""
    edge = (radius.square() - EDGE_PX**2 / 5).clamp_min(0).sqrt() / (2 * EDGE_PX) + 0.5
    return disc_coverage(dx / (2 * EDGE_PX), dy / (2 * EDGE_PX), edge).floor() / 255
