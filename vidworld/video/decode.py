"""Reading a video: its frames, shrunk, and when each is shown.

PyAV says what a file holds (`probe`). decord reads short plain files from their start where it lists the same frames
at the same times; PyAV reads all others, and stretches of any. No more than a window of frames is in memory.
"""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from jaxtyping import UInt8

from vidworld.core.clip_shape import VideoFrames
from vidworld.video.probe import WHOLE_SHARE, Contents, FullFrame, Unreadable, frames, opened, probe, upright
from vidworld.video.stamps import Stamp, TimeBase, Times

try:
    import decord
    from decord._ffi.base import DECORDError
except ModuleNotFoundError:  # no wheel for this machine (Macs, ARM)
    decord = None

__all__ = ["Footage", "ReadBy", "TimeBase", "Times", "Unreadable", "Video", "open_video", "pictures", "read"]

ReadBy = Literal["decord", "pyav"]

PIECE_FRAMES = 2000  # of which clips are cut at once
PIECE_BYTES = 2**26  # 1000 frames at 128 x 171 px: what a piece takes at most, however large its frames are
BLOCK_BYTES = 2**22  # of full frames that decord gives at once
DECORD_BYTES = 2**26
"""Of all frames of a video that decord reads. A thread of it decodes ahead of what is read, and all of that stays in
memory until then: where cutting clips takes longer than decoding, gigabytes of a long video."""
KEYS_BACK = 2  # key frames before the one needed: pictures between two may need what comes before the first
SAME_TIME = 0.25  # of a step: as far as decord's times may be from ours


@dataclass(frozen=True)
class Video:
    """What is known of a video before its pictures are read."""

    path: Path
    decoder: ReadBy
    times_s: Times  # when each frame is shown, in the order of showing, from the start of the file
    time_base: TimeBase
    height_px: int
    width_px: int  # of the picture as shown: upright and with square pixels


@dataclass(frozen=True)
class Footage:
    """Consecutive frames of a video, shrunk."""

    frames: VideoFrames
    first: int  # number of the first of them in the file
    decoder: ReadBy  # what read the last of them: PyAV goes on where decord stops


def open_video(path: Path) -> Video:
    """The video's times and size; Unreadable where it is empty, no video, or cut short. Raises OSError."""
    found, stat = probe(path), path.stat()
    small = 3 * found.height_px * found.width_px * len(found.times_s) <= DECORD_BYTES
    agree = decord is not None and found.plain and small and _decord_agrees(path, stat.st_size, stat.st_mtime_ns)
    decoder: ReadBy = "decord" if agree else "pyav"
    return Video(path, decoder, found.times_s, found.time_base, found.height_px, found.width_px)


def read(
    video: Video, short_side_px: int, numbers: range | None = None, piece_frames: int = PIECE_FRAMES
) -> Iterator[Footage]:
    """The frames, upright and with their aspect, the shorter side `short_side_px`, piece by piece.

    numbers: those of a stretch, which alone is decoded where the file lets one jump to it; by default all. A piece has
    fewer than `piece_frames` frames where these are large. Unreadable where more than a tenth of the frames cannot be
    decoded; in place of others the frame before is shown.
    """
    scale = short_side_px / min(video.height_px, video.width_px)
    height, width = round(video.height_px * scale), round(video.width_px * scale)
    numbers = range(len(video.times_s)) if numbers is None else numbers
    most = max(1, min(piece_frames, PIECE_BYTES // (3 * height * width)))
    shown, first = _shown(video, numbers), numbers.start
    while first < numbers.stop:
        piece = np.empty((min(most, numbers.stop - first), height, width, 3), np.uint8)
        count, by = 0, video.decoder
        for picture, who in islice(shown, len(piece)):
            piece[count] = _shrink(picture, height, width)
            count, by = count + 1, who
        whole = count == len(piece)
        footage = Footage(piece[:count], first, by)
        del piece  # two at once would take twice the memory
        if count:
            yield footage
        del footage
        first += count
        if not whole:
            raise Unreadable(f"stops after {first} of its {len(video.times_s)} frames")


def pictures(video: Video, numbers: range | None = None) -> Iterator[FullFrame]:
    """The frames one by one, upright and at their own size (pixels as they are stored). Unreadable as `read`."""
    return (picture for picture, _ in _shown(video, range(len(video.times_s)) if numbers is None else numbers))


def _shown(video: Video, numbers: range) -> Iterator[tuple[FullFrame, ReadBy]]:
    """The frames of these numbers, each with what read it."""
    done = 0
    if video.decoder == "decord" and decord is not None and len(numbers) == len(video.times_s):
        with suppress(DECORDError, RuntimeError):  # PyAV goes on from where decord stops
            for picture in _by_decord(video, numbers.stop):
                yield picture, "decord"
                done += 1
    for picture in _by_pyav(video.path, range(numbers.start + done, numbers.stop)):
        yield picture, "pyav"


def _by_decord(video: Video, count: int) -> Iterator[FullFrame]:
    reader = decord.VideoReader(str(video.path), num_threads=1)  # files are read side by side
    block = max(1, BLOCK_BYTES // (3 * video.height_px * video.width_px))
    for start in range(0, count, block):
        yield from reader.get_batch(range(start, min(start + block, count))).asnumpy()


def _by_pyav(path: Path, numbers: range) -> Iterator[FullFrame]:
    """The frames of these numbers. One that cannot be decoded is stood in for by the one before it, as players do."""
    before: VideoFrame | None = None
    wanted, missing, turn = numbers.start, 0, probe(path).turn
    for number, frame in _numbered(path, numbers) if numbers else ():
        stand_in = upright(before or frame, turn) if wanted < number else None
        while stand_in is not None and wanted < min(number, numbers.stop):
            yield stand_in
            wanted, missing = wanted + 1, missing + 1
        if wanted == number < numbers.stop:
            yield upright(frame, turn)
            before, wanted = frame, wanted + 1
    missing += numbers.stop - wanted
    if missing > (1 - WHOLE_SHARE) * len(numbers):
        there = len(numbers) - missing
        raise Unreadable(f"cannot be decoded: {there} of {len(numbers)} frames come out")
    while wanted < numbers.stop and before is not None:
        yield upright(before, turn)
        wanted += 1


def _numbered(path: Path, numbers: range) -> Iterator[tuple[int, VideoFrame]]:
    """The frames of these numbers that can be decoded."""
    found = probe(path)
    place = {stamp: number for number, stamp in enumerate(found.stamps)} if found.keys else None
    cursor = _Cursor.take(path, numbers.start) or _Cursor(path)
    if not cursor.jumps(found, place, numbers.start):
        cursor.stack.close()
        cursor = _Cursor(path)
    for number, frame in cursor.numbered(place):
        if number >= numbers.stop:
            cursor.pushed_back, cursor.next = (number, frame), number
        if number + 1 >= numbers.stop and number + 1 < len(found.stamps):
            _Cursor.last = cursor  # for the stretch that comes after
        if numbers.start <= number < numbers.stop:
            yield number, frame
        if number + 1 >= numbers.stop:
            return


class _Cursor:
    """A video that is being decoded: stretches of one video, asked for in their order, are read in one pass."""

    last: "_Cursor | None" = None

    def __init__(self, path: Path) -> None:
        self.known_by, self.stack = _known_by(path), ExitStack()
        self.container, self.stream = self.stack.enter_context(opened(path))
        self.decoded = frames(self.container, self.stream)
        self.next = 0  # number of the frame that comes next
        self.pushed_back: tuple[int, VideoFrame] | None = None

    @classmethod
    def take(cls, path: Path, first: int) -> "_Cursor | None":
        """The one that was left before this frame of this video, if there is one."""
        cursor, cls.last = cls.last, None
        if cursor is not None and cursor.known_by == _known_by(path) and cursor.next <= first:
            return cursor
        if cursor is not None:
            cursor.stack.close()
        return None

    def jumps(self, found: Contents, place: dict[Stamp, int] | None, first: int) -> bool:
        """Goes on from a key frame before `first`, if that is farther on; False where the file jumps elsewhere."""
        last = bisect_right(found.keys, found.stamps[first] or 0) - 1 if place else -1
        if place is None or last < KEYS_BACK or place[found.keys[last - KEYS_BACK]] <= self.next + 1:
            return True
        with suppress(av.error.FFmpegError):
            self.container.seek(found.keys[last - KEYS_BACK], stream=self.stream)
            decoded = frames(self.container, self.stream)
            stamp, frame = next(decoded, (None, None))
            number = place.get(stamp)
            if number is not None and frame is not None and number <= place[found.keys[last - KEYS_BACK + 1]]:
                self.decoded, self.pushed_back, self.next = chain([(stamp, frame)], decoded), None, number
                return True
        return False

    def numbered(self, place: dict[Stamp, int] | None) -> Iterator[tuple[int, VideoFrame]]:
        """The frames with their numbers: by their stamps where these tell them apart, else as they come."""
        if self.pushed_back is not None:
            back, self.pushed_back = self.pushed_back, None
            self.next = back[0] + 1
            yield back
        for stamp, frame in self.decoded:
            number = self.next if place is None else place.get(stamp)
            if number is not None and (place is None or number >= self.next):
                self.next = number + 1
                yield number, frame


def _known_by(path: Path) -> tuple[Path, int, int]:
    stat = path.stat()
    return path, stat.st_size, stat.st_mtime_ns


def _shrink(frame: FullFrame, height: int, width: int) -> UInt8[np.ndarray, "small_height small_width 3"]:
    """The frame at another size, each pixel the mean of what it covers.

    A box of the pixel's size and then sampling is within half a grey level of cv2's INTER_AREA, in a third of its time.
    """
    box, how = min(frame.shape[0] // height, frame.shape[1] // width), cv2.INTER_AREA
    if box >= 3:
        box += box % 2 - 1  # an even box would shift the picture by half a pixel
        frame, how = cv2.blur(frame, (box, box)).astype(np.uint8, copy=False), cv2.INTER_LINEAR
    return cv2.resize(frame, (width, height), interpolation=how).astype(np.uint8, copy=False)


@lru_cache(maxsize=32)
def _decord_agrees(path: Path, size: int, time_ns: int) -> bool:
    """Whether decord lists the frames that the file shows, at the times at which it shows them."""
    ours = probe(path).times_s
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        if len(reader) != len(ours):
            return False
        times = np.asarray(reader.get_frame_timestamp(range(len(reader)))[:, 0], np.float64)
    except (DECORDError, RuntimeError):
        return False
    apart = np.abs((times - times[0]) - (ours - ours[0])).max()
    return bool(apart < SAME_TIME * np.diff(ours).min(initial=1.0))
