"""Clips of real video by number: a ClipSource over a data set that `vidworld data ingest` wrote."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from vidworld.core.clip import Clips, Logged
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.video import ACTIONS_NAME, REAL_SPLITS, REWARD, finished_record

if TYPE_CHECKING:
    import datasets  # type: ignore[import-untyped]


class RealClips:
    """The clips of one split (`train`, `val`, or `real`, which is held out for the evaluation).

    Clips differ in rate; those of several rates at once have NaN, so that what they mean a second is not wrong.
    """

    def __init__(self, path: Path, split: str, shape: ClipShape | None = None) -> None:
        """Opens the data set; of each clip as many frames as the shape has are used. Clips keep their rates.

        UserError where there is no such data set or split, the shape is not square, or its clips are of another.
        """
        if shape is not None and shape.height_px != shape.width_px:
            has = f"real clips are square, and shape has {shape.height_px} x {shape.width_px} px"
            raise UserError(f"{path}: {has}: make height_px and width_px equal, or leave real out")
        self.path, rows = path, _open_split(path, split)
        there, size = (int(rows.features["frames"].shape[axis]) for axis in (0, 3))
        frames, size_px = (there, size) if shape is None else (shape.num_frames, shape.width_px)
        if frames > there:
            raise UserError(f"{path}: its clips have {there} frames, not {frames}: ingest with --num-frames")
        if size_px != size:
            raise UserError(f"{path}: its clips are {size} px wide, not {size_px}: ingest with --size {size_px}")
        self.num_frames, self.size_px = frames, size
        acts = finished_record(path).get("actions")
        self._range = None if acts is None else (acts["low"], acts["high"])
        self._rewarded: tuple[float, float] | None = None if acts is None else acts.get("rewards")
        done = [] if acts is None else ["actions", *["rewards"] * (self._rewarded is not None)]
        self._actions = None if acts is None else rows.select_columns(done).with_format("numpy")
        self.rows = rows.remove_columns(["frames", *done])
        """What is known of each clip, a row a clip."""
        self._pictures = rows.select_columns("frames").with_format("numpy", dtype=np.uint8)
        known = self._columns("identity", "fps", "static_camera")
        self.identity: tuple[str, ...] = tuple(known["identity"])
        self.fps: tuple[float, ...] = tuple(known["fps"])
        self.static_camera: tuple[bool, ...] = tuple(known["static_camera"])

    def __len__(self) -> int:
        return len(self.identity)

    def clips(self, indices: Sequence[int]) -> Clips:
        """The clips of these numbers; their rate is NaN where they differ in it."""
        chosen = list(indices)
        frames = np.asarray(self._pictures[chosen]["frames"])[:, : self.num_frames]
        rates = {self.fps[i] for i in chosen}
        rate = rates.pop() if len(rates) == 1 else float("nan")
        pictures = torch.from_numpy(np.ascontiguousarray(frames))
        actions = None
        if self._actions is not None and self._range is not None:
            done = np.asarray(self._actions[chosen]["actions"], np.float64)[:, : self.num_frames]
            actions = _scaled(torch.from_numpy(done), *self._range)
        return Clips(pictures, rate, tuple(self.identity[i] for i in chosen), actions=actions)

    def logged(self, indices: Sequence[int]) -> Logged:
        """The clips of these numbers with what their actions brought, in standard deviations from the data set's mean.

        They have no goals; what the first frame brought is not known (NaN). UserError: the data set has no rewards.
        """
        clips = self.clips(indices)
        if self._actions is None or self._rewarded is None:
            raise UserError(
                f"{self.path}: says nothing of rewards; a column {REWARD} of {ACTIONS_NAME} does "
                "(`vidworld data collect` writes it), or next.reward of a LeRobot data set"
            )
        mean, deviation = self._rewarded
        brought = np.asarray(self._actions[list(indices)]["rewards"], np.float64)[:, : self.num_frames]
        reward = (torch.from_numpy(brought) - mean) / (deviation or 1.0)
        reward[:, 0] = torch.nan
        return Logged(
            clips, reward.new_zeros(len(reward), 0), reward, reward.new_zeros(*reward.shape, 0),
            torch.ones(len(reward), dtype=torch.bool),
        )  # fmt: skip

    @property
    def acts(self) -> bool:
        """Whether somebody acts in the clips."""
        return self._actions is not None

    def same_shot(self, index: int) -> list[int]:
        """The numbers of the clips of the same shot, this one too."""
        return self._clips_of_shot[self._shots[index]]

    def frames_among(
        self, clips: Sequence[int], numbers: Int[ndarray, " some"]
    ) -> UInt8[Tensor, "some 3 height width"]:
        """Of the frames of clips, one clip after another, those of these numbers, which do not fall.

        One clip is in memory at a time: a shot may have thousands.
        """
        found = []
        for place, of_clip in groupby(numbers.tolist(), lambda number: number // self.num_frames):
            found.append(self.clips([clips[place]]).frames[0, [number % self.num_frames for number in of_clip]])
        return torch.cat(found)

    def later(self, frames: int) -> dict[int, int]:
        """For clips that have one: the number of the clip of the shot that starts so many frames later."""
        starts = self._columns("start_frame")["start_frame"]
        at = {(shot, start): i for i, (shot, start) in enumerate(zip(self._shots, starts, strict=True))}
        found = {i: at.get((shot, start + frames)) for (shot, start), i in at.items()}
        return {i: other for i, other in found.items() if other is not None}

    @cached_property
    def _shots(self) -> list[tuple[str, int]]:
        known = self._columns("file", "shot")
        return list(zip(known["file"], known["shot"], strict=True))

    @cached_property
    def _clips_of_shot(self) -> dict[tuple[str, int], list[int]]:
        found: dict[tuple[str, int], list[int]] = {}
        for number, shot in enumerate(self._shots):
            found.setdefault(shot, []).append(number)
        return found

    def _columns(self, *names: str) -> dict[str, list[Any]]:
        """Whole columns at once; `datasets` makes them row by row where they are asked for by name."""
        return dict(self.rows.select_columns([*names])[:])


class Mirrored:
    """The clips of a data set without actions, every second one mirrored from left to right, then the others' turn."""

    def __init__(self, source: RealClips) -> None:
        """Raises UserError: actions would not fit mirrored pictures."""
        if source.acts:
            raise UserError(
                f"{source.path}: has actions, which do not fit mirrored pictures; data.real_mirrored=false would do"
            )
        self.source = source

    def __len__(self) -> int:
        return 2 * len(self.source)

    def clips(self, indices: Sequence[int]) -> Clips:
        """The clips of these numbers."""
        count = len(self.source)
        clips = self.source.clips([number % count for number in indices])
        turned = torch.tensor([(number % count + number // count) % 2 == 1 for number in indices])
        turned = turned[:, None, None, None, None]
        return replace(clips, frames=torch.where(turned, clips.frames.flip(-1), clips.frames))


def _scaled(
    actions: Float[Tensor, "clip time channel"], low: list[float], high: list[float]
) -> Float[Tensor, "clip time channel"]:
    """Each channel from -1 to 1 by its least and greatest value (0 where these are one); zero in the first frame.

    Held-out videos may go beyond these, and are cut off there.
    """
    least, most = torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64)
    span = most - least
    scaled = torch.where(span > 0, 2 * (actions - least) / torch.where(span > 0, span, 1.0) - 1, 0.0).clamp(-1, 1)
    scaled[:, 0] = 0.0
    return scaled.float()


def _open_split(path: Path, split: str) -> "datasets.Dataset":
    """The rows of a split, read from disk as they are asked for.

    UserError where there is no finished data set, a file of it is missing or broken, or no clip is in that split.
    """
    from datasets import load_from_disk  # 100 MB, which only real clips need

    finished_record(path)
    try:
        splits = load_from_disk(path)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path}: cannot be read ({reason}); remove it and ingest its videos again") from error
    if split not in splits:
        have = ", ".join(name for name in REAL_SPLITS if name in splits)
        raise UserError(f"{path}: there is no clip in split {split!r} (there are {have}): ingest more videos")
    return splits[split]
