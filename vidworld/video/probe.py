"""What a video file holds, found by PyAV before its pictures are read: which frames, shown when, turned how.

The frames are those that the ffmpeg command shows: of the stream that it takes by default, without what an edit list
hides, at the times that it gives them, and upright (Source: ffmpeg_mux_init.c, `map_auto_video`; decode.c,
`guess_correct_pts`; ffmpeg_filter.c, `autorotate`).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import UInt8

from vidworld.video.stamps import Stamp, TimeBase, Times, guessed, steady

FullFrame = UInt8[np.ndarray, "height width 3"]
Turn = tuple[int, int, int, int]
"""The display matrix (x to x and y, y to x and y) of a picture that is not stored as it is shown."""

THREADS = 2  # of a decoder; files are read side by side
DEFAULT_STREAM = 5_000_000  # pixels by which another stream must be larger than the one marked as the usual one
LISTS = {"concat", "hls", "dash", "imf", "sdp"}  # formats that name other files, whose splits are these files' own
WHOLE_SHARE = 0.9  # of the frames or of the time that a header tells of
INDEXED_FORMATS = ("mp4", "matroska")
INDEXED_CODECS = ("h264", "hevc", "av1", "vp9", "mjpeg", "prores", "ffv1", "dnxhd")
"""Here a packet is a frame, and its stamp is that of the frame: nothing needs to be decoded to know the times."""


class Unreadable(ValueError):
    """A video that cannot be read; the text goes on from its name: `is empty`."""


@dataclass(frozen=True)
class Contents:
    """What a file says of its video, the frames in the order of showing."""

    stamps: tuple[Stamp, ...]  # of each frame, in the stream's own ticks; None where the file tells none
    keys: tuple[int, ...]  # the stamps from which decoding can begin, in order; empty where stamps do not tell frames
    times_s: Times
    time_base: TimeBase
    height_px: int
    width_px: int  # of the picture as shown: upright and with square pixels
    turn: Turn | None
    plain: bool  # an MP4 of H.264 with one picture, neither turned nor cut: such as every decoder reads alike


def probe(path: Path) -> Contents:
    """What the file holds; Unreadable where it is empty, no video, or cut short. Raises OSError."""
    stat = path.stat()
    if stat.st_size == 0:
        raise Unreadable("is empty")
    try:
        return _probe(path, stat.st_size, stat.st_mtime_ns)
    except (av.error.FFmpegError, OSError) as error:
        raise Unreadable(f"is no video that can be decoded ({_reason(error)})") from error


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The file and the stream of it that is shown; Unreadable where it holds none. Raises FFmpegError, OSError."""
    with av.open(str(path), metadata_errors="replace") as container:
        if LISTS & set(container.format.name.split(",")):
            raise Unreadable("is no video, but a list of other files")
        still = Disposition.attached_pic | Disposition.timed_thumbnails
        streams = [one for one in container.streams.video if not one.disposition & still]
        if not streams:
            sound = bool(container.streams.audio)
            raise Unreadable("holds sound but no picture" if sound else "holds no picture: it may be cut short")
        stream = max(streams, key=_worth)  # of several alike the first
        if stream.codec_context is None:
            raise Unreadable("is of a codec that nothing here decodes")
        stream.thread_type, stream.codec_context.thread_count = "AUTO", THREADS
        yield container, stream


def _worth(stream: VideoStream) -> int:
    context = stream.codec_context
    pixels = 0 if context is None else context.width * context.height
    return pixels + DEFAULT_STREAM * bool(stream.disposition & Disposition.default)


def frames(container: InputContainer, stream: VideoStream) -> Iterator[tuple[Stamp, VideoFrame]]:
    """The frames in the order of showing, with their stamps; what cannot be decoded is passed over, as players do."""
    packets, guess, flushed = container.demux(stream), guessed(), False
    next(guess)
    while True:
        try:
            packet = next(packets)
            flushed = packet.size == 0
            decoded = packet.decode()
        except StopIteration:
            break
        except av.error.FFmpegError:
            continue
        for frame in decoded:
            yield guess.send((frame.pts, frame.dts)), frame
    if not flushed:  # reading failed: what the decoder has is still there
        with suppress(av.error.FFmpegError):
            for frame in stream.codec_context.decode(None):
                yield guess.send((frame.pts, frame.dts)), frame


def upright(frame: VideoFrame, turn: Turn | None) -> FullFrame:
    """The frame as it is to be shown: turned and mirrored."""
    picture = frame.to_ndarray(format="rgb24")
    if turn is None:
        return np.asarray(picture)
    a, b, c, d = turn
    picture = picture.transpose(1, 0, 2) if abs(b) > abs(a) else picture
    right, down = (c, b) if abs(b) > abs(a) else (a, d)
    return np.ascontiguousarray(picture[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])


def _turn(frame: VideoFrame) -> Turn | None:
    """How the frame is to be turned. (Asked once a file: the frame and its side data keep each other in memory.)"""
    if Type.DISPLAYMATRIX not in frame.side_data:
        return None
    matrix: Any = frame.side_data[Type.DISPLAYMATRIX]  # type: ignore[typeddict-item]
    m = np.frombuffer(bytes(matrix), np.int32)
    a, b, c, d = (int(m[i]) for i in (0, 1, 3, 4))
    return None if a > abs(b) and d > abs(c) else (a, b, c, d)


_NO_TIMES = 0x80  # FFmpeg's flag of a form without times, as a bare stream of H.264


@lru_cache(maxsize=32)  # a video of many episodes is opened for each of them
def _probe(path: Path, size: int, time_ns: int) -> Contents:
    with opened(path) as (container, stream):
        context, tick = stream.codec_context, stream.time_base or Fraction(1, av.time_base)
        untimed = container.format.flags & _NO_TIMES  # its average rate is the demuxer's usual one
        listed, rate = stream.frames, (None if untimed else stream.average_rate) or stream.guessed_rate
        length = float(stream.duration * tick) if stream.duration else None
        start_s = (container.start_time or 0) / av.time_base
        aspect = float(stream.sample_aspect_ratio or context.sample_aspect_ratio or 1)
        packets, first = _packets(container, stream)
        one = sum(not each.disposition & Disposition.attached_pic for each in container.streams.video) == 1
        usual = context.pix_fmt == "yuv420p" and context.colorspace == 2 and context.color_range < 2
        kind, codec = container.format.name, context.name
        indexed = codec in INDEXED_CODECS and any(name in kind for name in INDEXED_FORMATS)
    stamps = packets.shown_in_order() if indexed else None
    plain = bool(stamps) and "mp4" in kind and codec == "h264" and one and usual
    if stamps is None:
        with opened(path) as (container, stream):
            stamps = []
            for stamp, frame in frames(container, stream):
                first = first or frame
                stamps.append(stamp)
    if first is None or not stamps:
        raise Unreadable("holds no frame")
    known = [stamp for stamp in stamps if stamp is not None]
    told = len(known) == len(stamps) == len(set(known))
    keys = tuple(sorted(set(packets.keys) & set(known))) if told else ()
    seconds = np.array([np.nan if stamp is None else float(stamp * tick) - start_s for stamp in stamps])
    if kind == "avi" and known:  # which tells decoding times alone: FFmpeg makes later ones of them
        seconds -= np.nanmin(seconds)
    there, lists = len(stamps), max(0, listed - packets.hidden)
    if there < WHOLE_SHARE * lists and not _lasts(seconds, length):
        raise Unreadable(f"is cut short: {there} of the {lists} frames it lists are there")
    steadied = steady(seconds, float(rate) if rate else None)
    if steadied is None:
        raise Unreadable("tells neither when its frames are shown nor their rate")
    height, width, turn = first.height, round(first.width * aspect), _turn(first)
    if turn is not None and abs(turn[1]) > abs(turn[0]):
        height, width = width, height
    steadied[0].flags.writeable = False  # it is shared
    return Contents(tuple(stamps), keys, *steadied, height, width, turn, plain and turn is None)


@dataclass
class _Packets:
    """What the packets of a stream tell without being decoded."""

    stamps: list[Stamp]
    keys: list[int]
    hidden: int  # packets that an edit list leaves out
    broken: bool  # the file ends, or is damaged, before its packets do

    def shown_in_order(self) -> list[Stamp] | None:
        """The stamps of the frames; None where packets do not tell them."""
        known = [stamp for stamp in self.stamps if stamp is not None]
        if self.hidden or self.broken or not known or len(set(known)) < len(self.stamps):
            return None
        return [*sorted(known)] if min(known) in self.keys else None  # what comes before a key frame may not be decoded


def _packets(container: InputContainer, stream: VideoStream) -> tuple[_Packets, VideoFrame | None]:
    """What the packets tell, and the first frame."""
    found, first = _Packets([], [], 0, False), None
    try:
        for packet in container.demux(stream):
            if first is None:
                with suppress(av.error.FFmpegError):
                    first = next(iter(packet.decode()), None)
            if packet.size == 0:
                continue
            found.broken |= packet.is_corrupt
            if packet.is_discard:
                found.hidden += 1
                continue
            found.stamps.append(packet.pts)
            if packet.is_keyframe and packet.pts is not None:
                found.keys.append(packet.pts)
    except av.error.FFmpegError:
        found.broken = True
    return found, first


def _lasts(seconds: Times, length_s: float | None) -> bool:
    """Whether the frames take the time that the header tells of: AVI lists empty places as frames."""
    known = seconds[np.isfinite(seconds)]
    if length_s is None or len(known) < 2:
        return False
    return bool(np.ptp(known) + np.median(np.abs(np.diff(known))) >= WHOLE_SHARE * length_s)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).split(":")[0]
