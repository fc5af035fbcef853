"""Where the videos of a folder lie: files, members of WebDataset's tar files, stretches of a LeRobot data set's longer
ones. And what identifies a video: its own content, wherever it lies, whatever it is called and whatever lies beside it.

Sources: WebDataset's documentation (POSIX tar files, numbered without a gap; the video of a sample is .mp4), and
LeRobot's of its data set format v2.0, v2.1 and v3.0: in v2 an episode has a file of its own; in v3 a file holds many,
and meta/episodes says from when to when each goes.
"""

import errno
import hashlib
import json
import shutil
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import av
import numpy as np

from vidworld.core.errors import UserError
from vidworld.core.records import DIGITS, file_digest, fingerprint, read_json
from vidworld.video.decode import Times, Unreadable

SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".ogv", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp")
LEROBOT_INFO = Path("meta") / "info.json"
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
            yield Path(place.name)

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
        return file_digest(path)
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
                digests[member.name] = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    return digests


def sources_of(folder: Path) -> dict[str, Source]:
    """The videos of a folder, by the name that results and the sidecar have for them.

    UserError where there is no such folder, no video in it, or it is a data set of videos that cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: {'is not a folder' if folder.exists() else 'there is no such folder'}")
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES]
    files = sorted(p.as_posix() for p in paths if not (folder / p).is_dir() and not p.name.startswith("."))
    if (folder / LEROBOT_INFO).exists():
        found = {f"{one.camera}/{one.number:06d}": one.video for one in episodes(folder)}
        if not found:
            raise UserError(f"{folder / LEROBOT_INFO.parent}: lists no episode")
        return found
    if not files and any(folder.glob("*.tar")):
        return webdataset_sources(folder)
    if not files:
        kinds = f"no {', '.join(SUFFIXES)}, no LeRobot data set, no WebDataset shard"
        raise UserError(f"{folder}: there is no video in it ({kinds})")
    return {file: Source(folder / file) for file in files}


def shards(folder: Path) -> list[Path]:
    """The tar files, and of those that are numbered alike also the ones left out between the first and the last."""
    series: dict[str, dict[int, Path]] = defaultdict(dict)
    found = []
    for path in sorted(folder.glob("*.tar")):
        prefix = path.stem.rstrip("0123456789")
        if digits := path.stem.removeprefix(prefix):
            series[prefix][int(digits)] = path
        else:
            found.append(path)
    for prefix, numbered in series.items():
        width = len(next(iter(numbered.values())).stem) - len(prefix)
        numbers = range(min(numbered), max(numbered) + 1)
        found += [numbered.get(number, folder / f"{prefix}{number:0{width}d}.tar") for number in numbers]
    return found


def videos_in_shard(shard: Path) -> list[str]:
    """The names of a shard's videos; UserError where it cannot be read, or holds none."""
    try:
        with tarfile.open(shard) as archive:
            names = [member.name for member in archive if member.isfile()]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{shard}: is no tar file that can be read ({error})") from error
    found = [name for name in names if PurePosixPath(name).suffix == ".mp4"]
    if not found:
        raise UserError(f"{shard}: holds no .mp4")
    return found


def webdataset_sources(folder: Path) -> dict[str, Source]:
    """The videos by shard and name; UserError where a shard is missing or cannot be read, or there is none."""
    found = shards(folder)
    if not found:
        raise UserError(f"{folder}: holds no .tar")
    if missing := [shard for shard in found if not shard.exists()]:
        raise UserError(f"{missing[0]}: is missing ({len(missing)} of the shards between the first and the last)")
    return {f"{shard.stem}/{name}": Source(shard, name) for shard in found for name in videos_in_shard(shard)}


@dataclass(frozen=True)
class Episode:
    """One camera's video of one episode."""

    camera: str
    number: int
    video: Source
    data: Path  # the table of its actions and states


def episodes(folder: Path) -> list[Episode]:
    """Every episode of every camera that meta/ lists; UserError where it lacks something, or has an unknown format."""
    path = folder / LEROBOT_INFO
    info = read_json(path)
    try:
        version, paths = str(info["codebase_version"]), (info["data_path"], info["video_path"])
        cameras = [key for key, feature in info["features"].items() if feature["dtype"] == "video"]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: has no {error}") from error
    if not cameras or not paths[1]:
        raise UserError(f"{path}: names no camera whose frames are videos")
    if not version.startswith(("v2", "v3")):
        raise UserError(f"{path}: format {version} is not known; v2.0, v2.1 and v3.0 are")
    try:
        return list((_of_v2 if version.startswith("v2") else _of_v3)(folder, info, cameras))
    except UserError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path.parent}: an episode has no usable {error}") from error


def _of_v2(folder: Path, info: dict[str, Any], cameras: list[str]) -> Iterator[Episode]:
    for row in _rows(folder / "meta" / "episodes.jsonl"):
        number = int(row["episode_index"])
        names = {"episode_index": number, "episode_chunk": number // int(info.get("chunks_size", 1000))}
        for camera in cameras:
            video = folder / info["video_path"].format(video_key=camera, **names)
            yield Episode(camera, number, Source(video, group=str(number)), folder / info["data_path"].format(**names))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of JSON Lines, the last of which may have no end of line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield dict(json.loads(line))
            except (ValueError, TypeError) as error:
                raise UserError(f"{path}: line {number} is not a JSON object") from error


def _of_v3(folder: Path, info: dict[str, Any], cameras: list[str]) -> Iterator[Episode]:
    from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]

    tables = sorted((folder / "meta" / "episodes").glob("chunk-*/file-*.parquet"))
    if not tables:
        raise UserError(f"{folder / 'meta' / 'episodes' / 'chunk-000' / 'file-000.parquet'}: is missing")
    for table in tables:
        try:
            rows = parquet.read_table(table).to_pylist()
        except (ArrowException, OSError) as error:
            raise UserError(f"{table}: is no table that can be read ({str(error).splitlines()[0]})") from error
        for row in rows:
            number = int(row["episode_index"])
            place = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
            data = folder / info["data_path"].format(**place)
            for camera in cameras:
                of = {name: row[f"videos/{camera}/{name}"] for name in ("chunk_index", "file_index")}
                start, stop = (float(row[f"videos/{camera}/{end}_timestamp"]) for end in ("from", "to"))
                video = folder / info["video_path"].format(video_key=camera, **of)
                yield Episode(camera, number, Source(video, "", (start, stop), str(number)), data)
