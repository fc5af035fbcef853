"""What a benchmark is: a documented folder, its entries, how its videos are read and scored; and one checker."""

import argparse
import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks import BENCHMARKS

if TYPE_CHECKING:
    from vidworld.analysis.records import Value
    from vidworld.evaluation.benchmarks.continuation import BenchmarkContext

MAX_NAMED = 20  # missing files that the checker names; of the rest it says how many


@dataclass(frozen=True)
class Entry:
    """One video of a benchmark."""

    identity: str  # its name in the benchmark's own words, unique in it
    property: str  # what it tests, or is of
    group: str  # videos that are compared with one another share it
    possible: bool | None  # None where the benchmark does not say, or has no such question
    video: Path  # a video, a folder of pictures, or a file that holds many videos
    needs: tuple[Path, ...] = ()  # further files that belong to it
    compared_with: tuple[Path, ...] = ()  # videos of other entries that its score reads, too
    first_frame: int = 0  # of the video; what is before it is not shown to a model
    member: str = ""  # which video of a file that holds many
    events: tuple[tuple[int, str], ...] = ()  # frames in which something happens, and what
    pair: str = ""  # within its group it is compared with the video of the same pair; "": by their order
    generated: str = ""  # what a model's own video of it is called by the benchmark's authors, with * for anything


@dataclass(frozen=True)
class Reading:
    """How a benchmark's own evaluation reads its videos; a model's own size and window may differ, and are said."""

    size_px: int  # of the square that a picture is squeezed to
    frame_step: int = 1  # of the video's frames, every so many-th is shown
    fps: float | None = None  # frames a second of the video; None: the file says
    window_frames: int | None = None  # shown frames that a model sees at once; None: all
    window_stride: int = 1
    context_frames: tuple[int, ...] = ()  # shown frames of a window that are given; the rest is predicted


# --- scores ---


@dataclass(frozen=True)
class ContinuationScore:
    """Models continue each video, at their own size and rate; copy-last and the truth stand beside them."""

    of_video: "Callable[[BenchmarkContext, Entry, Any], Iterator[Value]]"
    """The values of one video: of a model's future, and of the video itself where the model is None ("truth")."""
    metrics: tuple[str, ...]  # those that `of_video` gives values of
    whole: "Callable[[Sequence[Value], Sequence[Entry], int], Iterator[Value]] | None" = None
    """What follows from the values of all videos, the entries and a seed; None: the values themselves."""
    notes: "Callable[[Sequence[Value], Sequence[Entry]], Iterator[str]] | None" = None
    """Lines on what the values of all videos mean, and on videos that have none; given before `whole`."""


@dataclass(frozen=True)
class SurpriseScore:
    """Models are surprised by possible and impossible videos, shown at the benchmark's own rate, window by window."""

    submission: Callable[[Path, Mapping[str, float], Path], Path] | None = None
    """Writes a mean surprise by video of the benchmark's folder to a file, where labels are not given away."""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark or training source."""

    name: str
    label: str
    source: str
    layout: str  # the folder, as a tree
    reading: Reading
    entries: Callable[[Path], list[Entry]]
    """All entries that a folder should hold, whether or not their files are there; UserError without their list."""
    score: ContinuationScore | SurpriseScore | str  # or why it has none here
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
                state = "is empty" if path.exists() else "is missing"
                missing.setdefault(path, f"{path}: {state} ({entry.identity})")
    lines = list(missing.values())
    more = len(lines) - MAX_NAMED
    return [*lines[:MAX_NAMED], f"and {more} more files are missing or empty"] if more > 0 else lines


def numbered(folder: Path, pattern: str) -> dict[int, Path]:
    """The files of a folder that fit a pattern, by the number at the end of their names."""
    numbers = {path: re.findall(r"\d+", path.stem) for path in sorted(folder.glob(pattern))}
    return {int(found[-1]): path for path, found in numbers.items() if found}


def beside(path: Path, old: str, new: str) -> Path:
    """Where the other file of a pair lies: named alike, in the folder whose name goes with this one's."""
    return path.parent.parent / path.parent.name.replace(old, new) / path.name.replace(old, new)


def text_of(path: Path) -> str:
    """What a text file holds, in UTF-8, or in UTF-16 where a byte-order mark says so. Raises UserError."""
    try:
        content = path.read_bytes()
        marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if marked else "utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"{path}: is missing") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def rows_of(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a table that must have these columns. Raises UserError."""
    reader = csv.DictReader(io.StringIO(text_of(path), newline=""))
    try:
        lacking = [name for name in columns if name not in (reader.fieldnames or ())]
        if lacking:
            raise UserError(f"{path}: has no column {', '.join(lacking)}")
        for row in reader:
            if None in row.values():
                raise UserError(f"{path}: line {reader.line_num} has fewer columns than the first")
            yield row
    except csv.Error as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


# --- `vidworld data check KIND FOLDER` ---


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", help=", ".join(BENCHMARKS))
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the benchmark was unpacked")
    parser.add_argument("--layout", action="store_true", help="only say how the folder should look")


def _run(arguments: argparse.Namespace) -> None:
    benchmark = BENCHMARKS[arguments.kind]
    if arguments.layout:
        print(f"{benchmark.label} ({benchmark.source})\n{benchmark.layout}")
        return
    if missing := check(benchmark, arguments.folder):
        raise UserError("\n".join(missing))
    counts = Counter(entry.property for entry in benchmark.entries(arguments.folder))
    parts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    print(f"{arguments.folder}: complete, {sum(counts.values())} videos ({parts})")


CHECK = Command(_add_arguments, _run)
