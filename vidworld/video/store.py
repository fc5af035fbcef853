"""How real clips lie on disk: a `datasets` data set of one row a clip, with a record of how it was made."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets  # type: ignore[import-untyped]
import numpy as np

from vidworld.core.errors import UserError
from vidworld.core.fingerprint import fingerprint
from vidworld.video.clips import VideoClips
from vidworld.video.sidecar import GRAVITY_DIRECTIONS, SidecarEntry
from vidworld.video.store_record import finished_record
from vidworld.video.windows import ClipOptions

REAL_SPLITS = ("train", "val", "real")  # `real` is held out for the evaluation. A file is in one split only.
SET_ASIDE_NAME = "set_aside.json"


def features(options: ClipOptions) -> datasets.Features:
    """The columns of a row."""
    text, number, whole = datasets.Value("string"), datasets.Value("float64"), datasets.Value("int32")
    shape = (options.num_frames, 3, options.size_px, options.size_px)
    return datasets.Features(
        frames=datasets.Array4D(shape, "uint8"),
        fps=number,
        identity=text,
        file=text,
        shot=whole,
        start_s=number,  # scene time, from the start of the file
        start_frame=whole,  # frames at `fps` from the first clip of the shot
        event=text,
        in_event=datasets.Value("bool"),  # touches the sidecar's event, or the sidecar names none
        gravity=text,
        gravity_direction=datasets.Sequence(number, length=2),  # unit vector, x right and y down
        px_per_m=number,  # of the clip
        scale=number,  # pixels of the clip a pixel of the video
        crop_left_px=number,  # in the video
        crop_top_px=number,
        static_camera=datasets.Value("bool"),
        motion=number,  # share of the clip's pixels that move
        motion_in_view=number,  # share of the uncropped picture's motion that is in the clip
        time_error_s=number,  # largest distance of a frame from its time
        time_base=text,
        sidecar=text,  # the video's line, as JSON
    )


def save_clips(file: str, entry: SidecarEntry, video: VideoClips, options: ClipOptions, path: Path) -> None:
    """Write the clips of one video as rows on disk."""
    clips = [clip for _, clip in video.clips]
    count, direction = len(clips), GRAVITY_DIRECTIONS.get(entry.gravity or "")
    columns: dict[str, Any] = {
        "frames": np.stack([clip.frames for clip in clips]),
        "identity": [f"real/{file}/{i}" for i in range(count)],
        "shot": [shot for shot, _ in video.clips],
        "crop_left_px": [clip.crop_left * video.short_side_px for clip in clips],
        "crop_top_px": [clip.crop_top * video.short_side_px for clip in clips],
        "file": [file] * count,
        "event": [entry.event] * count,
        "gravity": [entry.gravity] * count,
        "gravity_direction": [None if direction is None else list(direction)] * count,
        "px_per_m": [None if entry.px_per_m is None else entry.px_per_m * video.scale] * count,
        "scale": [video.scale] * count,
        "time_base": [video.time_base] * count,
        "sidecar": [entry.model_dump_json() if entry.model_fields_set != {"file"} else None] * count,
    }
    columns |= {name: [getattr(clip, name) for clip in clips] for name in features(options) if name not in columns}
    datasets.Dataset.from_dict(columns, features=features(options)).save_to_disk(path)


def join(parts: Mapping[str, Sequence[Path]], out: Path) -> None:
    """Write the rows of each split's videos as one data set on disk."""
    loaded = {split: [datasets.load_from_disk(path) for path in paths] for split, paths in parts.items() if paths}
    datasets.DatasetDict({split: datasets.concatenate_datasets(rows) for split, rows in loaded.items()}).save_to_disk(
        out
    )


def content_record(path: Path) -> dict[str, dict[str, str]]:
    """The fingerprints of each split: of its clips' frames, and of everything else that their rows hold."""
    splits = datasets.load_from_disk(path)
    content = {}
    for split in REAL_SPLITS:
        rows = splits.get(split)
        pictures = [] if rows is None else rows.select_columns("frames").with_format("numpy", dtype=np.uint8)
        frames = [[*row["frames"].shape, hashlib.sha256(row["frames"].tobytes()).hexdigest()] for row in pictures]
        known = [] if rows is None else rows.remove_columns("frames").to_list()
        content[split] = {"frames": fingerprint(frames), "rows": fingerprint(known)}
    return content


def open_split(path: Path, split: str) -> datasets.Dataset:
    """The rows of a split, read from disk as they are asked for.

    UserError where there is no finished data set, a file of it is missing or broken, or no clip is in that split.
    """
    finished_record(path)
    try:
        splits = datasets.load_from_disk(path)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path}: cannot be read ({reason}); remove it and ingest its videos again") from error
    if split not in splits:
        have = ", ".join(name for name in REAL_SPLITS if name in splits)
        raise UserError(f"{path}: there is no clip in split {split!r} (there are {have}): ingest more videos")
    return splits[split]


@contextmanager
def workshop(out: Path) -> Iterator[Path]:
    """A folder beside `out` to build in: gone afterwards, whatever happened."""
    path = out.with_name(f".{out.name}.part")
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def put_in_place(built: Path, out: Path) -> None:
    """Make `out` what was built; after a kill between the two renames it is not there at all."""
    old = built.with_name("old")
    if out.exists():
        out.rename(old)
    built.rename(out)


@contextmanager
def without_bars() -> Iterator[None]:
    """Without the progress bars of `datasets`: there is one for the videos."""
    loud = not datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if loud:
            datasets.enable_progress_bars()
