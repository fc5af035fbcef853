"""Random videos as cameras, phones and cutters write them, and what the ffmpeg command shows of a video."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import made_videos
import numpy as np
import pytest
from hypothesis import strategies as st

FFMPEG = shutil.which("ffmpeg")


def release() -> int:
    """That of the ffmpeg command: 0 where there is none, 99 where it is not told (built from the latest source)."""
    if FFMPEG is None:
        return 0
    said = subprocess.run([FFMPEG, "-version"], capture_output=True, text=True, check=False).stdout
    number = re.match(r"ffmpeg version n?(\d+)\.", said)
    return int(number[1]) if number else 99


needs_ffmpeg = pytest.mark.skipif(
    release() < 6, reason="the ffmpeg command is not here, or cannot turn a video it copies"
)

HEIGHT, WIDTH = 48, 80
CODECS = {
    "libx264": "-preset ultrafast -crf 12 -pix_fmt yuv420p",
    "libx265": "-preset ultrafast -crf 12 -pix_fmt yuv420p -x265-params log-level=error:pools=1",
    "libsvtav1": "-preset 12 -crf 20 -pix_fmt yuv420p -svtav1-params lp=1",
    "libvpx-vp9": "-deadline realtime -cpu-used 8 -crf 15 -b:v 0 -pix_fmt yuv420p",
    "libvpx": "-deadline realtime -cpu-used 8 -crf 10 -b:v 2M -pix_fmt yuv420p",
    "mpeg4": "-q:v 3 -pix_fmt yuv420p",
    "mpeg2video": "-q:v 3 -pix_fmt yuv420p",
    "mjpeg": "-q:v 3 -pix_fmt yuvj420p",
    "ffv1": "-pix_fmt yuv420p",
}
HOLDS = {
    "mp4": ("libx264", "libx265", "libsvtav1", "mpeg4", "mjpeg"),
    "mov": ("libx264", "libx265", "mpeg4", "mjpeg"),
    "mkv": tuple(CODECS),
    "webm": ("libvpx", "libvpx-vp9", "libsvtav1"),
    "avi": ("libx264", "mpeg4", "mjpeg", "ffv1"),
    "ts": ("libx264", "libx265", "mpeg2video"),
    "flv": ("libx264",),
    "mpg": ("mpeg2video",),
}
REORDERS = ("libx264", "libx265", "mpeg4", "mpeg2video")
"""What may have B-frames."""


@dataclass(frozen=True)
class Recipe:
    """How a video is made."""

    kind: str
    codec: str
    frames: int
    rate: str
    keys: int  # frames from a key frame to the next
    between: int  # B-frames
    open_groups: bool
    uneven: bool
    ticks: int  # a second
    cut: tuple[float, float] | None  # of a video that is cut without encoding it anew: start and length in seconds
    turn: int
    mirrored: bool
    beside: str  # what else is in the file


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    kind = draw(st.sampled_from(sorted(HOLDS)))
    codec = draw(st.sampled_from(HOLDS[kind]))
    turns = kind in ("mp4", "mov")
    steady = kind in ("avi", "mpg", "flv")  # other stamps than those of a rate are not kept there
    return Recipe(
        kind,
        codec,
        draw(st.integers(2, 70)),
        draw(st.sampled_from(["25"] if codec == "mpeg2video" else ["7", "24", "30000/1001", "60"])),
        draw(st.sampled_from([1, 2, 3, 12, 250])),
        draw(st.integers(0, 3)) if codec in REORDERS and kind != "avi" else 0,
        draw(st.booleans()),
        draw(st.booleans()) and not steady and codec not in ("mpeg2video", "libsvtav1"),
        draw(st.sampled_from([600, 1000, 12345, 90000, 1000000])),
        draw(st.none() | st.tuples(st.floats(0.1, 0.9), st.floats(0.3, 2))) if kind in ("mp4", "mov", "mkv") else None,
        draw(st.sampled_from([0, 0, 90, 180, 270])) if turns else 0,
        draw(st.booleans()) if turns else False,
        draw(st.sampled_from(["", "", "sound", "another"])) if kind in ("mp4", "mov", "mkv") else "",
    )


def make(recipe: Recipe, folder: Path) -> Path:
    """The video, in a folder."""
    height, width = HEIGHT, WIDTH
    pictures = made_videos.recording(
        np.arange(recipe.frames), lambda k: 6 + (width - 12) * k / max(1, recipe.frames - 1), height=height, width=width
    )
    first, last = folder / f"first.{recipe.kind}", folder / f"video.{recipe.kind}"
    more = [*CODECS[recipe.codec].split(), "-g", str(recipe.keys)]
    if recipe.codec in REORDERS:
        more += ["-bf", str(recipe.between)]
    if recipe.codec == "libx264":
        more += ["-x264-params", f"open-gop={int(recipe.open_groups)}"]
    if recipe.codec == "libx265":
        more[-1:] = [str(recipe.between)]
        at = more.index("-x265-params") + 1
        more[at] += f":open-gop={int(recipe.open_groups)}:bframes={recipe.between}:keyint={recipe.keys}"
    if recipe.uneven:
        more += ["-vf", f"settb=1/60000,setpts=(N+0.45*sin(N*2.1))/({recipe.rate}*TB)", "-fps_mode", "passthrough"]
        more += ["-enc_time_base", "1/60000"]
    if recipe.kind in ("mp4", "mov"):
        more += ["-video_track_timescale", str(recipe.ticks)]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", recipe.rate, "-i", "-"]
    sound = ["-f", "lavfi", "-i", "sine=d=2", "-c:a", "aac", "-map", "0", "-map", "1"]
    another = ["-f", "lavfi", "-i", "testsrc=s=32x32:d=1", "-map", "0", "-map", "1"]
    beside = {"": [], "sound": sound, "another": another}[recipe.beside]
    run(*raw, *beside, "-c:v", recipe.codec, *more, str(first), given=pictures.tobytes())
    before, after = [], []
    if recipe.turn or recipe.mirrored:
        before += ["-display_rotation", str(recipe.turn)]
        before += ["-display_hflip"] if recipe.mirrored else []
    if recipe.cut is not None:
        seconds = recipe.frames / eval(recipe.rate)
        before += ["-ss", f"{recipe.cut[0] * seconds:.3f}"]
        after += ["-t", f"{recipe.cut[1] * seconds:.3f}"]
    if not before:
        return first
    run(*before, "-i", str(first), *after, "-map", "0", "-c", "copy", str(last))
    return last


def run(*arguments: str, given: bytes | None = None) -> bytes:
    """What the ffmpeg command writes."""
    command = [str(FFMPEG), "-v", "error", "-y", "-threads", "1", *arguments]
    return subprocess.run(command, input=given, check=True, capture_output=True).stdout


def shown(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Frames (time height width 3) as the ffmpeg command shows them, and their times in seconds; None if it refuses."""
    command = [str(FFMPEG), "-v", "info", "-nostats", "-threads", "1", "-i", str(path), "-fps_mode", "passthrough"]
    command += ["-an", "-sn", "-vf", "showinfo", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        return None
    said = done.stderr.decode(errors="replace")
    times = [float(one) for one in re.findall(r" pts_time:\s*(-?[\d.]+|NAN)", said)]
    sizes = re.findall(r" s:(\d+)x(\d+) ", said)
    width, height = map(int, sizes[0]) if sizes else (1, 1)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3), np.array(times)
