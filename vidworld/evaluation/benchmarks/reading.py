"""Videos of a benchmark as clips, read as its own evaluation reads them."""

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from vidworld.core.clip import Clips
from vidworld.core.errors import UserError
from vidworld.core.shapes import VideoFrames
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry
from vidworld.video.decode import Unreadable, open_video, read
from vidworld.video.source import Source

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


def clip_of(benchmark: Benchmark, entry: Entry, size_px: int | None = None) -> Clips:
    """The entry as one clip, read as its benchmark reads it, at another size where one is given. Raises UserError."""
    reading = benchmark.reading
    try:
        video, fps = (benchmark.decode or plain_video)(entry)
    except (Unreadable, OSError) as error:
        raise UserError(f"{entry.video}: {error}") from error
    shown = video[entry.first_frame :: reading.frame_step]
    if not len(shown):
        raise UserError(f"{entry.video}: has {len(video)} frames, none from frame {entry.first_frame} on")
    size = size_px or reading.size_px
    pictures = np.stack([_square(picture, size, reading.square) for picture in shown])
    frames = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())[None]
    rate = (reading.fps or fps) / reading.frame_step
    return Clips(frames, rate, (f"{benchmark.name}/{entry.identity}",))


def windows_of(clip: Clips, length: int, stride: int) -> Clips:
    """The clip's windows of `length` frames, `stride` apart, the last ending with it; UserError where it is shorter."""
    frames = clip.frames[0]
    if len(frames) < length:
        raise UserError(f"{clip.identity[0]}: shows {len(frames)} frames, and a window has {length}")
    last = len(frames) - length
    starts = sorted({*range(0, last + 1, stride), last})
    identity = tuple(f"{clip.identity[0]}/{start}" for start in starts)
    return Clips(torch.stack([frames[s : s + length] for s in starts]), clip.fps, identity)


def pictures_of(entry: Entry) -> list[Path]:
    """The pictures of an entry whose video is a folder: those that it needs, else all by name."""
    listed = [path for path in entry.needs if path.parent == entry.video]
    return listed or sorted(path for path in entry.video.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)


def plain_video(entry: Entry) -> tuple[VideoFrames, float]:
    """The frames of a video file or a folder of pictures, and their rate (NaN); raises Unreadable or OSError."""
    if not entry.video.is_dir():
        return video_of(Source(entry.video))
    pictures: list[np.ndarray] = []
    for path in pictures_of(entry):
        picture = cv2.imread(str(path))
        if picture is None:
            raise Unreadable(f"{path.name} is no picture")
        if pictures and picture.shape != pictures[0].shape:
            raise Unreadable(f"{path.name} is of another size than the picture before it")
        pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    if not pictures:
        raise Unreadable("holds no picture")
    return np.stack(pictures).astype(np.uint8), float("nan")


def video_of(source: Source) -> tuple[VideoFrames, float]:
    """All frames of a video at its own size, and their average rate. Raises Unreadable or OSError."""
    with source.opened() as path:
        video = open_video(path)
        mine = source.frames(video.times_s)
        pieces = list(read(video, min(video.height_px, video.width_px), mine))
    times = video.times_s[mine.start : mine.stop]
    span = float(times[-1] - times[0])
    fps = (len(times) - 1) / span if span > 0 else float("nan")
    return np.concatenate([piece.frames for piece in pieces]), fps


def _square(
    picture: UInt8[np.ndarray, "height width 3"], size_px: int, square: Literal["squeezed", "cropped"]
) -> UInt8[np.ndarray, "size size 3"]:
    if square == "cropped":
        side = min(picture.shape[:2])
        top, left = ((length - side) // 2 for length in picture.shape[:2])
        picture = picture[top : top + side, left : left + side]
    shrinks = size_px < min(picture.shape[:2])
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(picture, (size_px, size_px), interpolation=method).astype(np.uint8, copy=False)
