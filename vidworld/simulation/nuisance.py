"""Nuisance: what nobody can predict and nothing follows from, laid over finished pictures, at levels 0, 1 and 2.

Three parts, each drawn anew by number for every frame: noise of the sensor, which is independent in every pixel and
channel; flicker of the whole picture's brightness; and rain, drops that fall behind everything else, where bare
background shows, for a few frames each. Level 0 leaves the picture as it is, to the bit.

A picture's nuisance is a pure function of the stream's name, the number of the clip, the number of the frame, and the
picture without it. Scenes do not depend on the level, so that the clips of one number differ by nuisance alone. The two
possible clips of a quadruplet have one stream and one number, so that

- the nuisance of a frame is that of its place in time, in all four clips. It goes on across a splice as it does
  elsewhere, and so tells nothing of what is possible;
- where A and B look the same without it, they look the same with it;
- a future has the same pixels after its own past as after the other's: target-matched surprise compares two pasts of
  one picture, nuisance included.

A texture is its static form: patches that stay where they are for a clip, of the split `textures`. It is a part of the
scene, which can be predicted; nuisance comes on top.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Int, Int16, UInt8
from torch import Tensor

from vidworld.core.clip import Frames
from vidworld.core.counter_rng import Draws, clip_streams, mix, shift_right
from vidworld.simulation import NuisanceLevel

BARE = 20  # bare background, in all channels, of 255
USUAL_PX = 64  # the width of a picture whose drops are one pixel wide
BYTES_OF_TWO = 0x00FF00FF00FF00FF  # every other byte of a word
TWO_BYTES_STD = 104.5  # of the sum of two bytes
LANES = 4  # sums of two bytes in a word


@dataclass(frozen=True)
class Drops:
    """Patches brighter than the background, of a picture as high as wide; sizes in pixels of one 64 wide."""

    count: int
    height: int
    width: int
    brightness: int  # the most that a drop adds, of 255; it adds half of that or more
    life: int  # frames after which a drop is another, elsewhere; 0: never
    fall: int  # pixels that a drop falls in a frame, at most; each at a speed of its own


@dataclass(frozen=True)
class Amplitudes:
    """How much of each part."""

    noise: float  # standard deviation of each channel of a pixel, of 255; a sum of two even numbers, bounded at 2.45
    flicker: float  # the largest change of brightness, as a share, up or down
    rain: Drops


AMPLITUDES = {
    1: Amplitudes(noise=4.0, flicker=0.04, rain=Drops(60, 3, 1, 50, life=4, fall=6)),
    2: Amplitudes(noise=6.0, flicker=0.08, rain=Drops(200, 3, 1, 80, life=4, fall=6)),
}
TEXTURE = Drops(90, 4, 4, 60, life=0, fall=0)


def add_nuisance(frames: Frames, name: str, numbers: Sequence[int], level: NuisanceLevel) -> Frames:
    """The frames with the nuisance of the clips of these numbers of the stream `name`: copies, or at level 0 they."""
    if level == 0:
        return frames
    amplitudes, noisy = AMPLITUDES[level], torch.empty_like(frames)
    streams = clip_streams(f"nuisance/{name}", numbers, frames.device)
    of_rain = mix(streams)
    for i in range(frames.shape[1]):  # frame by frame, which a cache holds
        picture = with_drops(frames[:, i], of_rain, i, amplitudes.rain).to(torch.int16)
        of_frame = mix(streams + mix(torch.tensor(i, device=frames.device)))
        gain = Draws(of_frame).uniform(-1.0, 1.0) * (256 * amplitudes.flicker)
        picture += picture * gain.round().to(torch.int16)[:, None, None, None] >> 8
        picture += _noise(of_frame, picture.shape[1:].numel(), amplitudes.noise).view(picture.shape)
        noisy[:, i] = picture.clamp_(0, 255).to(torch.uint8)
    return noisy


def add_texture(frames: Frames, name: str, numbers: Sequence[int]) -> None:
    """Lay the static texture of these clips behind everything else, in place."""
    streams = clip_streams(f"texture/{name}", numbers, frames.device)
    for i in range(frames.shape[1]):
        frames[:, i] = with_drops(frames[:, i], streams, i, TEXTURE)


def with_drops(
    pictures: UInt8[Tensor, "clip 3 height width"], streams: Int[Tensor, " clip"], frame: int, drops: Drops
) -> UInt8[Tensor, "clip 3 height width"]:
    """The pictures with what each stream's drops add, in this frame, to the pixels that show bare background."""
    clips, _, height, width = pictures.shape
    scale = max(1, width // USUAL_PX)
    place = torch.arange(-(-drops.count * height // width), device=streams.device)
    # Each drop's life ends at another frame. What it is follows from its number and from how many were there before.
    age, before = torch.zeros_like(place), torch.zeros_like(place)
    if drops.life:
        age, before = (frame + place) % drops.life, (frame + place) // drops.life
    bits = mix(streams[:, None] + mix(place + mix(before)))
    x, y, speed, light = (shift_right(bits, 16 * i) & 0xFFFF for i in range(4))  # each below 2^16
    left = x * width >> 16
    top = (y * height >> 16) + (age * speed * drops.fall * scale >> 16)
    added = drops.brightness + (light * drops.brightness >> 16) >> 1
    rows = (top[..., None] + torch.arange(drops.height * scale, device=streams.device)) % height
    columns = (left[..., None] + torch.arange(drops.width * scale, device=streams.device)) % width
    index = (rows[..., :, None] * width + columns[..., None, :]).flatten(1)
    light = added.to(torch.int32)[..., None].expand(-1, -1, index.shape[1] // len(place)).flatten(1)
    layer = light.new_zeros(clips, height * width).scatter_add_(1, index, light).clamp_(max=255 - BARE)
    bare = pictures[:, 0].maximum(pictures[:, 1]).maximum(pictures[:, 2]) == BARE  # nothing is darker than that
    return pictures + (layer.view(clips, height, width) * bare).to(pictures.dtype)[:, None]


def _noise(streams: Int[Tensor, " clip"], count: int, std: float) -> Int16[Tensor, "clip count"]:
    """Whole numbers of this deviation, each the sum of two even ones, `count` a stream."""
    bits = mix(streams[:, None] + _offsets(-(-count // LANES), streams.device))
    sums = (bits & BYTES_OF_TWO) + (shift_right(bits, 8) & BYTES_OF_TWO)
    centred = sums.view(torch.int16)[:, :count] - 255
    return centred * round(1024 * std / TWO_BYTES_STD) + 512 >> 10


@cache
def _offsets(count: int, device: torch.device) -> Int[Tensor, " word"]:
    """The hashes of so many numbers, beyond those that anything else of a frame is drawn by."""
    return mix(torch.arange(1 << 20, (1 << 20) + count, device=device))
