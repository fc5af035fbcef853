"""Small pictures and videos of two discs."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

SIZE, FRAMES, CONTEXT = 64, 16, 8


def discs(centres: list[tuple[float, float, tuple[int, int, int]]], screen: tuple[int, int] | None) -> np.ndarray:
    """One picture (height, width, 3) with discs of 7 px and perhaps a screen between two columns."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    picture = np.full((SIZE, SIZE, 3), 245.0)
    for cx, cy, color in centres:
        share = np.clip(7.5 - np.hypot(x - cx, y - cy), 0, 1)[..., None]
        picture = picture * (1 - share) + np.array(color) * share
    if screen:
        picture[8:56, screen[0] : screen[1]] = (120, 125, 135)
    return picture.round().astype(np.uint8)


def video(speed: float, wobble: float, there: Callable[[int], bool], screen: tuple[int, int] | None) -> np.ndarray:
    """FRAMES pictures of a red disc that moves right and a blue one that rests."""
    rng = np.random.default_rng(0)
    pictures = []
    for frame in range(FRAMES):
        shift = wobble * rng.standard_normal() if frame >= CONTEXT else 0.0
        centres = [(52.0, 14.0, (40, 90, 220))]
        if there(frame):
            centres.append((8 + speed * frame + shift, 34 + shift, (220, 50, 40)))
        pictures.append(discs(centres, screen))
    return np.stack(pictures)


def joined(frames: np.ndarray) -> np.ndarray:
    """The frames (time, height, width, 3) in one row, a light line of one pixel between neighbours."""
    line = np.full((SIZE, 1, 3), 230, np.uint8)
    return np.concatenate([part for frame in frames for part in (frame, line)][:-1], axis=1)


def write_mp4(path: Path, frames: np.ndarray) -> None:
    """An H.264 video of the frames (time, height, width, 3) at 10 frames a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.options = {"crf": "12"}
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def write_png(path: Path, picture: np.ndarray) -> None:
    """A PNG of the picture (height, width, 3)."""
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
