"""Videos made for a test: a disc before a wall of tiles, written as a video with any times."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

REAL_VIDEO = Path(__file__).parents[3] / "shared" / "real_video"
needs_real_video = pytest.mark.skipif(
    not REAL_VIDEO.is_dir(), reason="the sample videos are not here (../shared/real_video)"
)

HEIGHT, WIDTH = 96, 128


def wall(height: int = HEIGHT, width: int = WIDTH, seed: int = 0, shift_px: float = 0.0) -> np.ndarray:
    """Tiles of random brightness, seen by a camera that is `shift_px` to the left."""
    tiles = np.random.default_rng(seed).uniform(60, 200, (height // 16 + 1, width // 16 + 2))
    large = np.kron(tiles, np.ones((16, 16))).astype(np.float32)
    moved = cv2.warpAffine(large, np.array([[1, 0, shift_px], [0, 1, 0]], np.float32), large.shape[::-1])
    return np.repeat(moved[:height, :width, None], 3, axis=2).astype(np.uint8)


def disc(background: np.ndarray, x_px: float, y_px: float, radius_px: float = 8) -> np.ndarray:
    """The picture with a red disc in it, smooth at its rim."""
    rows, columns = np.mgrid[: background.shape[0], : background.shape[1]]
    inside = np.clip(radius_px + 0.5 - np.hypot(columns - x_px, rows - y_px), 0, 1)[..., None]
    return np.round(background * (1 - inside) + np.array([250, 20, 20]) * inside).astype(np.uint8)


def recording(
    times_s: Sequence[float],
    x_px: Callable[[float], float] = lambda t: 20 + 40 * t,
    seed: int = 0,
    height: int = HEIGHT,
    width: int = WIDTH,
) -> np.ndarray:
    """A disc that is at `x_px(t)` in the frame of each time, half way up."""
    background = wall(height, width, seed)
    return np.stack([disc(background, x_px(t), height / 2) for t in times_s])


def center_x(frame: np.ndarray) -> float:
    """Where the red disc is across a picture (height width 3), NaN where there is none."""
    red = frame[..., 0].astype(np.float64) - frame[..., 1:].max(-1)
    red = np.where(red > 60, red, 0)
    return float((red.sum(0) * np.arange(frame.shape[1])).sum() / red.sum()) if red.any() else float("nan")


def write(
    path: Path,
    frames: np.ndarray,
    times_s: Sequence[float] | None = None,
    fps: float = 30,
    codec: str = "libx264",
    pixel_aspect: Fraction | None = None,
    index_first: bool = True,
) -> Path:
    """The frames as a video, each shown from its time on; `fps` frames a second where none are given."""
    times_s = np.arange(len(frames)) / fps if times_s is None else times_s
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"movflags": "faststart"} if path.suffix == ".mp4" and index_first else {}
    with av.open(str(path), "w", options=options) as out:
        stream = out.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 30000)
        if codec == "libx264":
            stream.options = {"crf": "6", "preset": "ultrafast"}
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        for picture, time_s in zip(frames, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time_s * 30000), Fraction(1, 30000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """A tenth of a second of silence: a video file without a picture."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def cut_short(path: Path, share: float = 0.5) -> Path:
    """The file without its end."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def turn(path: Path, degrees: int) -> Path:
    """The MP4 with a note in its header that players turn the picture clockwise, as phones write it."""
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40  # the matrix of a version 0 track header
    one = 1 << 16
    numbers = (cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30)
    content[start : start + 36] = b"".join(n.to_bytes(4, "big", signed=True) for n in numbers)
    path.write_bytes(bytes(content))
    return path
