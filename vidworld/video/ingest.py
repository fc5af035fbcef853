"""A folder of videos -> a data set of clips, and what was set aside and why."""

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import cv2
from pydantic import TypeAdapter
from tqdm import tqdm

from vidworld.core.errors import UserError
from vidworld.core.fingerprint import fingerprint
from vidworld.core.records import write_json
from vidworld.video import lerobot, webdataset
from vidworld.video import store as real_store
from vidworld.video import store_record as real_record
from vidworld.video.clips import VideoClips, clips_of_video
from vidworld.video.decode import Unreadable
from vidworld.video.sidecar import SIDECAR_NAME, Sidecar, read_sidecar
from vidworld.video.source import Source, content_of, splits_by_content
from vidworld.video.windows import ClipOptions

SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".ogv", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp")
INGEST_VERSION = 2  # of the way clips are made: raised when the same videos come to give other clips or splits


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
    known = Sidecar() if sidecar is None else read_sidecar(sidecar)
    sources = sources_of(folder)
    looked_at = tqdm(sources.items(), "look", unit="video", disable=None, delay=1)
    contents = {file: content_of(source) for file, source in looked_at}
    entries = [entry.model_dump(mode="json") for entry in known.entries.values()]
    made_of = fingerprint(INGEST_VERSION, contents, asdict(options), entries)
    if (finished := _finished(out, made_of)) is not None:
        return finished
    try:
        with real_store.workshop(out) as workshop, real_store.without_bars():
            records, aside = _read_all(sources, contents, known, options, workshop)
            if not records:
                some = "; ".join(f"{one.file} {one.reason}" for one in aside[:3])
                more = f"; and {len(aside) - 3} more" if len(aside) > 3 else ""
                raise UserError(f"{folder}: no video in it can be used: {some}{more}")
            built = workshop / "built"
            parts: dict[str, list[Path]] = {name: [] for name in real_store.REAL_SPLITS}
            for record in records:
                parts[record.split].append(_part(workshop, record.file))
            real_store.join(parts, built)
            made = {"version": INGEST_VERSION, "made_of": made_of, "options": asdict(options)}
            made |= {"content": real_store.content_record(built), "files": [asdict(one) for one in records]}
            write_json(built / real_store.SET_ASIDE_NAME, [asdict(one) for one in aside])
            write_json(built / real_record.RECORD_NAME, made)
            real_store.put_in_place(built, out)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{out}: cannot be written ({reason}): name another folder") from error
    return Ingested(out, records, aside, reused=False)


def _read_all(
    sources: Mapping[str, Source],
    contents: Mapping[str, str | None],
    known: Sidecar,
    options: ClipOptions,
    workshop: Path,
) -> tuple[tuple[FileRecord, ...], tuple[SetAside, ...]]:
    """The videos that gave clips, their rows saved and let go of, and the others."""
    splits = splits_by_content(sources, contents)
    first_of: dict[str, str] = {}
    for file, content in contents.items():
        first_of.setdefault(content or file, file)

    def read_one(file: str) -> FileRecord | SetAside:
        if (first := first_of[contents[file] or file]) != file:
            return SetAside(file, f"is the same as {first}")
        try:
            video = clips_of_video(sources[file], known.of(file), options)
        except Unreadable as error:
            return SetAside(file, str(error))
        except (OSError, av.error.FFmpegError, cv2.error) as error:
            return SetAside(file, f"cannot be read ({getattr(error, 'strerror', None) or error})")
        real_store.save_clips(file, known.of(file), video, options, _part(workshop, file))
        return _record(file, splits[file], video)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        coming = [pool.submit(read_one, file) for file in contents]
        try:
            results = [one.result() for one in tqdm(coming, "ingest", unit="video", disable=None)]
        except BaseException:  # Ctrl-C, a full disk: do not read the rest first
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    records = tuple(result for result in results if isinstance(result, FileRecord))
    missing = [file for file in known.entries if file not in contents]
    aside = [result for result in results if isinstance(result, SetAside)]
    return records, (*aside, *(SetAside(file, "is in the sidecar but not in the folder") for file in missing))


def sources_of(folder: Path) -> dict[str, Source]:
    """The videos of a folder, by the name that results and the sidecar have for them.

    UserError where there is no such folder, no video in it, or it is a data set of videos that cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: {'is not a folder' if folder.exists() else 'there is no such folder'}")
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES]
    files = sorted(p.as_posix() for p in paths if not (folder / p).is_dir() and not p.name.startswith("."))
    if (folder / lerobot.INFO).exists():
        return lerobot.lerobot_sources(folder)
    if not files and any(folder.glob("*.tar")):
        return webdataset.webdataset_sources(folder)
    if not files:
        kinds = f"no {', '.join(SUFFIXES)}, no LeRobot data set, no WebDataset shard"
        raise UserError(f"{folder}: there is no video in it ({kinds})")
    return {file: Source(folder / file) for file in files}


def _finished(out: Path, made_of: str) -> Ingested | None:
    """What is at `out` already, if it is of the same files and options."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    record = real_record.read_record(out)
    if record is None:
        raise UserError(f"{out}: is there already and is no ingested data set: name another folder")
    if record.get("made_of") != made_of:
        return None
    files = TypeAdapter(tuple[FileRecord, ...]).validate_python(record["files"])
    aside = json.loads((out / real_store.SET_ASIDE_NAME).read_text(encoding="utf-8"))
    return Ingested(out, files, tuple(SetAside(**one) for one in aside), reused=True)


def _record(file: str, split: str, video: VideoClips) -> FileRecord:
    clips = [clip for _, clip in video.clips]
    same = ("shots", "frames", "black", "repeated", "decoder", "time_base")
    return FileRecord(
        file=file,
        split=split,
        clips=len(clips),
        fps=tuple(sorted({clip.fps for clip in clips})),
        static_camera=sum(clip.static_camera for clip in clips),
        without_clip=tuple(video.without_clip),
        **{name: getattr(video, name) for name in same},
    )


def _check(options: ClipOptions) -> None:
    low = {"--fps": options.fps, "--size": options.size_px, "--stride": options.stride}
    faults = [f"{name}: {value:g} is not above zero" for name, value in low.items() if not value > 0]
    if options.num_frames < 2:
        faults.append(f"--num-frames: {options.num_frames} is below 2, and nothing moves in one picture")
    if faults:
        raise UserError("\n".join(faults))


def _part(workshop: Path, file: str) -> Path:
    return workshop / "parts" / hashlib.sha256(file.encode()).hexdigest()
