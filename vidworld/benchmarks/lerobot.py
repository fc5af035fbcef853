"""A LeRobot data set (format v2.0, v2.1 or v3.0) as films to train on: each episode of each camera.

Source: LeRobot's documentation of its data set format. In v2 an episode has a file of its own; in v3 a file holds many,
and meta/episodes says from when to when each goes.
"""

from pathlib import Path
from typing import Any

import numpy as np

from vidworld.benchmarks.benchmark import Benchmark, Entry, Film, Reading, film_of
from vidworld.data.decode import Unreadable, open_video, read
from vidworld.errors import UserError
from vidworld.record import read_json, read_jsonl

LAYOUT = """\
FOLDER/
  meta/info.json         codebase_version, fps, features, data_path, video_path
  v2: meta/episodes.jsonl, data/chunk-000/episode_000000.parquet, videos/chunk-000/CAMERA/episode_000000.mp4
  v3: meta/episodes/chunk-000/file-000.parquet, data/chunk-000/file-000.parquet,
      videos/CAMERA/chunk-000/file-000.mp4"""


def entries(folder: Path) -> list[Entry]:
    """Every episode of every camera that meta/ lists."""
    info = read_json(folder / "meta" / "info.json")
    try:
        version, paths = str(info["codebase_version"]), (info["data_path"], info["video_path"])
        cameras = [key for key, feature in info["features"].items() if feature["dtype"] == "video"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{folder / 'meta' / 'info.json'}: has no {error}") from error
    if not cameras or not paths[1]:
        raise UserError(f"{folder / 'meta' / 'info.json'}: names no camera whose frames are videos")
    if version.startswith("v2"):
        return _of_v2(folder, info, cameras)
    if version.startswith("v3"):
        return _of_v3(folder, info, cameras)
    raise UserError(
        f"{folder / 'meta' / 'info.json'}: format {version} is not known; v2.0, v2.1 and v3.0 are"
    )


def _of_v2(folder: Path, info: dict[str, Any], cameras: list[str]) -> list[Entry]:
    found = []
    for row in read_jsonl(folder / "meta" / "episodes.jsonl"):
        number = int(row["episode_index"])
        names = {"episode_index": number, "episode_chunk": number // int(info.get("chunks_size", 1000))}
        for camera in cameras:
            video = folder / info["video_path"].format(video_key=camera, **names)
            needs = (folder / info["data_path"].format(**names),)
            found.append(Entry(f"{camera}/{number}", camera, str(number), True, video, needs))
    return found


def _of_v3(folder: Path, info: dict[str, Any], cameras: list[str]) -> list[Entry]:
    from pyarrow import parquet  # type: ignore[import-untyped]

    tables = sorted((folder / "meta" / "episodes").glob("chunk-*/file-*.parquet"))
    if not tables:
        raise UserError(f"{folder / 'meta' / 'episodes' / 'chunk-000' / 'file-000.parquet'}: is missing")
    found = []
    for row in (row for table in tables for row in parquet.read_table(table).to_pylist()):
        number = int(row["episode_index"])
        place = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
        needs = (folder / info["data_path"].format(**place),)
        for camera in cameras:
            of = {name: row[f"videos/{camera}/{name}"] for name in ("chunk_index", "file_index")}
            video = folder / info["video_path"].format(video_key=camera, **of)
            span = (row[f"videos/{camera}/{end}_timestamp"] for end in ("from", "to"))
            member = ":".join(f"{float(time):.9f}" for time in span)
            found.append(Entry(f"{camera}/{number}", camera, str(number), True, video, needs, member=member))
    return found


def film(entry: Entry) -> tuple[Film, float]:
    """The episode's frames and rate."""
    if not entry.member:
        return film_of(entry.video)
    start, stop = (float(time) for time in entry.member.split(":"))
    video = open_video(entry.video)
    times, half = video.times_s, 0.5 * float(np.median(np.diff(video.times_s)))
    mine = np.flatnonzero((times > start - half) & (times < stop - half))
    if not len(mine):
        raise Unreadable(f"has nothing from {start:g} to {stop:g} s")
    first, last = int(mine[0]), int(mine[-1])
    pieces = []
    for piece in read(video, min(video.height_px, video.width_px)):
        pieces.append(piece.frames[max(first - piece.first, 0) : max(last + 1 - piece.first, 0)])
        if piece.first + len(piece.frames) > last:
            break
    return np.concatenate(pieces), 1.0 / (2.0 * half)


BENCHMARK = Benchmark(
    name="lerobot",
    source="LeRobot data set format v2.0 to v3.0",
    layout=LAYOUT,
    reading=Reading(size_px=64, square="cropped"),
    entries=entries,
    film=film,
)
