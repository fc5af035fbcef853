"""What a benchmark is to vidworld: a documented folder, its entries, how it wants them read; and one checker."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from vidworld.core.clip import Clips
from vidworld.core.errors import UserError
from vidworld.core.shapes import Film
from vidworld.video.decode import Unreadable, open_video, read
from vidworld.video.source import Source

MOST_NAMED = 20
"""Missing files that the checker names; of the rest it says how many."""
PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Entry:
    """One film of a benchmark."""

    identity: str
    """Its name in the benchmark's own words, unique in it."""
    property: str
    """What it tests, or is of."""
    group: str
    """Films that are compared with one another share it."""
    possible: bool | None
    """None where the benchmark does not say, or has no such question."""
    video: Path
    """A film, a folder of pictures, or a file that holds many films."""
    needs: tuple[Path, ...] = ()
    """Further files that belong to it."""
    first_frame: int = 0
    """Of the film; what is before it is not shown to a world."""
    member: str = ""
    """Which film of a file that holds many."""
    events: tuple[tuple[int, str], ...] = ()
    """Frames in which something happens, and what."""


@dataclass(frozen=True)
class Reading:
    """How a benchmark's own evaluation reads its films; a world's own size and window may differ, and are said."""

    size_px: int
    frame_step: int = 1
    """Of the film's frames, every so many-th is shown."""
    fps: float | None = None
    """Frames a second of the film; None: the file says."""
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


@dataclass(frozen=True)
class Benchmark:
    """One benchmark or training source."""

    name: str
    source: str
    layout: str
    """The folder, as a tree."""
    reading: Reading
    entries: Callable[[Path], list[Entry]]
    """All entries that a folder should hold, whether or not their files are there.

    Raises UserError where what lists them is missing.
    """
    film: Callable[[Entry], tuple[Film, float]] | None = None
    """Frames and their rate, where entries are no plain films nor folders of pictures."""


def check(benchmark: Benchmark, folder: Path) -> list[str]:
    """A line for each thing that the folder lacks, with the file's name; none where it is complete."""
    if not folder.is_dir():
        return [f"{folder}: there is no such folder; {benchmark.name} has this layout:\n{benchmark.layout}"]
    try:
        entries = benchmark.entries(folder)
    except UserError as error:
        return str(error).splitlines()
    if not entries:
        return [f"{folder}: holds nothing of {benchmark.name}, which has this layout:\n{benchmark.layout}"]
    missing: dict[Path, str] = {}
    for entry in entries:
        for path in (entry.video, *entry.needs):
            if not path.exists() or (path.is_file() and path.stat().st_size == 0):
                missing.setdefault(path, entry.identity)
    state = {path: "is empty" if path.exists() else "is missing" for path in missing}
    lines = [f"{path}: {state[path]} ({identity})" for path, identity in missing.items()]
    if len(lines) > MOST_NAMED:
        lines = [*lines[:MOST_NAMED], f"and {len(lines) - MOST_NAMED} more files are missing or empty"]
    return lines


def clip_of(benchmark: Benchmark, entry: Entry, size_px: int | None = None) -> Clips:
    """The entry as one clip, read as its benchmark reads it, at another size where one is given.

    Raises:
        UserError: its film cannot be read.
    """
    reading = benchmark.reading
    try:
        film, fps = (benchmark.film or plain_film)(entry)
    except (Unreadable, OSError) as error:
        raise UserError(f"{entry.video}: {error}") from error
    shown = film[entry.first_frame :: reading.frame_step]
    if not len(shown):
        raise UserError(f"{entry.video}: has {len(film)} frames, none from frame {entry.first_frame} on")
    size = size_px or reading.size_px
    pictures = np.stack([_square(picture, size, reading.square) for picture in shown])
    frames = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())[None]
    rate = (reading.fps or fps) / reading.frame_step
    return Clips(frames, rate, (f"{benchmark.name}/{entry.identity}",))


def windows_of(clip: Clips, length: int, stride: int) -> Clips:
    """The clip's windows of `length` frames, `stride` apart, as clips of their own; the last ends with it.

    Raises:
        UserError: the clip is shorter than a window.
    """
    frames = clip.frames[0]
    if len(frames) < length:
        raise UserError(f"{clip.identity[0]}: shows {len(frames)} frames, and a window has {length}")
    last = len(frames) - length
    starts = sorted({*range(0, last + 1, stride), last})
    identity = tuple(f"{clip.identity[0]}/{start}" for start in starts)
    return Clips(torch.stack([frames[s : s + length] for s in starts]), clip.fps, identity)


def plain_film(entry: Entry) -> tuple[Film, float]:
    """The frames of a film, or of a folder of pictures (those that the entry needs, else all by name), and their rate.

    A folder of pictures has no rate of its own: NaN. Raises: Unreadable, OSError.
    """
    if entry.video.is_dir():
        listed = [path for path in entry.needs if path.parent == entry.video]
        pictures: list[np.ndarray] = []
        for path in listed or sorted(p for p in entry.video.iterdir() if p.suffix.lower() in PICTURES):
            picture = cv2.imread(str(path))
            if picture is None:
                raise Unreadable(f"{path.name} is no picture")
            if pictures and picture.shape != pictures[0].shape:
                raise Unreadable(f"{path.name} is of another size than the picture before it")
            pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        if not pictures:
            raise Unreadable("holds no picture")
        return np.stack(pictures).astype(np.uint8), float("nan")
    return film_of(Source(entry.video))


def film_of(source: Source) -> tuple[Film, float]:
    """All frames of a video at its own size, and their average rate. Raises: Unreadable, OSError."""
    with source.opened() as path:
        video = open_video(path)
        mine = source.frames(video.times_s)
        pieces = list(read(video, min(video.height_px, video.width_px), mine))
    times = video.times_s[mine.start : mine.stop]
    span = float(times[-1] - times[0])
    fps = (len(times) - 1) / span if span > 0 else float("nan")
    return np.concatenate([piece.frames for piece in pieces]), fps


def numbered(folder: Path, pattern: str) -> dict[int, Path]:
    """The files of a folder that fit a pattern, by the number at the end of their names."""
    found = {}
    for path in sorted(folder.glob(pattern)) if folder.is_dir() else []:
        digits = "".join(c if c.isdigit() else " " for c in path.stem).split()
        if digits:
            found[int(digits[-1])] = path
    return found


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a table that must have these columns.

    Raises:
        UserError: there is no such file, it is no such table, or a column is missing.
    """
    import csv

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


def _square(
    picture: UInt8[np.ndarray, "height width 3"], size_px: int, square: Literal["squeezed", "cropped"]
) -> UInt8[np.ndarray, "size size 3"]:
    if square == "cropped":
        side = min(picture.shape[:2])
        top, left = ((length - side) // 2 for length in picture.shape[:2])
        picture = picture[top : top + side, left : left + side]
    shrinks = size_px < min(picture.shape[:2])
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(picture, (size_px, size_px), interpolation=method).astype(np.uint8, copy=False)
