"""Where a video lies: a file, one of many in a tar file, or a stretch of a longer one. And what identifies it: its own
content, wherever it lies, whatever it is called and whatever lies beside it."""

import errno
import hashlib
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO

import av
import numpy as np

from vidworld.core.errors import UserError
from vidworld.core.fingerprint import DIGITS, fingerprint
from vidworld.video.decode import Times, Unreadable

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
            yield self.path
            return
        with tempfile.NamedTemporaryFile(suffix=".mp4") as place:
            self._copy(place)
            yield Path(place.name)

    def _copy(self, place: IO[bytes]) -> None:
        try:
            with tarfile.open(self.path) as archive:
                content = archive.extractfile(self.member)
                if content is None:
                    raise Unreadable(f"is no file in {self.path.name}")
                shutil.copyfileobj(content, place)
                place.flush()
        except (tarfile.TarError, EOFError, KeyError) as error:
            raise Unreadable(f"cannot be read from {self.path.name} ({error})") from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            full = f"{tempfile.gettempdir()}: has no room for a video of {self.path.name}"
            raise UserError(f"{full}; free some, or name another place with TMPDIR") from error

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
            suffix = PurePosixPath(source.member).suffix
            return _members(path, suffix, stat.st_size, stat.st_mtime_ns).get(source.member)
        if source.span_s is not None:
            packets = _packets(path, stat.st_size, stat.st_mtime_ns)
            numbers = source.frames(np.array([time_s for time_s, _ in packets]))
            return hashlib.sha256(b"".join(packets[number][1] for number in numbers)).hexdigest()
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, EOFError, tarfile.TarError, av.error.FFmpegError, Unreadable):
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


# A file may hold many videos: each is gone through once. The time tells only this process that a file was written anew.


@lru_cache(maxsize=32)  # one for each camera of the episodes that come in turn
def _packets(path: Path, size: int, time_ns: int) -> list[tuple[float, bytes]]:
    """Time and digest of the packets of a file's first video stream, in the order of showing."""
    packets = []
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise Unreadable("holds no picture")
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None and packet.time_base is not None and packet.size:
                time_s = float(packet.pts * packet.time_base)
                packets.append((time_s, hashlib.sha256(bytes(packet)).digest()))
    return sorted(packets, key=lambda packet: packet[0])


@lru_cache(maxsize=1)
def _members(path: Path, suffix: str, size: int, time_ns: int) -> dict[str, str]:
    """The digests of a tar file's members of this suffix."""
    digests = {}
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member) if PurePosixPath(member.name).suffix == suffix else None
            if stream is not None:
                digest = hashlib.sha256()
                while block := stream.read(2**20):
                    digest.update(block)
                digests[member.name] = digest.hexdigest()
    return digests
