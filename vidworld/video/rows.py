"""Clips as rows on disk: written as they are cut, joined into a data set of `datasets`, never all in memory."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import datasets  # type: ignore[import-untyped]
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from datasets.arrow_writer import ArrowWriter  # type: ignore[import-untyped]
from jaxtyping import Float32

from vidworld.core.records import ListFingerprint, read_json, write_json
from vidworld.video import REAL_SPLITS
from vidworld.video.actions import VideoActions
from vidworld.video.clips import ClipOptions, RealClip, VideoClips
from vidworld.video.probe import Unreadable
from vidworld.video.sidecar import GRAVITY_DIRECTIONS, SidecarEntry

BATCH_BYTES = 2**23  # of pictures that are written, or read, at once: a column of 2 GiB is more than Arrow takes
ROWS_NAME = "data-00000-of-00001.arrow"


class ClipRows:
    """The clips of one video as rows of a file, which are complete when it is left."""

    def __init__(
        self, path: Path, entry: SidecarEntry, options: ClipOptions, actions: VideoActions | None = None
    ) -> None:
        self.path, self.entry, self.options, self.actions = path, entry, options, actions
        acts = (0, False) if actions is None else (actions.values.shape[1], actions.rewards is not None)
        self.features = features(options, *acts)
        self.written = 0
        self._waiting: list[tuple[int, RealClip]] = []

    def __enter__(self) -> "ClipRows":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = ArrowWriter(features=self.features, path=str(self.path))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.written:
            self._writer.finalize()
        self._writer.close()

    def add(self, video: VideoClips, shots: Sequence[tuple[int, RealClip]]) -> None:
        """Clips, each with the number of its shot; Unreadable where the actions cannot be those of the video."""
        if self.actions is not None and (fault := self.actions.fault(video.times_s)):
            raise Unreadable(fault)
        self._waiting += shots
        options = self.options
        most = max(1, BATCH_BYTES // (options.num_frames * 3 * options.size_px**2))
        while len(self._waiting) >= most:
            self._write(video, most)

    def flush(self, video: VideoClips) -> None:
        """Writes what is still to be written."""
        if self._waiting:
            self._write(video, len(self._waiting))

    def _write(self, video: VideoClips, count: int) -> None:
        rows = _rows(self._waiting[:count], self.written, video, self.entry, self.options)
        if self.actions is not None:
            rows |= _done(self.actions, [clip for _, clip in self._waiting[:count]], video, self.options)
        self._writer.write_batch(rows)
        self.written += count
        del self._waiting[:count]


def features(options: ClipOptions, action_channels: int = 0, rewarded: bool = False) -> datasets.Features:
    """The columns of a clip's row."""
    acts = {"actions": datasets.Array2D((options.num_frames, action_channels), "float32")}  # what led to each frame
    brings = {"rewards": datasets.Sequence(datasets.Value("float32"), length=options.num_frames)}  # of these
    shape = (options.num_frames, 3, options.size_px, options.size_px)
    text, number, whole, flag = (datasets.Value(kind) for kind in ("string", "float64", "int32", "bool"))
    return datasets.Features(
        {
            "frames": datasets.Array4D(shape, "uint8"),
            "identity": text,
            "shot": whole,
            "crop_left_px": number,  # in the video
            "crop_top_px": number,
            "file": text,
            "event": text,
            "gravity": text,
            "gravity_direction": datasets.Sequence(number, length=2),  # a unit vector, x right and y down
            "px_per_m": number,  # of the clip
            "scale": number,  # pixels of the clip a pixel of the video
            "time_base": text,
            "sidecar": text,  # the video's line, as JSON
            "fps": number,
            "start_s": number,  # scene time, from the start of the file
            "start_frame": whole,  # frames at `fps` from the first clip of the shot
            "in_event": flag,  # touches the sidecar's event, or the sidecar names none
            "static_camera": flag,
            "motion": number,  # share of the clip's pixels that move
            "motion_in_view": number,  # share of the uncropped picture's motion in the clip
            "time_error_s": number,  # largest distance of a frame from its time
        }
        | (acts if action_channels else {})
        | (brings if rewarded else {})
    )


def _rows(
    clips: Sequence[tuple[int, RealClip]], first: int, video: VideoClips, entry: SidecarEntry, options: ClipOptions
) -> dict[str, Any]:
    """Columns of consecutive clips, the first of which has number `first` in the video."""
    direction, scale = GRAVITY_DIRECTIONS.get(entry.gravity or ""), options.size_px / video.short_side_px
    line = entry.model_dump_json() if entry.model_fields_set != {"file"} else None
    same = {
        "file": entry.file,
        "event": entry.event,
        "gravity": entry.gravity,
        "gravity_direction": None if direction is None else [*direction],
        "px_per_m": None if entry.px_per_m is None else entry.px_per_m * scale,
        "scale": scale,
        "time_base": video.time_base,
        "sidecar": line,
    }
    own = ("fps", "start_s", "start_frame", "in_event", "static_camera", "motion", "motion_in_view", "time_error_s")
    return {
        "frames": np.stack([clip.frames for _, clip in clips]),
        "identity": [f"real/{entry.file}/{first + i}" for i in range(len(clips))],
        "shot": [shot for shot, _ in clips],
        "crop_left_px": [clip.crop_left * video.short_side_px for _, clip in clips],
        "crop_top_px": [clip.crop_top * video.short_side_px for _, clip in clips],
        **{name: [value] * len(clips) for name, value in same.items()},
        **{name: [getattr(clip, name) for _, clip in clips] for name in own},
    }


def _done(
    actions: VideoActions, clips: Sequence[RealClip], video: VideoClips, options: ClipOptions
) -> dict[str, Float32[np.ndarray, "clip time *channel"]]:
    """What led to each frame of clips, in the units of the video's actions, and what that brought."""
    times = [clip.start_s + np.arange(options.num_frames) / clip.fps for clip in clips]
    found = {"actions": np.stack([actions.led_to(video.times_s, wanted) for wanted in times])}
    if actions.rewards is not None:
        found["rewards"] = np.stack([actions.brought(video.times_s, wanted) for wanted in times])
    return found


def join(
    parts: Mapping[str, Sequence[Path]],
    options: ClipOptions,
    out: Path,
    action_channels: int = 0,
    rewarded: bool = False,
) -> dict[str, dict[str, str]]:
    """Write the rows of each split's videos as one data set on disk.

    The fingerprints of each split: of its clips' frames, of their actions (and rewards) where there are some, and of
    everything else that their rows hold.
    """
    kinds = features(options, action_channels, rewarded)
    acted = [*["actions"] * (action_channels > 0), *["rewards"] * rewarded]
    none = {split: datasets.Dataset.from_dict({name: [] for name in kinds}, features=kinds) for split in REAL_SPLITS}
    datasets.DatasetDict({split: none[split] for split in REAL_SPLITS if parts[split]}).save_to_disk(out)
    content = {}
    for split in REAL_SPLITS:
        frames, known, done = ListFingerprint(), ListFingerprint(), ListFingerprint()
        if parts[split]:
            writer = ArrowWriter(features=kinds, path=str(out / split / ROWS_NAME))
            for rows in _batches(parts[split]):
                writer.write_table(rows.data.table)
                pictures = rows.select_columns("frames").with_format("numpy", dtype=np.uint8)[:]["frames"]
                frames.add([*one.shape, hashlib.sha256(one.tobytes()).hexdigest()] for one in pictures)
                known.add(rows.remove_columns("frames").to_list())
                done.add(rows.select_columns(acted).to_list() if acted else ())
            writer.finalize()
            writer.close()
            state = out / split / "state.json"  # as `datasets` wrote it, with the one file that it did not
            write_json(state, read_json(state) | {"_data_files": [{"filename": ROWS_NAME}]})
        content[split] = {"frames": str(frames), "rows": str(known)}
        content[split] |= {"actions": str(done)} if action_channels else {}
    return content


def _batches(parts: Sequence[Path]) -> Iterator[datasets.Dataset]:
    """The rows of files, some megabytes at a time. (A file that is mapped fills memory as it is read.)

    Those of short videos go together: a data set takes memory and time to open for each batch that it was written in.
    """
    waiting: list[pa.RecordBatch] = []
    size = 0
    for part in parts:
        with pa.OSFile(str(part)) as file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                size += batch.nbytes
                if waiting and size > BATCH_BYTES:
                    yield _rows_of(waiting)
                    waiting, size = [], batch.nbytes
                waiting.append(batch)
    if waiting:
        yield _rows_of(waiting)


def _rows_of(batches: Sequence[pa.RecordBatch]) -> datasets.Dataset:
    table = datasets.table.InMemoryTable(pa.Table.from_batches(batches).combine_chunks())
    return datasets.Dataset(table, fingerprint="rows")  # otherwise `datasets` hashes all of it
