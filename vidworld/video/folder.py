"""What is in a folder of videos: every file in it is one, holds some, or is named with the reason why not."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unicodedata import category

import av
from av.stream import Disposition

from vidworld.core.errors import UserError
from vidworld.video import ACTIONS_NAME, RECORD_NAME, SIDECAR_NAME
from vidworld.video.lerobot import LEROBOT_INFO, Episode, listed
from vidworld.video.source import Source
from vidworld.video.suffixes import OTHER_SUFFIXES, VIDEO_SUFFIXES
from vidworld.video.webdataset import left_out, videos_in_shard

NO_VIDEO = "is no video"
LOOKED_AT_S = 30.0  # most that FFmpeg may take to say what a file is whose name tells nothing
NO_VIDEOS = ("tty", "image2", "lrc", "ico")  # what FFmpeg makes pictures of, though they are texts or single pictures


@dataclass
class Collection:
    """The videos of a folder by the names that results and the sidecar have for them, and why the rest are none."""

    sources: dict[str, Source] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)  # the reason goes on from the name


def sources_of(folder: Path) -> dict[str, Source]:
    """The videos of a folder; UserError as `collection_of`."""
    return collection_of(folder).sources


def collection_of(folder: Path) -> Collection:
    """What is in a folder, in the folders in it and in those that links in it lead to.

    A LeRobot data set (meta/info.json) gives each camera's video of each episode, a tar file the videos in it.
    UserError where there is no such folder, no video in it, or it is a data set that cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: {'is not a folder' if folder.exists() else 'there is no such folder'}")
    found = _lerobot(folder) if is_there(folder / LEROBOT_INFO) else _files(folder)
    if not found.sources:
        some = [f"{name} {reason}" for name, reason in found.others.items()]
        there = f": {'; '.join(some[:3])}" if some else ""
        raise UserError(f"{folder}: there is no video file, LeRobot data set or WebDataset shard in it{there}")
    return found


def is_there(path: Path) -> bool:
    """Whether there is such a file, as far as one may know."""
    try:
        return path.exists()
    except OSError:  # of a folder that may not be entered
        return False


def _lerobot(folder: Path) -> Collection:
    found = Collection()
    for one in listed(folder):
        if isinstance(one, Episode):
            found.sources[f"{one.camera}/{one.number:06d}"] = one.video
        else:
            found.others[one.name] = one.reason
    if not found.sources and not found.others:
        raise UserError(f"{folder / LEROBOT_INFO.parent}: lists no episode")
    return found


def _files(folder: Path) -> Collection:
    found, tars = Collection(), []
    for path, why_not in _walk(folder):
        name = _name(path.relative_to(folder))
        suffix = path.suffix.lower()
        if why_not:
            found.others[name] = why_not
        elif suffix == ".tar":
            tars.append(path)
            _take_shard(found, path, name)
        elif suffix in VIDEO_SUFFIXES or (suffix not in OTHER_SUFFIXES and _shows_a_video(path)):
            found.sources[name] = Source(path)
        elif path not in (folder / SIDECAR_NAME, folder / ACTIONS_NAME):
            found.others[name] = NO_VIDEO
    for path in left_out(tars):
        found.others[_name(path.relative_to(folder))] = "is missing between other shards of its series"
    return found


def _take_shard(found: Collection, path: Path, name: str) -> None:
    try:
        videos = videos_in_shard(path)
    except UserError as error:
        found.others[name] = str(error).removeprefix(f"{path}: ")
        return
    stem = name[: -len(path.suffix)]
    found.sources |= {_name(Path(stem) / video): Source(path, video) for video in videos}


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file by name, with the reason where it is not to be looked into; a linked folder is gone through once."""
    root, seen = folder.resolve(), {_identity(folder)}
    refused: list[OSError] = []
    for place, folders, files in os.walk(folder, followlinks=True, onerror=refused.append):
        here = Path(place)
        enter = []
        for name in sorted(folders):
            path = here / name
            why_not = _why_not_entered(path, root, seen)
            if why_not:
                yield path, why_not
            else:
                seen.add(_identity(path))
                enter.append(name)
        folders[:] = enter
        for name in sorted(files):
            yield here / name, _why_not_opened(here / name)
    for error in refused:
        yield Path(error.filename), f"cannot be listed ({error.strerror})"


def _identity(path: Path) -> tuple[int, int]:
    of = path.stat()
    return of.st_dev, of.st_ino


def _why_not_entered(path: Path, root: Path, seen: set[tuple[int, int]]) -> str:
    if path.name.startswith("."):
        return "is hidden"
    try:
        if (path / RECORD_NAME).exists():
            return "is a data set of clips"
        if path.is_symlink():
            target = path.resolve()
            if root.is_relative_to(target) or target.is_relative_to(root):
                return "is a link to a folder that is looked into anyway"
        if _identity(path) in seen:
            return "is a folder that was looked into already"
    except (OSError, RuntimeError) as error:
        return f"cannot be entered ({getattr(error, 'strerror', None) or error})"
    return ""


def _why_not_opened(path: Path) -> str:
    if path.name.startswith("."):
        return "is hidden"
    try:
        return "" if stat.S_ISREG(path.stat().st_mode) else "is no ordinary file"
    except (OSError, RuntimeError) as error:
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"


def _name(path: Path) -> str:
    """Its name as text; of bytes that are no UTF-8, or steer a terminal, each is shown as such: caf\\xe9.mp4."""
    text = path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if category(c) != "Cc" else c.encode("unicode_escape").decode() for c in text)


def _shows_a_video(path: Path) -> bool:
    """Whether FFmpeg finds moving pictures in a file whose name tells nothing."""
    at_once = partial(av.open, timeout=LOOKED_AT_S)
    with suppress(av.error.FFmpegError, OSError, UnicodeError), at_once(os.fsencode(path).decode()) as container:
        kind = container.format.name
        streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
        return bool(streams) and kind not in NO_VIDEOS and not kind.endswith("_pipe")
    return False
