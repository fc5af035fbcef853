"""`vidworld data ingest FOLDER --out DATASET`: a folder of videos -> a data set of clips.

The data set is one of `datasets`, a row a clip, beside a record of how it was made and of what was set aside and why.
"""

import argparse
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from tqdm import tqdm

from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.core.records import fingerprint, publish_folder, read_json, write_json
from vidworld.core.workers import usual_workers
from vidworld.video import ACTIONS_NAME, COLLECTED_NAME, REAL_SPLITS, RECORD_NAME, SIDECAR_NAME, read_record
from vidworld.video.action_tables import ACTIONS_HELP, actions_of
from vidworld.video.actions import FolderActions
from vidworld.video.clips import ClipOptions
from vidworld.video.events import nearest
from vidworld.video.folder import NO_VIDEO, collection_of, is_there
from vidworld.video.jobs import INGEST_VERSION, FileRecord, SetAside, jobs_of, read_all
from vidworld.video.sidecar import SidecarEntry, read_sidecar, sidecar_help
from vidworld.video.source import content_of

SET_ASIDE_NAME = "set_aside.json"
MOST_ALIKE = 5  # files of a kind that are no videos and are printed one by one
# What it means that a split has no clip.
WITHOUT = {
    "train": "trainings use simulated clips only",
    "val": "none is for validation",
    "real": "none is held out, so evaluation leaves real video out",
}


@dataclass(frozen=True)
class Ingested:
    """What there is after `ingest`."""

    out: Path
    files: tuple[FileRecord, ...]
    set_aside: tuple[SetAside, ...]
    reused: bool


def ingest(
    folder: Path,
    out: Path,
    options: ClipOptions,
    sidecar: Path | None = None,
    workers: int | None = None,
    use_actions: bool = True,
) -> Ingested:
    """The data set of all videos in a folder and the folders in it; it is at `out` only when it is complete.

    A LeRobot data set (meta/info.json) gives each camera's video of each episode, a tar file (a WebDataset shard) the
    videos in it. The sidecar is `clips.jsonl` of the folder where none is given and there is one. A data set that was
    made of the same files with the same options is left as it is; what a run that was stopped had read is not read
    again. UserError where no video can be used, the sidecar is wrong, or `out` cannot be written.

    What is done in the videos is taken from `actions.csv` of the folder, or from the LeRobot data set, where there is
    one (`use_actions`); a video without actions is then set aside.

    workers: processes that read videos, by default as many as there are processors (16 at most). One that a decoder
    ends costs the video that it was at, which is set aside.
    """
    _check(options, workers)
    collected = _collected(folder) if (folder / COLLECTED_NAME).exists() else None
    if sidecar is None and is_there(folder / SIDECAR_NAME):
        sidecar = folder / SIDECAR_NAME
    known = {} if sidecar is None else read_sidecar(sidecar)
    found = collection_of(folder)
    looked_at = tqdm(found.sources.items(), "look", unit="video", disable=None, delay=1)
    contents = {file: content_of(source) for file, source in looked_at}
    entries = [entry.model_dump(mode="json") for entry in known.values()]
    actions = actions_of(folder) if use_actions else None
    acts = [] if actions is None else [{file: actions.known(file) for file in sorted({*contents, *actions.by_file})}]
    made_of = fingerprint(INGEST_VERSION, contents, asdict(options), entries, *acts)
    if (finished := _finished(out, made_of)) is not None:
        videos = [one for one in finished.set_aside if one.file in contents or one.file in known]
        others = [SetAside(name, reason) for name, reason in found.others.items()]  # these may be others than then
        return replace(finished, set_aside=(*videos, *others))
    try:
        with _workshop(out) as workshop:
            jobs = jobs_of(found.sources, contents, known, options, workshop, actions)
            results = read_all(jobs, workers or usual_workers())
            became = (results.get(file) for file in contents)
            records = tuple(one for one in became if isinstance(one, FileRecord))
            aside = _set_aside(found.others, contents, results, known, actions)
            if not records:
                some = "; ".join(f"{one.file} {one.reason}" for one in aside[:3])
                more = f"; and {len(aside) - 3} more" if len(aside) > 3 else ""
                raise UserError(f"{folder}: no video in it can be used: {some}{more}")
            parts = {job.file: job.part for job in jobs}
            by_split = {s: [parts[one.file] for one in records if one.split == s] for s in REAL_SPLITS}
            built = workshop / "built"
            acted = (0, False) if actions is None else (len(actions.channels), actions.rewarded)
            from vidworld.video.joined import join  # `datasets`, 100 MB, which reading the videos does without

            content = join(by_split, options, built, *acted)
            made = {"version": INGEST_VERSION, "made_of": made_of, "options": asdict(options)}
            made |= {"content": content, "files": [asdict(one) for one in records]}
            if collected is not None:
                made["environment"] = collected.get("environment")
            if actions is not None:  # held-out videos change nothing that is trained on
                trained = [one.file for one in records if one.split == "train"]
                made["actions"] = actions.record(trained or [one.file for one in records])
            write_json(built / SET_ASIDE_NAME, [asdict(one) for one in aside])
            write_json(built / RECORD_NAME, made)
            publish_folder(built, out)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{out}: cannot be written ({reason}): name another folder") from error
    return Ingested(out, records, aside, reused=False)


def _check(options: ClipOptions, workers: int | None) -> None:
    low = {"--fps": options.fps, "--size": options.size_px, "--stride": options.stride}
    low |= {} if workers is None else {"--workers": workers}
    faults = [f"{name}: {value:g} is no number above zero" for name, value in low.items() if not 0 < value < math.inf]
    if options.num_frames < 2:
        faults.append(f"--num-frames: {options.num_frames} is below 2, and nothing moves in one picture")
    if faults:
        raise UserError("\n".join(faults))


def _collected(folder: Path) -> dict[str, Any]:
    """The record of collected episodes. Raises UserError: it is none."""
    record = read_json(folder / COLLECTED_NAME)
    if not isinstance(record, dict):
        raise UserError(f"{folder / COLLECTED_NAME}: is no record of collected episodes; remove it, or collect again")
    return record


def _finished(out: Path, made_of: str) -> Ingested | None:
    """What is at `out` already, if it is of the same files and options."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    record = read_record(out)
    if record is None:
        raise UserError(f"{out}: is there already and is no ingested data set: name another folder")
    if record.get("made_of") != made_of:
        return None
    try:
        files = TypeAdapter(tuple[FileRecord, ...]).validate_python(record["files"])
        aside = tuple(SetAside(**one) for one in read_json(out / SET_ASIDE_NAME))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{out}: its records are damaged; remove it, or name another folder") from error
    return Ingested(out, files, aside, reused=True)


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """A folder beside `out` to build in.

    It is gone afterwards, unless the run is stopped: then the clips of the videos that were read stay for the next.
    """
    path = out.with_name(f".{out.name}.part")
    shutil.rmtree(path / "built", ignore_errors=True)
    (path / "parts").mkdir(parents=True, exist_ok=True)
    try:
        yield path
    except Exception:
        shutil.rmtree(path, ignore_errors=True)
        raise
    else:
        shutil.rmtree(path, ignore_errors=True)


def _set_aside(
    others: Mapping[str, str],
    contents: Mapping[str, str | None],
    results: Mapping[str, FileRecord | SetAside],
    known: Mapping[str, SidecarEntry],
    actions: FolderActions | None,
) -> tuple[SetAside, ...]:
    """All that gives no clip, with its reason: videos first."""
    aside, first_of = [], {content: file for file, content in reversed([*contents.items()])}
    for file, content in contents.items():
        result = results.get(file)
        if result is None and content is not None:
            aside.append(SetAside(file, f"is the same as {first_of[content]}"))
        elif isinstance(result, SetAside):
            aside.append(result)
    aside += [SetAside(file, "is in the sidecar but not in the folder") for file in known if file not in contents]
    for file in () if actions is None else actions.by_file:
        if file not in contents:
            near = nearest(file, contents)
            hint = f" (did you mean {near}?)" if near else ""
            aside.append(SetAside(file or "a row", f"is in {ACTIONS_NAME} but not in the folder{hint}"))
    return (*aside, *(SetAside(name, reason) for name, reason in others.items()))


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
    add("--workers", type=int, help="processes that read videos (default: as many as there are processors, 16 at most)")
    known = "what is known of the videos, as JSON Lines, see below (default: FOLDER/clips.jsonl, if it is there)"
    add("--sidecar", type=Path, metavar="FILE", help=known)
    add("--no-actions", action="store_true", help=f"leave out what is done in the videos ({ACTIONS_NAME}, LeRobot's)")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"{ACTIONS_HELP}\n\n{sidecar_help()}"


def _run(arguments: argparse.Namespace) -> None:
    options = ClipOptions(arguments.fps, arguments.size, arguments.num_frames, arguments.stride, arguments.one_rate)
    of = (arguments.folder, arguments.out, options, arguments.sidecar, arguments.workers)
    print(summary(ingest(*of, use_actions=not arguments.no_actions)))


def summary(ingested: Ingested) -> str:
    """A table of the files that gave clips, and one of those set aside with their reasons."""
    head = ("file", "split", "clips", "fps", "time", "read by", "static", "dropped")
    lines = _table([head, *(_row(record) for record in ingested.files)])
    if ingested.set_aside:
        lines += ["", *_table([("set aside", "because it"), *_reasons(ingested.set_aside)])]
    clips = sum(record.clips for record in ingested.files)
    what = "was there already, of the same files and options" if ingested.reused else "is written"
    counts = f"{clips} clips of {len(ingested.files)} files, {len(ingested.set_aside)} set aside"
    lines += ["", f"{ingested.out}: {counts}; it {what}"]
    if acts := (read_record(ingested.out) or {}).get("actions"):
        ranges = zip(acts["channels"], acts["low"], acts["high"], strict=True)
        said = ", ".join(f"{name} from {low:.4g} to {high:.4g}" for name, low, high in ranges)
        lines.append(f"{ingested.out}: with actions: {said}")
    if empty := [split for split in REAL_SPLITS if split not in {record.split for record in ingested.files}]:
        lacks = "; ".join(f"no clip in split {split} ({WITHOUT[split]})" for split in empty)
        remedy = "The split of a video follows from its content alone: add videos to fill these"
        lines.append(f"{ingested.out}: {lacks}. {remedy}")
    return "\n".join(lines)


def _reasons(aside: Sequence[SetAside]) -> list[tuple[str, str]]:
    """A line each, but of many files of one kind that are no videos only the first, with their number."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for one in aside:
        alike = Path(one.file).suffix if one.reason == NO_VIDEO else one.file
        kinds.setdefault((alike, one.reason), []).append(one.file)
    lines: list[tuple[str, str]] = []
    for (kind, reason), files in kinds.items():
        if len(files) > MOST_ALIKE:
            lines.append((files[0], f"{reason}, like {len(files) - 1} more {kind} (all are in {SET_ASIDE_NAME})"))
        else:
            lines += [(file, reason) for file in files]
    return lines


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
