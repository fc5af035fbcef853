"""`vidworld data ingest FOLDER --out DATASET`: a folder of real videos -> a data set of clips."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vidworld.core.command import Command
from vidworld.video import REAL_SPLITS
from vidworld.video.ingest import FileRecord, Ingested, ingest
from vidworld.video.windows import ClipOptions

# What it means that a split has no clip.
WITHOUT = {
    "train": "trainings use simulated clips only",
    "val": "none is for validation",
    "real": "none is held out, so evaluation leaves real video out",
}


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
    known = "what is known of the videos, as JSON Lines: file, true_fps, gravity, event_frames, px_per_m"
    add("--sidecar", type=Path, metavar="FILE", help=f"{known} (default: FOLDER/clips.jsonl, if it is there)")


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
