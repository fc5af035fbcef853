"""The videos of a folder, read side by side in processes of their own: each gives clips, or the reason why not."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter
from tqdm import tqdm

from vidworld.core.errors import UserError
from vidworld.core.records import fingerprint, write_json
from vidworld.core.workers import each_apart, ends_if_stalled
from vidworld.video.actions import FolderActions, VideoActions
from vidworld.video.clips import ClipOptions, RealClip, VideoClips, clips_of_video
from vidworld.video.probe import Unreadable
from vidworld.video.rows import ROWS_VERSION, ClipRows
from vidworld.video.sidecar import SidecarEntry
from vidworld.video.source import Source, splits_by_content

INGEST_VERSION = 4  # of the way clips are made: raised when the same videos come to give other clips or splits
STALLED_S = 900.0  # of decoding, after which a piece of a video is given up
CRASHES = "ends the process that reads it: its decoder crashes, or gives nothing for fifteen minutes"


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
class Job:
    """A video to be read by a process of its own."""

    file: str
    source: Source
    entry: SidecarEntry
    options: ClipOptions
    split: str
    part: Path  # where its rows are written, and beside it what became of it
    actions: VideoActions | str | None = None  # what was done in it, or why that is not known; None: nobody acts

    @property
    def done(self) -> Path:
        return self.part.with_suffix(".json")


def jobs_of(
    sources: Mapping[str, Source],
    contents: Mapping[str, str | None],
    known: Mapping[str, SidecarEntry],
    options: ClipOptions,
    workshop: Path,
    actions: FolderActions | None = None,
) -> list[Job]:
    """One for each video, but none for a double of an earlier one."""
    splits, jobs, seen = splits_by_content(sources, contents), [], set()
    for file, content in contents.items():
        if content is None or content not in seen:
            entry = known.get(file) or SidecarEntry.model_validate({"file": file})
            acts = [] if actions is None else [actions.known(file)]
            version = [INGEST_VERSION, ROWS_VERSION]
            key = fingerprint(version, file, content, asdict(options), entry.model_dump(mode="json"), *acts)
            name = hashlib.sha256(f"{key} {splits.get(file)}".encode()).hexdigest()
            part, done = workshop / "parts" / name, None if actions is None else actions.of(file)
            jobs.append(Job(file, sources[file], entry, options, splits.get(file, ""), part, done))
        seen.add(content)
    return jobs


def read_all(jobs: Sequence[Job], workers: int) -> dict[str, FileRecord | SetAside]:
    """What became of each video. Those of one file (a video of many episodes, a shard) are read by one process."""
    videos: dict[Path, list[Job]] = {}
    for job in jobs:
        videos.setdefault(job.source.path, []).append(job)
    results: dict[str, FileRecord | SetAside] = {}
    with tqdm(total=len(jobs), desc="ingest", unit="video", disable=None) as bar:
        todo, more = list(videos.values()), []
        while todo:
            for number, read in each_apart(read_videos, todo, workers, preload=[__name__]):
                if read is None and len(todo[number]) > 1:  # one of them is to blame
                    more += [[job] for job in todo[number]]
                    continue
                gone = [SetAside(job.file, CRASHES) for job in todo[number]]
                results |= {one.file: one for one in (gone if read is None else read)}
                bar.update(len(todo[number]))
            todo, more = more, []
    return results


def read_videos(jobs: Sequence[Job]) -> list[FileRecord | SetAside]:
    """What becomes of videos of one file, in the order of their stretches; what was done before is not done again."""
    inside = sorted(jobs, key=lambda job: job.source.span_s or (0.0, 0.0))
    return [_read_before(job) or _read_one(job) for job in inside]


def _read_before(job: Job) -> FileRecord | SetAside | None:
    try:
        kept = json.loads(job.done.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return TypeAdapter(FileRecord | SetAside).validate_python(kept)


def _read_one(job: Job) -> FileRecord | SetAside:
    result: FileRecord | SetAside
    try:
        if isinstance(job.actions, str):
            raise Unreadable(job.actions)
        with ClipRows(job.part, job.entry, job.options, job.actions) as rows, ends_if_stalled(STALLED_S) as goes_on:

            def keep(video: VideoClips, clips: Sequence[tuple[int, RealClip]]) -> None:
                goes_on()
                rows.add(video, clips)

            video = clips_of_video(job.source, job.entry, job.options, keep)
            rows.flush(video)
        result = _record(job.file, job.split, video)
    except Unreadable as error:
        result = SetAside(job.file, str(error))
    except UserError:
        raise
    except Exception as error:  # whatever a file of others does to a library, it is this file's fault
        result = SetAside(job.file, f"cannot be read ({getattr(error, 'strerror', None) or error})")
    if not job.split and isinstance(result, FileRecord):
        result = SetAside(job.file, "could not be read when its content was looked at")
    write_json(job.done, asdict(result))
    return result


def _record(file: str, split: str, video: VideoClips) -> FileRecord:
    same = {name: getattr(video, name) for name in ("shots", "frames", "black", "repeated", "decoder", "time_base")}
    rates, without = tuple(sorted(video.rates)), tuple(video.without_clip)
    return FileRecord(file, split, video.clips, rates, video.static_camera, without_clip=without, **same)
