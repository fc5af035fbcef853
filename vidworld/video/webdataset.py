"""WebDataset's shards: tar files with videos in them, each read from where it lies.

Source: WebDataset's documentation (POSIX tar files; numbered shards are NAME-000000.tar, counted from zero).
"""

import io
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from vidworld.core.errors import UserError
from vidworld.video.suffixes import VIDEO_SUFFIXES

NUMBERED = re.compile(r"(?P<series>.*[^\da-zA-Z]|[a-zA-Z]*)(?P<number>\d{3,7})\.tar")
"""A number after a word or a sign. Longer ones are dates or times, and what follows letters and digits is a digest."""


def shards(folder: Path) -> list[Path]:
    """The tar files, and of those that are numbered alike also the ones left out between the first and the last."""
    return sorted([*folder.glob("*.tar"), *left_out(folder.glob("*.tar"))])


def left_out(found: Iterable[Path]) -> list[Path]:
    """The shards that are missing between others of their series.

    A series is numbered with leading zeros, as WebDataset writes it; other numbers (dates, digests) are names.
    """
    series: dict[tuple[Path, str, int], set[int]] = defaultdict(set)
    zeros = set()
    for path in found:
        if match := NUMBERED.fullmatch(path.name):
            digits = match["number"]
            key = (path.parent, match["series"], len(digits))
            series[key].add(int(digits))
            zeros |= {key} if digits.startswith("0") else set()
    missing = []
    for place, name, width in sorted(zeros):
        there = series[place, name, width]
        gaps = sorted(set(range(min(there), max(there))) - there)
        missing += [place / f"{name}{number:0{width}d}.tar" for number in gaps]
    return missing


def videos_in_shard(shard: Path) -> list[str]:
    """The names of a shard's videos; UserError where it cannot be read, or holds none."""
    try:
        members = members_of(shard)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{shard}: is no tar file that can be read ({error})") from error
    found = [name for name in members if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES]
    if not found:
        raise UserError(f"{shard}: holds no video")
    return found


def members_of(shard: Path) -> dict[str, range]:
    """From which byte to which each file of a tar file lies; of one that is cut short those that are whole.

    Raises tarfile.TarError or OSError where nothing of it can be read.
    """
    stat = shard.stat()
    return _members(shard, stat.st_size, stat.st_mtime_ns)


def open_member(shard: Path, name: str) -> io.BufferedReader:
    """A file of a tar file, to be read and closed. Raises KeyError, tarfile.TarError or OSError."""
    return io.BufferedReader(_Part(shard, members_of(shard)[name]))


@lru_cache(maxsize=4)
def _members(shard: Path, size: int, time_ns: int) -> dict[str, range]:
    found: dict[str, range] = {}
    with tarfile.open(shard, "r:") as archive:
        try:
            for one in archive:
                if one.isfile() and one.offset_data + one.size <= size:
                    found[one.name] = range(one.offset_data, one.offset_data + one.size)
        except (tarfile.TarError, EOFError):
            if not found:
                raise
    return found


class _Part(io.RawIOBase):
    """Some of a file's bytes as a file."""

    def __init__(self, path: Path, place: range) -> None:
        self.file, self.left = path.open("rb"), len(place)
        self.file.seek(place.start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        count = self.file.readinto(view[: min(len(view), self.left)])
        self.left -= count
        return count

    def close(self) -> None:
        self.file.close()
        super().close()
