"""Where it says what was done in videos: an `actions.csv` beside them, or the tables of a LeRobot data set."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidworld.core.errors import UserError
from vidworld.core.records import read_json
from vidworld.video import ACTIONS_NAME, REWARD, plain_name
from vidworld.video.actions import FolderActions, VideoActions
from vidworld.video.events import nearest
from vidworld.video.lerobot import LEROBOT_INFO, Episode, listed

FRAME, TIME = "frame", "time_s"
OTHER_MARKS = ((";", "semicolons"), ("\t", "tabs"))  # by which other programs separate cells
LEROBOT_REWARD = "next.reward"  # what the action of a frame brought
LARGEST_NUMBER = 1e12  # of a table: those beyond stand for what is missing (3e38) or are times (1.7e18 ns)
ACTIONS_HELP = f"""{ACTIONS_NAME} beside the videos says what was done in them, as a table with a header:
  file        the video, from the folder on
  frame       the frame AFTER which the action was taken, counted from 0; the last frame's row may be left out
  time_s      instead of frame: seconds of the scene from the video's first frame, from which on the action held
  reward      may be left out: what the action brought, a number in any unit
  NAME ...    one column a channel of the action: a number, in any unit
Each channel is put between -1 and 1 by the data set's least and greatest; one that lies between them stays as it is.
What led to a frame of a clip is the mean of what was done since the frame before it. Videos without rows, or with one
that is broken, are set aside."""


def actions_of(folder: Path) -> FolderActions | None:
    """What was done in the videos of a folder; None where nothing says it. UserError where the table is none."""
    if (folder / LEROBOT_INFO).exists():
        return _lerobot_actions(folder)
    path = folder / ACTIONS_NAME
    return read_actions(path) if path.exists() else None


def read_actions(path: Path) -> FolderActions:
    """The actions of a table. Its videos may have faults; UserError where it cannot be read or lacks a column."""
    rows: dict[str, list[tuple[float, list[float], int]]] = {}
    faults: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            table = _cells(path, stream)
            header = [name.strip() for name in next(table, (1, []))[1]]
            key, channels = _columns(path, header)
            numbers_of = (key, *channels, *[REWARD] * (REWARD in header))
            places = [header.index(name) for name in ("file", *numbers_of)]
            for line, cells in table:
                if not any(cell.strip() for cell in cells):
                    continue
                file = plain_name(cells[places[0]].strip()) if len(cells) > places[0] else ""
                said = f"{path.name}:{line}"
                if len(cells) != len(header):
                    fault = f"{said} has {len(cells)} cells, and its header {len(header)}"
                    faults.setdefault(file, f"has an action that cannot be used: {fault}")
                    continue
                texts = [cells[place] for place in places[1:]]
                found = [*zip(numbers_of, texts, map(_number, texts), strict=True)]
                if bad := [f"{name}: {text!r} {why}" for name, text, why in found if isinstance(why, str)]:
                    faults.setdefault(file, f"has an action that cannot be used: {said}: {bad[0]}")
                    continue
                stamp, *values = [number for *_, number in found if not isinstance(number, str)]
                rows.setdefault(file, []).append((stamp, values, line))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is no table in UTF-8"
        raise UserError(f"{path}: cannot be read ({reason})") from error
    if not rows and not faults:
        raise UserError(f"{path}: has no row; remove it, or give one an action (`vidworld data ingest --help`)")
    rewarded = REWARD in header
    videos = {file: _video(path, key, of, rewarded) for file, of in rows.items()}
    return FolderActions(tuple(channels), videos | faults, rewarded)


def _cells(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line with its number, each line by itself. UserError: one is no row, or has no commas."""
    width = 0
    for number, line in enumerate(lines, start=1):
        if _leaves_open(line):
            raise UserError(
                f'{path}:{number}: a quotation mark is not closed; close each (") in its line, or take it out'
            )
        cells = next(csv.reader([line]), [])
        for mark, name in OTHER_MARKS:
            parts = len(line.split(mark))
            if len(cells) == 1 and line.strip() and (parts == width if width else parts > 1):
                raise UserError(f"{path}:{number}: separates its cells by {name}; commas are wanted")
        width = width or len(cells)
        yield number, cells


def _leaves_open(line: str) -> bool:
    """Whether a quotation mark is not closed in it; others that are out of place are the reader's to take."""
    try:
        next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


def _columns(path: Path, header: list[str]) -> tuple[str, list[str]]:
    """The column that says when, and those of the channels."""
    faults = []
    for wanted in ("file", (FRAME, TIME)):
        names = (wanted,) if isinstance(wanted, str) else wanted
        if not any(name in header for name in names):
            near = next((close for name in header if (close := nearest(name.casefold(), names, 0.6))), None)
            hint = f"; did you mean {near}?" if near else f"; it has {', '.join(header) or 'none'}"
            faults.append(f"{path}: has no column {' or '.join(names)}{hint}")
    if FRAME in header and TIME in header:
        faults.append(f"{path}: has both columns {FRAME} and {TIME}; leave one out")
    if double := [name for name in dict.fromkeys(header) if header.count(name) > 1]:
        faults.append(f"{path}: has several columns {double[0]!r}; give each a name of its own")
    channels = [name for name in header if name not in ("file", FRAME, TIME, REWARD)]
    if not faults and not channels:
        faults.append(f"{path}: has no channel of an action; add a column of numbers, of any name")
    if faults:
        raise UserError("\n".join(faults))
    return (FRAME if FRAME in header else TIME), channels


def _number(text: str) -> float | str:
    """What a cell says, or what is wrong with it."""
    try:
        value = float(text)
    except ValueError:
        return "is no number"
    if math.isnan(value) or text.strip().lstrip("+-").casefold().startswith("inf"):
        return "is no number"
    return value if abs(value) <= LARGEST_NUMBER else f"is too large a number (at most {LARGEST_NUMBER:g})"


def _video(path: Path, key: str, rows: list[tuple[float, list[float], int]], rewarded: bool) -> VideoActions | str:
    """The rows of one video in their order, or what is wrong with them; rewarded: their last numbers are rewards."""
    rows = sorted(rows, key=lambda row: row[0])
    stamps = np.array([stamp for stamp, *_ in rows])
    values, rewards = np.array([values for _, values, _ in rows], np.float64), None
    if rewarded:
        values, rewards = values[:, :-1], values[:, -1]
    if len(again := np.flatnonzero(np.diff(stamps) <= 0)):
        stamp, _, line = max(rows[again[0] : again[0] + 2], key=lambda row: row[2])
        return f"has an action that cannot be used: {path.name}:{line}: {key} {stamp:g} has a row already"
    if key == TIME:
        return VideoActions(values, stamps, rewards)
    if len(wrong := np.flatnonzero(stamps != np.arange(len(stamps)))):
        stamp, number, line = float(stamps[wrong[0]]), int(wrong[0]), rows[int(wrong[0])][2]
        if stamp < 0 or stamp != round(stamp):
            said = f"{path.name}:{line}: frame {stamp:g} is none; they are counted 0, 1, 2"
            return f"has an action that cannot be used: {said}"
        return f"has no action of frame {number} in {path.name}"
    return VideoActions(values, rewards=rewards)


def _lerobot_actions(folder: Path) -> FolderActions | None:
    """Those of every episode; None where the data set has none, or no table of them can be read (which is said)."""
    feature = dict(read_json(folder / LEROBOT_INFO).get("features") or {}).get("action")
    if not feature:
        return None
    found = [one for one in listed(folder) if isinstance(one, Episode)]
    tables = {path: _table(path) for path in sorted({one.data for one in found})}
    broken = [f"{path.relative_to(folder)} {table}" for path, table in tables.items() if isinstance(table, str)]
    if len(broken) == len(tables):
        print(f"{folder}: is used without its actions: {broken[0] if broken else 'it lists no episode'}", flush=True)
        return None
    videos: dict[str, VideoActions | str] = {}
    for one in found:
        table = tables[one.data]
        name = f"{one.camera}/{one.number:06d}"
        lacks = f"has no actions: {one.data.relative_to(folder)} "
        videos[name] = lacks + table if isinstance(table, str) else table.get(one.number, f"{lacks}lacks its rows")
    widths = [video.values.shape[1] for video in videos.values() if isinstance(video, VideoActions)]
    if not widths:
        return None
    usual = max(set(widths), key=widths.count)
    for name, video in videos.items():
        if isinstance(video, VideoActions) and video.values.shape[1] != usual:
            videos[name] = f"has {video.values.shape[1]} numbers an action, and others {usual}"
    rewarded = all(video.rewards is not None for video in videos.values() if isinstance(video, VideoActions))
    if not rewarded:
        videos = {n: v if isinstance(v, str) else replace(v, rewards=None) for n, v in videos.items()}
    return FolderActions(_names(feature, usual), videos, rewarded)


def _names(feature: Mapping[str, object], width: int) -> tuple[str, ...]:
    """Names of the channels where LeRobot has as many, plain or in groups."""
    names = feature.get("names")
    if isinstance(names, Mapping):
        names = [name for group in names.values() for name in (group if isinstance(group, list) else [group])]
    if isinstance(names, list) and len(names) == width:
        return tuple(str(name) for name in names)
    return tuple(f"action_{channel}" for channel in range(width))


def _table(path: Path) -> dict[int, VideoActions | str] | str:
    """The actions of each episode in a table of LeRobot, or why there are none; both go on from its name."""
    from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]

    columns = ["episode_index", "frame_index", "action"]
    try:
        with parquet.ParquetFile(path) as file:  # read_table takes the dot of a name for a field in a field
            said = LEROBOT_REWARD in file.schema_arrow.names
            rows = file.read(columns=[*columns, *[LEROBOT_REWARD] * said])
        numbers, frames = (rows[name].to_numpy() for name in ("episode_index", "frame_index"))
        values = np.array(rows["action"].to_pylist(), np.float64)
        brought = np.array(rows[LEROBOT_REWARD].to_pylist() if said else [None] * len(values), np.float64)
    except (ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        return f"is no table of actions that can be read ({reason})"
    values = values.reshape(len(values), -1)
    videos: dict[int, VideoActions | str] = {}
    for number in np.unique(numbers):
        mine = np.flatnonzero(numbers == number)
        mine = mine[np.argsort(frames[mine], kind="stable")]
        if not np.array_equal(frames[mine], np.arange(len(mine))):
            videos[int(number)] = f"has actions of frames that are not counted 0, 1, 2 in {path.name}"
        elif not np.isfinite(values[mine]).all():
            videos[int(number)] = f"has an action that is no number in {path.name}"
        else:
            rewards = brought.reshape(len(values))[mine]
            videos[int(number)] = VideoActions(values[mine], rewards=rewards if np.isfinite(rewards).all() else None)
    return videos
