"""Clips as files that people look at: PNG pictures, strips of frames and MP4 videos."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor


def enlarged(frames: UInt8[Tensor, "*batch channel height width"], scale: int) -> UInt8[Tensor, "*batch channel h w"]:
    """The frames with each pixel repeated `scale` times in both directions."""
    return frames.repeat_interleave(scale, dim=-2).repeat_interleave(scale, dim=-1)


def write_mp4(path: str | Path, frames: UInt8[Tensor, "time 3 height width"], fps: float, scale: int = 1) -> Path:
    """The path, after writing the frames as H.264 in yuv420p, which every browser plays.

    An odd width or height is made even by repeating the last column or row, as the pixel format demands.
    """
    sides = (side * scale for side in frames.shape[-2:])
    rows, columns = (torch.arange(side + side % 2).clamp(max=side - 1) // scale for side in sides)
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "16", "preset": "medium"})
        stream.height, stream.width = len(rows), len(columns)
        stream.pix_fmt = "yuv420p"
        for frame in frames:  # one at a time: there may be many, and copies of them all take several times as much
            picture = frame[:, rows[:, None], columns].permute(1, 2, 0).contiguous().cpu().numpy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return Path(path)


def write_png(path: str | Path, frame: UInt8[Tensor, "3 height width"], scale: int = 1) -> Path:
    Image.fromarray(enlarged(frame, scale).permute(1, 2, 0).contiguous().cpu().numpy()).save(path)
    return Path(path)


def filmstrip(frames: UInt8[Tensor, "time 3 height width"], gap_px: int = 1) -> UInt8[Tensor, "3 height length"]:
    """All frames in one row, a light line between neighbours."""
    line = frames.new_full((3, frames.shape[2], gap_px), 230)
    row = [part for frame in frames for part in (frame, line)]
    return torch.cat(row[:-1], dim=2)


def stacked(rows: Sequence[UInt8[Tensor, "time 3 height width"]], gap_px: int = 2) -> UInt8[Tensor, "3 heights length"]:
    """Strips of frames below each other, a light line between neighbours."""
    strips = [filmstrip(row) for row in rows]
    line = strips[0].new_full((3, gap_px, strips[0].shape[2]), 230)
    return torch.cat([part for strip in strips for part in (strip, line)][:-1], dim=1)
