"""Reading a video: its frames, shrunk, and when each is shown. decord reads; PyAV where decord cannot."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from vidworld.core.clip import VideoFrames

try:
    import decord
    from decord._ffi.base import DECORDError
except ModuleNotFoundError:  # no wheel for this machine (Macs, ARM)
    decord = None

Times = Float64[np.ndarray, " time"]
_Picture = UInt8[np.ndarray, "height width 3"]
Decoder = Literal["decord", "pyav"]
TimeBase = Literal["sidecar", "presentation", "average rate"]  # average: only where a file's times do not go on

PIECE_FRAMES = 2000  # 130 MB at 128 x 171 px: a long video is read piece by piece
BLOCK_FRAMES = 16  # full frames at once: 100 MB at 1920 x 1080
MAX_DURATION_S = 1e9  # a first frame later than this has no time (decord: -3.7e17)
WHOLE_SHARE = 0.9  # of the frames or of the time that a header tells of


class Unreadable(ValueError):
    """A video that cannot be read; the text goes on from its name: `is empty`."""


@dataclass(frozen=True)
class Video:
    """What is known of a video before its pictures are read."""

    path: Path
    decoder: Decoder
    times_s: Times  # when each frame is shown, in the order of showing
    time_base: TimeBase
    height_px: int
    width_px: int  # of the picture as shown: upright and with square pixels


@dataclass(frozen=True)
class Footage:
    """Consecutive frames of a video, shrunk."""

    frames: VideoFrames
    first: int  # number of the first of them in the file
    decoder: Decoder  # what read the last of them: PyAV goes on where decord stops


@dataclass(frozen=True)
class _Header:
    listed: int  # frames that the container says it holds, 0 where it does not say
    duration_s: float | None
    rate: float | None  # frames a second, on average
    height_px: int  # as shown
    width_px: int


def open_video(path: Path) -> Video:
    """The video's times and size; Unreadable where it is empty, no video, or cut short."""
    if path.stat().st_size == 0:
        raise Unreadable("is empty")
    try:
        header = _header(path)
    except (av.error.FFmpegError, OSError) as error:
        raise Unreadable(f"is no video that can be decoded ({_reason(error)})") from error
    decoder: Decoder = "decord"
    times = _decord_times(path)
    # AVI with B-frames: decord knows no time before the first key frame.
    if times is None or not _forward(times) or len(times) < header.listed:
        others = _pyav_times(path, header)
        if times is None or not _forward(times) or len(others) > len(times):
            decoder, times = "pyav", others
    if _cut_short(times, header):
        raise Unreadable(f"is cut short: {len(times)} of the {header.listed} frames it lists are there")
    if _forward(times):
        return Video(path, decoder, times, "presentation", header.height_px, header.width_px)
    if header.rate is None:
        raise Unreadable("tells neither when its frames are shown nor their rate")
    even = np.arange(len(times)) / header.rate
    return Video(path, decoder, even, "average rate", header.height_px, header.width_px)


def read(
    video: Video, short_side_px: int, numbers: range | None = None, piece_frames: int = PIECE_FRAMES
) -> Iterator[Footage]:
    """The frames, upright and with their aspect, the shorter side `short_side_px`, piece by piece.

    numbers: those of a stretch, which alone is decoded where the file lets one jump to it; by default all. Unreadable
    where a frame can be decoded neither by decord nor by PyAV.
    """
    scale = short_side_px / min(video.height_px, video.width_px)
    height, width = round(video.height_px * scale), round(video.width_px * scale)
    numbers = range(len(video.times_s)) if numbers is None else numbers
    shrunk = ((_shrink(frame, height, width), by) for frame, by in _frames(video, numbers))
    first = numbers.start
    while piece := list(islice(shrunk, piece_frames)):
        yield Footage(np.stack([frame for frame, _ in piece]), first, piece[-1][1])
        first += len(piece)
    if first < numbers.stop:
        raise Unreadable(f"stops after {first} of its {len(video.times_s)} frames")


def _frames(video: Video, numbers: range) -> Iterator[tuple[_Picture, Decoder]]:
    """The frames of these numbers; `done` is the number of the next."""
    done, count = numbers.start, numbers.stop
    if video.decoder == "decord":
        with suppress(DECORDError, RuntimeError):  # PyAV goes on from where decord stops
            reader = decord.VideoReader(str(video.path), num_threads=1)  # files are read side by side
            for start in range(done, count, BLOCK_FRAMES):
                block = reader.get_batch(range(start, min(start + BLOCK_FRAMES, count))).asnumpy()
                for frame in block:
                    yield frame, "decord"
                    done += 1
        if done == count:
            return
    try:
        with av.open(str(video.path)) as container:
            for frame in islice(container.decode(video=0), done, count):
                upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                yield np.ascontiguousarray(upright), "pyav"
                done += 1
    except av.error.FFmpegError as error:
        raise Unreadable(f"cannot be decoded after {done} frames ({_reason(error)})") from error


def _shrink(frame: _Picture, height: int, width: int) -> UInt8[np.ndarray, "small_height small_width 3"]:
    """The frame at another size, each pixel the mean of what it covers.

    A box of the pixel's size and then sampling is within half a grey level of cv2's INTER_AREA, in a third of its time.
    """
    box, how = min(frame.shape[0] // height, frame.shape[1] // width), cv2.INTER_AREA
    if box >= 3:
        box += box % 2 - 1  # an even box would shift the picture by half a pixel
        frame, how = cv2.blur(frame, (box, box)).astype(np.uint8, copy=False), cv2.INTER_LINEAR
    return cv2.resize(frame, (width, height), interpolation=how).astype(np.uint8, copy=False)


def _header(path: Path) -> _Header:
    with av.open(str(path)) as container:
        if not container.streams.video:
            sound = bool(container.streams.audio)
            raise Unreadable("holds sound but no picture" if sound else "holds no picture: it may be cut short")
        stream = container.streams.video[0]
        frame = next(iter(container.decode(stream)), None)
        if frame is None:
            raise Unreadable("holds no frame")
        aspect = float(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
        rate = stream.average_rate or stream.guessed_rate
        height, width = frame.height, round(frame.width * aspect)
        if frame.rotation // 90 % 2:
            height, width = width, height
        duration = stream.duration * stream.time_base if stream.duration and stream.time_base else None
        known = float(duration) if duration else None, float(rate) if rate else None
        return _Header(stream.frames, *known, height, width)


def _decord_times(path: Path) -> Times | None:
    if decord is None:
        return None
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(path))
        return np.asarray(reader.get_frame_timestamp(range(len(reader)))[:, 0], np.float64)
    except (DECORDError, RuntimeError):
        return None


def _pyav_times(path: Path, header: _Header) -> Times:
    times: list[float] = []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                times.append(np.nan if frame.time is None else frame.time)
    except av.error.FFmpegError as error:
        fault = f"cannot be decoded after {len(times)} frames ({_reason(error)})"
        if header.listed:
            fault = f"is cut short: {len(times)} of the {header.listed} frames it lists can be decoded"
        raise Unreadable(fault) from error
    return np.sort(np.asarray(times))  # frames come in the order of showing, AVI's times do not


def _cut_short(times: Times, header: _Header) -> bool:
    """Whether frames are missing, and the time that they would take: AVI lists empty places as frames."""
    if len(times) >= WHOLE_SHARE * header.listed:
        return False
    if header.duration_s is None or len(times) < 2 or not _forward(times):
        return True
    there_s = times[-1] - times[0] + np.median(np.diff(times))
    return bool(there_s < WHOLE_SHARE * header.duration_s)


def _forward(times: Times) -> bool:
    """Whether time goes on from each frame to the next, from a start that can be one."""
    if not np.isfinite(times).all() or np.abs(times[:1]).max(initial=0.0) > MAX_DURATION_S:
        return False
    return bool((np.diff(times) > 0).all())


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).split(":")[0]
