"""`vidworld data ingest FOLDER --out DATASET`: a folder of videos -> a data set of clips.

The data set is one of `datasets`, a row a clip, beside a record of how it was made and of what was set aside and why.
"""

import argparse
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import datasets  # type: ignore[import-untyped]
import numpy as np
from pydantic import TypeAdapter
from tqdm import tqdm

from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.core.records import fingerprint, publish_folder, write_json
from vidworld.video import REAL_SPLITS, RECORD_NAME, read_record
from vidworld.video.clips import ClipOptions, VideoClips, clips_of_video
from vidworld.video.decode import Unreadable
from vidworld.video.sidecar import GRAVITY_DIRECTIONS, SIDECAR_NAME, SidecarEntry, read_sidecar, sidecar_help
from vidworld.video.source import Source, content_of, sources_of, splits_by_content

INGEST_VERSION = 2  # of the way clips are made: raised when the same videos come to give other clips or splits
SET_ASIDE_NAME = "set_aside.json"
# What it means that a split has no clip.
WITHOUT = {
    "train": "trainings use simulated clips only",
    "val": "none is for validation",
    "real": "none is held out, so evaluation leaves real video out",
}


@dataclass(frozen=True)
class FileRecord:
    """How a video became clips."""

    file: str
    split: str
    clips: int
    fps: tuple[float, ...]
    static_camera: int  # clips during which the camera stands still
    shots: int
    frames: int
    black: int
    repeated: int
    decoder: str
    time_base: str
    without_clip: tuple[str, ...]  # why shots gave no clip


@dataclass(frozen=True)
class SetAside:
    """A video without clips; the reason goes on from its name."""

    file: str
    reason: str


@dataclass(frozen=True)
class Ingested:
    """What there is after `ingest`."""

    out: Path
    files: tuple[FileRecord, ...]
    set_aside: tuple[SetAside, ...]
    reused: bool


def ingest(folder: Path, out: Path, options: ClipOptions, sidecar: Path | None = None) -> Ingested:
    """The data set of all videos in a folder and the folders in it; it is at `out` only when it is complete.

    A LeRobot data set (meta/info.json) gives each camera's video of each episode, WebDataset's shards (tar files and no
    video beside them) their videos. The sidecar is `clips.jsonl` of the folder where none is given and there is one. A
    data set that was made of the same files with the same options is left as it is. UserError where no video can be
    used, the sidecar is wrong, or `out` cannot be written.
    """
    _check(options)
    if sidecar is None and (folder / SIDECAR_NAME).exists():
        sidecar = folder / SIDECAR_NAME
    known = {} if sidecar is None else read_sidecar(sidecar)
    sources = sources_of(folder)
    looked_at = tqdm(sources.items(), "look", unit="video", disable=None, delay=1)
    contents = {file: content_of(source) for file, source in looked_at}
    entries = [entry.model_dump(mode="json") for entry in known.values()]
    made_of = fingerprint(INGEST_VERSION, contents, asdict(options), entries)
    if (finished := _finished(out, made_of)) is not None:
        return finished
    try:
        with _workshop(out) as workshop:
            records, aside = _read_all(sources, contents, known, options, workshop)
            if not records:
                some = "; ".join(f"{one.file} {one.reason}" for one in aside[:3])
                more = f"; and {len(aside) - 3} more" if len(aside) > 3 else ""
                raise UserError(f"{folder}: no video in it can be used: {some}{more}")
            built = workshop / "built"
            content = _join(records, workshop, built)
            made = {"version": INGEST_VERSION, "made_of": made_of, "options": asdict(options)}
            made |= {"content": content, "files": [asdict(one) for one in records]}
            write_json(built / SET_ASIDE_NAME, [asdict(one) for one in aside])
            write_json(built / RECORD_NAME, made)
            publish_folder(built, out)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{out}: cannot be written ({reason}): name another folder") from error
    return Ingested(out, records, aside, reused=False)


def _check(options: ClipOptions) -> None:
    low = {"--fps": options.fps, "--size": options.size_px, "--stride": options.stride}
    faults = [f"{name}: {value:g} is not above zero" for name, value in low.items() if not value > 0]
    if options.num_frames < 2:
        faults.append(f"--num-frames: {options.num_frames} is below 2, and nothing moves in one picture")
    if faults:
        raise UserError("\n".join(faults))


def _finished(out: Path, made_of: str) -> Ingested | None:
    """What is at `out` already, if it is of the same files and options."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    record = read_record(out)
    if record is None:
        raise UserError(f"{out}: is there already and is no ingested data set: name another folder")
    if record.get("made_of") != made_of:
        return None
    files = TypeAdapter(tuple[FileRecord, ...]).validate_python(record["files"])
    aside = json.loads((out / SET_ASIDE_NAME).read_text(encoding="utf-8"))
    return Ingested(out, files, tuple(SetAside(**one) for one in aside), reused=True)


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """A folder beside `out` to build in, gone afterwards whatever happened; without the progress bars of `datasets`."""
    path, loud = out.with_name(f".{out.name}.part"), not datasets.utils.are_progress_bars_disabled()
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    datasets.disable_progress_bars()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if loud:
            datasets.enable_progress_bars()


def _read_all(
    sources: Mapping[str, Source],
    contents: dict[str, str | None],
    known: Mapping[str, SidecarEntry],
    options: ClipOptions,
    workshop: Path,
) -> tuple[tuple[FileRecord, ...], tuple[SetAside, ...]]:
    """The videos that gave clips, their rows saved and let go of, and the others."""
    splits = splits_by_content(sources, contents)
    first_of = {content or file: file for file, content in reversed(contents.items())}

    def read_one(file: str) -> FileRecord | SetAside:
        if (first := first_of[contents[file] or file]) != file:
            return SetAside(file, f"is the same as {first}")
        entry = known.get(file) or SidecarEntry(file=file)
        try:
            video = clips_of_video(sources[file], entry, options)
        except Unreadable as error:
            return SetAside(file, str(error))
        except (OSError, av.error.FFmpegError, cv2.error) as error:
            return SetAside(file, f"cannot be read ({getattr(error, 'strerror', None) or error})")
        _save_clips(entry, video, options, _part(workshop, file))
        return _record(file, splits[file], video)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        coming = [pool.submit(read_one, file) for file in contents]
        try:
            results = [one.result() for one in tqdm(coming, "ingest", unit="video", disable=None)]
        except BaseException:  # Ctrl-C, a full disk: do not read the rest first
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    results += [SetAside(file, "is in the sidecar but not in the folder") for file in known if file not in contents]
    records = tuple(result for result in results if isinstance(result, FileRecord))
    return records, tuple(result for result in results if isinstance(result, SetAside))


def _record(file: str, split: str, video: VideoClips) -> FileRecord:
    clips = [clip for _, clip in video.clips]
    rates, static = tuple(sorted({clip.fps for clip in clips})), sum(clip.static_camera for clip in clips)
    same = {name: getattr(video, name) for name in ("shots", "frames", "black", "repeated", "decoder", "time_base")}
    without = tuple(video.without_clip)
    return FileRecord(file, split, len(clips), rates, static, without_clip=without, **same)


def _part(workshop: Path, file: str) -> Path:
    return workshop / "parts" / hashlib.sha256(file.encode()).hexdigest()


def _save_clips(entry: SidecarEntry, video: VideoClips, options: ClipOptions, path: Path) -> None:
    """Write the clips of one video as rows on disk."""
    clips, shape = [clip for _, clip in video.clips], (options.num_frames, 3, options.size_px, options.size_px)
    text, number, whole, flag = (datasets.Value(kind) for kind in ("string", "float64", "int32", "bool"))
    direction, scale = GRAVITY_DIRECTIONS.get(entry.gravity or ""), options.size_px / video.short_side_px
    line = entry.model_dump_json() if entry.model_fields_set != {"file"} else None

    def each(name: str) -> list[Any]:
        return [getattr(clip, name) for clip in clips]

    def same(value: Any) -> list[Any]:
        return [value] * len(clips)

    columns: dict[str, tuple[Any, Any]] = {
        "frames": (datasets.Array4D(shape, "uint8"), np.stack(each("frames"))),
        "identity": (text, [f"real/{entry.file}/{i}" for i in range(len(clips))]),
        "shot": (whole, [shot for shot, _ in video.clips]),
        "crop_left_px": (number, [left * video.short_side_px for left in each("crop_left")]),  # in the video
        "crop_top_px": (number, [top * video.short_side_px for top in each("crop_top")]),
        "file": (text, same(entry.file)),
        "event": (text, same(entry.event)),
        "gravity": (text, same(entry.gravity)),
        # A unit vector, x right and y down.
        "gravity_direction": (datasets.Sequence(number, length=2), same(None if direction is None else [*direction])),
        "px_per_m": (number, same(None if entry.px_per_m is None else entry.px_per_m * scale)),  # of the clip
        "scale": (number, same(scale)),  # pixels of the clip a pixel of the video
        "time_base": (text, same(video.time_base)),
        "sidecar": (text, same(line)),  # the video's line, as JSON
        "fps": (number, each("fps")),
        "start_s": (number, each("start_s")),  # scene time, from the start of the file
        "start_frame": (whole, each("start_frame")),  # frames at `fps` from the first clip of the shot
        "in_event": (flag, each("in_event")),  # touches the sidecar's event, or the sidecar names none
        "static_camera": (flag, each("static_camera")),
        "motion": (number, each("motion")),  # share of the clip's pixels that move
        "motion_in_view": (number, each("motion_in_view")),  # share of the uncropped picture's motion in the clip
        "time_error_s": (number, each("time_error_s")),  # largest distance of a frame from its time
    }
    features = datasets.Features({name: kind for name, (kind, _) in columns.items()})
    rows = {name: values for name, (_, values) in columns.items()}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(path)


def _join(records: Sequence[FileRecord], workshop: Path, out: Path) -> dict[str, dict[str, str]]:
    """Write the rows of each split's videos as one data set on disk.

    The fingerprints of each split: of its clips' frames, and of everything else that their rows hold.
    """
    files = {split: [one.file for one in records if one.split == split] for split in REAL_SPLITS}
    parts = {split: [datasets.load_from_disk(_part(workshop, file)) for file in files[split]] for split in REAL_SPLITS}
    joined = {split: datasets.concatenate_datasets(rows) for split, rows in parts.items() if rows}
    datasets.DatasetDict(joined).save_to_disk(out)
    content = {}
    for split in REAL_SPLITS:
        rows = joined.get(split)
        pictures = [] if rows is None else rows.select_columns("frames").with_format("numpy", dtype=np.uint8)
        frames = [[*row["frames"].shape, hashlib.sha256(row["frames"].tobytes()).hexdigest()] for row in pictures]
        known = [] if rows is None else rows.remove_columns("frames").to_list()
        content[split] = {"frames": fingerprint(frames), "rows": fingerprint(known)}
    return content


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    usual = ClipOptions()
    add = parser.add_argument
    kinds = "videos, also in folders within it; a LeRobot data set; WebDataset shards"
    add("folder", type=Path, metavar="FOLDER", help=kinds)
    add("--out", type=Path, required=True, metavar="DATASET", help="where the data set is written")
    fps = (
        "frames a second of a clip, in scene time; a shot (its event, where the sidecar names one) too short "
        "to fill a clip at it is read at a multiple of it, or at the camera's own rate (default: %(default)g)"
    )
    add("--fps", type=float, default=usual.fps, help=fps)
    add("--one-rate", action="store_true", help="set aside what is too short instead of reading it faster")
    add("--size", type=int, default=usual.size_px, help="pixels of a side of a clip (default: %(default)s)")
    add("--num-frames", type=int, default=usual.num_frames, help="frames of a clip (default: %(default)s)")
    add("--stride", type=int, default=usual.stride, help="frames from clip to clip (default: %(default)s)")
    known = "what is known of the videos, as JSON Lines, see below (default: FOLDER/clips.jsonl, if it is there)"
    add("--sidecar", type=Path, metavar="FILE", help=known)
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, sidecar_help()


def _run(arguments: argparse.Namespace) -> None:
    options = ClipOptions(arguments.fps, arguments.size, arguments.num_frames, arguments.stride, arguments.one_rate)
    print(summary(ingest(arguments.folder, arguments.out, options, arguments.sidecar)))


def summary(ingested: Ingested) -> str:
    """A table of the files that gave clips, and one of those set aside with their reasons."""
    head = ("file", "split", "clips", "fps", "time", "read by", "static", "dropped")
    lines = _table([head, *(_row(record) for record in ingested.files)])
    if ingested.set_aside:
        reasons = [(one.file, one.reason) for one in ingested.set_aside]
        lines += ["", *_table([("set aside", "because it"), *reasons])]
    clips = sum(record.clips for record in ingested.files)
    what = "was there already, of the same files and options" if ingested.reused else "is written"
    counts = f"{clips} clips of {len(ingested.files)} files, {len(ingested.set_aside)} set aside"
    lines += ["", f"{ingested.out}: {counts}; it {what}"]
    if empty := [split for split in REAL_SPLITS if split not in {record.split for record in ingested.files}]:
        lacks = "; ".join(f"no clip in split {split} ({WITHOUT[split]})" for split in empty)
        remedy = "The split of a video follows from its content alone: add videos to fill these"
        lines.append(f"{ingested.out}: {lacks}. {remedy}")
    return "\n".join(lines)


def _row(record: FileRecord) -> tuple[str, ...]:
    dropped = {"black": record.black, "repeated": record.repeated}
    parts = [f"{count} {what} frames" for what, count in dropped.items() if count]
    if without := len(record.without_clip):
        parts.append(f"{without} of {record.shots} shots")
    rates = " ".join(f"{fps:.4g}" for fps in record.fps)
    read_by = (record.time_base, record.decoder, str(record.static_camera))
    return (record.file, record.split, str(record.clips), rates, *read_by, ", ".join(parts))


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return ["  ".join(row).rstrip() for row in padded]


INGEST = Command(_add_arguments, _run)
