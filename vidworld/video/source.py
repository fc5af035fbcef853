"""A video among others: a file, a member of a tar file, or a stretch of a longer video. And what identifies it: its own
content, wherever it lies, whatever it is called and whatever lies beside it.
"""

import hashlib
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path, PurePosixPath

import av
import numpy as np
from av.video.frame import VideoFrame
from PIL import Image, ImageSequence

from vidworld.core.records import DIGITS, file_digest, fingerprint, room_for
from vidworld.video.probe import Unreadable, opened
from vidworld.video.stamps import Times
from vidworld.video.webdataset import open_member

HEAD_BYTES, ANIMATED = 21, 0x02  # of a WebP: its flags are the last of them (Source: WebP Container Specification)
SHORTEST_MS = 1  # for which a frame of an animation is shown
REAL_SHARE, VAL_SHARE = 0.2, 0.1  # of all videos: held out for the evaluation, and for validation


@dataclass(frozen=True)
class Source:
    """One video."""

    path: Path  # the file that holds it
    member: str = ""  # its name in a tar file
    span_s: tuple[float, float] | None = None  # from when to when it goes in a longer video, the end left out
    group: str = ""  # videos of one thing (an episode's cameras) share it: what is held out of one is held out of all

    @contextmanager
    def opened(self) -> Iterator[Path]:
        """A video file by itself; Unreadable where a tar file has none, UserError where there is no room for a copy."""
        if not self.member:
            with _readable(self.path) as path:
                yield path
            return
        with tempfile.NamedTemporaryFile(suffix=PurePosixPath(self.member).suffix) as place:
            try:
                with room_for(f"a video of {self.path.name}"), open_member(self.path, self.member) as content:
                    shutil.copyfileobj(content, place)
                    place.flush()
            except (tarfile.TarError, EOFError, KeyError) as error:
                raise Unreadable(f"cannot be read from {self.path.name} ({error})") from error
            with _readable(Path(place.name)) as path:
                yield path

    def frames(self, times_s: Times) -> range:
        """The numbers of its frames among those of the file; Unreadable where nothing is in its stretch."""
        if self.span_s is None:
            return range(len(times_s))
        half = 0.5 * float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
        start, stop = self.span_s
        mine = np.flatnonzero((times_s > start - half) & (times_s < stop - half))
        if not len(mine):
            raise Unreadable(f"has nothing from {start:g} to {stop:g} s of {self.path.name}")
        return range(int(mine[0]), int(mine[-1]) + 1)


def content_of(source: Source) -> str | None:
    """The digest of a video's file, of its member of a tar file, or of its stretch's packets; None if unreadable."""
    path = source.path
    try:
        stat = path.stat()
        if source.member:
            with open_member(path, source.member) as content:
                return hashlib.file_digest(content, "sha256").hexdigest()
        if source.span_s is not None:
            packets = _packets(path, stat.st_size, stat.st_mtime_ns)
            numbers = source.frames(np.array([time_s for time_s, _ in packets]))
            return hashlib.sha256(b"".join(packets[number][1] for number in numbers)).hexdigest()
        return file_digest(path)
    except (OSError, EOFError, KeyError, tarfile.TarError, av.error.FFmpegError, Unreadable):
        return None


def split_of(content: str) -> str:
    """The split of a video, which follows from its content alone: no other video and no name can change it."""
    share = int(fingerprint("split", content), 16) / 16**DIGITS
    if share < REAL_SHARE:
        return "real"
    return "val" if share < REAL_SHARE + VAL_SHARE else "train"


def splits_by_content(sources: Mapping[str, Source], contents: Mapping[str, str | None]) -> dict[str, str]:
    """The split of each video that has content; videos of a group (an episode's cameras) share one.

    It is that of the group's smallest digest: most changes of one camera leave it.
    """
    known = {name: content for name, content in contents.items() if content is not None}
    smallest: dict[str, str] = {}
    for name, content in known.items():
        if group := sources[name].group:
            smallest[group] = min(content, smallest.get(group, content))
    return {name: split_of(smallest.get(sources[name].group, content)) for name, content in known.items()}


@lru_cache(maxsize=32)  # of videos of many episodes, one for each camera; the time tells that one was written anew
def _packets(path: Path, size: int, time_ns: int) -> list[tuple[float, bytes]]:
    """Time and digest of the packets of the stream that is shown, in the order of showing."""
    packets = []
    with opened(path) as (container, stream):
        start_s = (container.start_time or 0) / av.time_base
        for packet in container.demux(stream):
            if packet.pts is not None and packet.time_base is not None and packet.size and not packet.is_discard:
                time_s = float(packet.pts * packet.time_base) - start_s
                packets.append((time_s, hashlib.sha256(bytes(packet)).digest()))
    return sorted(packets, key=lambda packet: packet[0])


@contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """The file as decoders take it: by a link where its name is no UTF-8, or a copy where it is an animated WebP."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as place:
            link = Path(place) / f"video{path.suffix if path.suffix.isascii() else ''}"
            link.symlink_to(path.absolute())
            yield link
        return
    if not _animated_webp(path):
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".mkv") as place:
        _write_animation(path, place.name)
        yield Path(place.name)


def _animated_webp(path: Path) -> bool:
    """Whether it is one of the animations in which FFmpeg finds no frame."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & ANIMATED)


def _write_animation(path: Path, place: str) -> None:
    """The frames that Pillow decodes, as a video without loss, each shown for its own time; Unreadable."""
    try:
        with Image.open(path) as picture, av.open(place, "w") as container:
            stream = container.add_stream("ffv1", rate=1000, width=picture.width, height=picture.height)
            stream.pix_fmt, shown_ms = "bgr0", 0
            for shot in ImageSequence.Iterator(picture):
                frame = VideoFrame.from_ndarray(np.asarray(shot.convert("RGB")), format="rgb24")
                frame.pts, frame.time_base = shown_ms, Fraction(1, 1000)
                container.mux(stream.encode(frame))
                shown_ms += max(SHORTEST_MS, int(shot.info.get("duration", 0)))
            container.mux(stream.encode())
    except (OSError, ValueError, SyntaxError, av.error.FFmpegError) as error:
        raise Unreadable(f"is no animation that can be decoded ({error})") from error
