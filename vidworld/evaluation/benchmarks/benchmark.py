"""What a benchmark is: a documented folder, its entries, how its videos are read and scored; and one checker."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vidworld.core.errors import UserError

if TYPE_CHECKING:
    from vidworld.analysis.records import Value
    from vidworld.evaluation.benchmarks.continuation import BenchmarkContext

MAX_NAMED = 20
"""Missing files that the checker names; of the rest it says how many."""


@dataclass(frozen=True)
class Entry:
    """One video of a benchmark."""

    identity: str
    """Its name in the benchmark's own words, unique in it."""
    property: str
    """What it tests, or is of."""
    group: str
    """Videos that are compared with one another share it."""
    possible: bool | None
    """None where the benchmark does not say, or has no such question."""
    video: Path
    """A video, a folder of pictures, or a file that holds many videos."""
    needs: tuple[Path, ...] = ()
    """Further files that belong to it."""
    compared_with: tuple[Path, ...] = ()
    """Videos of other entries that its score reads, too."""
    first_frame: int = 0
    """Of the video; what is before it is not shown to a model."""
    member: str = ""
    """Which video of a file that holds many."""
    events: tuple[tuple[int, str], ...] = ()
    """Frames in which something happens, and what."""


@dataclass(frozen=True)
class Reading:
    """How a benchmark's own evaluation reads its videos; a model's own size and window may differ, and are said."""

    size_px: int
    frame_step: int = 1
    """Of the video's frames, every so many-th is shown."""
    fps: float | None = None
    """Frames a second of the video; None: the file says."""
    square: Literal["squeezed", "cropped"] = "squeezed"
    """How a picture becomes a square: all of it, or its middle."""
    window_frames: int | None = None
    """Shown frames that a model sees at once; None: all."""
    window_stride: int = 1
    context_frames: tuple[int, ...] = ()
    """Shown frames of a window that are given; the rest is predicted."""


def windowed(frame_step: int, fps: float | None = None) -> Reading:
    """The reading of Garrido et al. 2025 (arXiv 2502.11831): windows of 16 shown frames two apart, squeezed."""
    given = (2, 4, 6, 8, 10, 12)
    return Reading(224, frame_step, fps, window_frames=16, window_stride=2, context_frames=given)


# --- scores ---


@dataclass(frozen=True)
class ContinuationScore:
    """Models continue each video, at their own size and rate; copy-last and the truth stand beside them."""

    of_video: "Callable[[BenchmarkContext, Entry, Any], Iterator[Value]]"
    """The values of one video: of a model's future, and of the video itself where the model is None ("truth")."""
    metrics: tuple[str, ...]
    """Those that `of_video` gives values of."""
    whole: "Callable[[Sequence[Value], Sequence[Entry], int], Iterator[Value]] | None" = None
    """What follows from the values of all videos, the entries and a seed; None: the values themselves."""


@dataclass(frozen=True)
class SurpriseScore:
    """Models are surprised by possible and impossible videos, shown at the benchmark's own rate, window by window."""

    submission: Callable[[Path, Mapping[str, float], Path], Path] | None = None
    """Writes a mean surprise by video of the benchmark's folder to a file, where labels are not given away."""


@dataclass(frozen=True)
class Unscored:
    """The benchmark has no score here."""

    reason: str


@dataclass(frozen=True)
class Benchmark:
    """One benchmark or training source."""

    name: str
    label: str
    source: str
    layout: str
    """The folder, as a tree."""
    reading: Reading
    entries: Callable[[Path], list[Entry]]
    """All entries that a folder should hold, whether or not their files are there; UserError without their list."""
    score: ContinuationScore | SurpriseScore | Unscored
    decode: Callable[[Entry], tuple[Any, float]] | None = None
    """Frames and their rate, where entries are no plain videos nor folders of pictures."""
    version: int = 1
    """Of its reading and score; raised when they give other values, so that what was measured is stale."""


# --- folders ---


def check(benchmark: Benchmark, folder: Path) -> list[str]:
    """A line for each thing that the folder lacks, with the file's name; none where it is complete."""
    if not folder.is_dir():
        return [f"{folder}: there is no such folder; {benchmark.label} has this layout:\n{benchmark.layout}"]
    try:
        entries = benchmark.entries(folder)
    except UserError as error:
        return str(error).splitlines()
    if not entries:
        return [f"{folder}: holds nothing of {benchmark.label}, which has this layout:\n{benchmark.layout}"]
    missing: dict[Path, str] = {}
    for entry in entries:
        for path in (entry.video, *entry.needs):
            if not path.exists() or (path.is_file() and path.stat().st_size == 0):
                missing.setdefault(path, entry.identity)
    state = {path: "is empty" if path.exists() else "is missing" for path in missing}
    lines = [f"{path}: {state[path]} ({identity})" for path, identity in missing.items()]
    more = len(lines) - MAX_NAMED
    return [*lines[:MAX_NAMED], f"and {more} more files are missing or empty"] if more > 0 else lines


def numbered(folder: Path, pattern: str) -> dict[int, Path]:
    """The files of a folder that fit a pattern, by the number at the end of their names."""
    found = {}
    for path in sorted(folder.glob(pattern)) if folder.is_dir() else []:
        digits = "".join(c if c.isdigit() else " " for c in path.stem).split()
        if digits:
            found[int(digits[-1])] = path
    return found


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a table that must have these columns. Raises UserError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            lacking = [name for name in columns if name not in (reader.fieldnames or ())]
            if lacking:
                raise UserError(f"{path}: has no column {', '.join(lacking)}")
            for row in reader:
                if None in row.values():
                    raise UserError(f"{path}: line {reader.line_num} has fewer columns than the first")
                yield row
    except FileNotFoundError as error:
        raise UserError(f"{path}: is missing") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
