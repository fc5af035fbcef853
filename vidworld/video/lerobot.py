"""LeRobot's data sets: each camera's video of each episode.

Source: LeRobot's documentation of its data set format v2.0, v2.1 and v3.0: in v2 an episode has a file of its own; in
v3 a file holds many, and meta/episodes says from when to when each goes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidworld.core.errors import UserError
from vidworld.core.records import read_json
from vidworld.video.source import Source

LEROBOT_INFO = Path("meta") / "info.json"


@dataclass(frozen=True)
class Episode:
    """One camera's video of one episode."""

    camera: str
    number: int
    video: Source
    data: Path  # the table of its actions and states


@dataclass(frozen=True)
class Unusable:
    """A line or table of meta/ that lists no episode; the reason goes on from its name."""

    name: str
    reason: str


def episodes(folder: Path) -> list[Episode]:
    """Every episode of every camera that meta/ lists; UserError where it lacks something, or has an unknown format."""
    found = list(listed(folder))
    for one in found:
        if isinstance(one, Unusable):
            raise UserError(f"{folder / one.name}: {one.reason}")
    return [one for one in found if isinstance(one, Episode)]


def listed(folder: Path) -> Iterator[Episode | Unusable]:
    """What meta/ lists, and what of it is no episode; UserError where the whole has an unknown format."""
    path = folder / LEROBOT_INFO
    info = read_json(path)
    try:
        version, paths = str(info["codebase_version"]), (info["data_path"], info["video_path"])
        cameras = [key for key, feature in info["features"].items() if feature["dtype"] == "video"]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: has no {error}") from error
    if not cameras or not paths[1]:
        raise UserError(f"{path}: names no camera whose frames are videos")
    if not all(isinstance(each, str) for each in paths):
        raise UserError(f"{path}: data_path and video_path are to be texts with places for episodes")
    if not version.startswith(("v2", "v3")):
        raise UserError(f"{path}: format {version} is not known; v2.0, v2.1 and v3.0 are")
    rows, of_row = (_lines, _of_v2) if version.startswith("v2") else (_tables, _of_v3)
    for name, row in rows(folder):
        if isinstance(row, str):
            yield Unusable(name, row)
            continue
        try:
            yield from [of_row(folder, info, camera, row) for camera in cameras]
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            yield Unusable(name, f"an episode has no usable {error}")


_Rows = Iterator[tuple[str, dict[str, Any] | str]]


def _lines(folder: Path) -> _Rows:
    """The objects of JSON Lines by line, or why a line is none."""
    path = folder / "meta" / "episodes.jsonl"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            name = f"meta/episodes.jsonl:{number}"
            try:
                yield name, dict(json.loads(line))
            except (ValueError, TypeError):
                yield name, "is not a JSON object"


def _of_v2(folder: Path, info: dict[str, Any], camera: str, row: dict[str, Any]) -> Episode:
    number = int(row["episode_index"])
    names = {"episode_index": number, "episode_chunk": number // int(info.get("chunks_size", 1000))}
    video = folder / info["video_path"].format(video_key=camera, **names)
    return Episode(camera, number, Source(video, group=str(number)), folder / info["data_path"].format(**names))


def _tables(folder: Path) -> _Rows:
    """The rows of the tables of episodes, or why a table cannot be read."""
    from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]

    tables = sorted((folder / "meta" / "episodes").glob("chunk-*/file-*.parquet"))
    if not tables:
        raise UserError(f"{folder / 'meta' / 'episodes' / 'chunk-000' / 'file-000.parquet'}: is missing")
    for table in tables:
        name = table.relative_to(folder).as_posix()
        try:
            rows = parquet.read_table(table).to_pylist()
        except (ArrowException, OSError) as error:
            yield name, f"is no table that can be read ({str(error).splitlines()[0]})"
            continue
        for number, row in enumerate(rows):
            yield f"{name}:{number}", row


def _of_v3(folder: Path, info: dict[str, Any], camera: str, row: dict[str, Any]) -> Episode:
    number = int(row["episode_index"])
    place = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
    data = folder / info["data_path"].format(**place)
    of = {name: row[f"videos/{camera}/{name}"] for name in ("chunk_index", "file_index")}
    start, stop = (float(row[f"videos/{camera}/{end}_timestamp"]) for end in ("from", "to"))
    video = folder / info["video_path"].format(video_key=camera, **of)
    return Episode(camera, number, Source(video, "", (start, stop), str(number)), data)
