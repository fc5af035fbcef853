"""Clips as rows on disk, written as they are cut, never all in memory.

This is what each process that reads videos does: `datasets`, 100 MB in each of them, joins the rows (`joined`).
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from jaxtyping import Float32

from vidworld.video.actions import VideoActions
from vidworld.video.clips import ClipOptions, RealClip, VideoClips
from vidworld.video.probe import Unreadable
from vidworld.video.sidecar import GRAVITY_DIRECTIONS, SidecarEntry

BATCH_BYTES = 2**23  # of pictures that are written, or read, at once: a column of 2 GiB is more than Arrow takes
ROWS_VERSION = 2  # of how rows lie in these files: raised when those of a run that was stopped are of no use


class ClipRows:
    """The clips of one video as rows of a file, which are complete when it is left."""

    def __init__(
        self, path: Path, entry: SidecarEntry, options: ClipOptions, actions: VideoActions | None = None
    ) -> None:
        self.path, self.entry, self.options, self.actions = path, entry, options, actions
        acts = (0, False) if actions is None else (actions.values.shape[1], actions.rewards is not None)
        self.columns = columns(options, *acts)
        self.written = 0
        self._waiting: list[tuple[int, RealClip]] = []

    def __enter__(self) -> "ClipRows":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pa.ipc.new_stream(str(self.path), self.columns)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
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
        found = [_column(rows[one.name], one.type) for one in self.columns]
        self._writer.write_batch(pa.record_batch(found, self.columns))
        self.written += count
        del self._waiting[:count]


def columns(options: ClipOptions, action_channels: int = 0, rewarded: bool = False) -> pa.Schema:
    """The columns of a clip's row; arrays are lists of lists."""
    text, number, whole, flag = pa.string(), pa.float64(), pa.int32(), pa.bool_()
    kinds = {
        "frames": _lists(pa.uint8(), 4),  # time channel height width
        "identity": text,
        "shot": whole,
        "crop_left_px": number,  # in the video
        "crop_top_px": number,
        "file": text,
        "event": text,
        "gravity": text,
        "gravity_direction": pa.list_(number, 2),  # a unit vector, x right and y down
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
    if action_channels:
        kinds["actions"] = _lists(pa.float32(), 2)  # time channel: what led to each frame
    if rewarded:
        kinds["rewards"] = pa.list_(pa.float32(), options.num_frames)  # what that brought
    return pa.schema(kinds)


def _lists(kind: pa.DataType, depth: int) -> pa.DataType:
    for _ in range(depth):
        kind = pa.list_(kind)
    return kind


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    """A column of a value a clip; of an array (clip ...) without a copy of what it holds."""
    if not isinstance(values, np.ndarray):
        return pa.array(values, kind)
    column = pa.array(values.reshape(-1))
    for size in reversed(values.shape[2 if pa.types.is_fixed_size_list(kind) else 1 :]):
        column = pa.ListArray.from_arrays(pa.array(np.arange(0, len(column) + 1, size), pa.int32()), column)
    return pa.FixedSizeListArray.from_arrays(column, kind.list_size) if pa.types.is_fixed_size_list(kind) else column


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
