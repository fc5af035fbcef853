"""The episodes of a LeRobot data set (format v2.0, v2.1 or v3.0), one video a camera.

Source: LeRobot's documentation of its data set format. In v2 an episode has a file of its own; in v3 a file holds many,
and meta/episodes says from when to when each goes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidworld.core.errors import UserError
from vidworld.core.records import read_json
from vidworld.video.source import Source

INFO = Path("meta") / "info.json"


@dataclass(frozen=True)
class Episode:
    """One camera's video of one episode."""

    camera: str
    number: int
    video: Source
    data: Path  # the table of its actions and states


def episodes(folder: Path) -> list[Episode]:
    """Every episode of every camera that meta/ lists; UserError where it lacks something, or has an unknown format."""
    path = folder / INFO
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


def lerobot_sources(folder: Path) -> dict[str, Source]:
    """The videos by camera and episode; UserError where there is none."""
    found = {f"{one.camera}/{one.number:06d}": one.video for one in episodes(folder)}
    if not found:
        raise UserError(f"{folder / INFO.parent}: lists no episode")
    return found


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
