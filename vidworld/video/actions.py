"""What was done in videos, and what of it led to each frame of a clip.

Rows are as Gymnasium and LeRobot store them, the action taken AFTER a frame; `Clips.actions` has what led TO a frame.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from vidworld.core.records import fingerprint
from vidworld.video import ACTIONS_NAME
from vidworld.video.stamps import Times

NO_ACTIONS = (
    f"has no actions, and other videos of the folder have some (add its rows to {ACTIONS_NAME}, or --no-actions)"
)

LENGTHS_AT_MOST = 4  # of a video that its actions may go on for, as a log does that is ended after it


@dataclass(frozen=True)
class VideoActions:
    """What was done in one video, a row an action, each until the next."""

    values: Float64[np.ndarray, "row channel"]
    times_s: Times | None = None
    """From when on each held, in scene time from the video's first frame; None: row i was taken after frame i."""
    rewards: Float64[np.ndarray, " row"] | None = None
    """What each brought; None where nobody says."""

    def fault(self, times_s: Times) -> str:
        """Why these cannot be what was done in a video with frames at these times; the reason goes on from its name."""
        rows, count = len(self.values), len(times_s)
        if self.times_s is None:
            if rows > count:
                return f"has actions of {rows} frames, and only {count} frames"
            return f"has no action of frame {rows} (it has {count} frames)" if rows < count - 1 else ""
        first_s, last_s = float(self.times_s[0]), float(self.times_s[-1])
        if count > 1 and last_s > LENGTHS_AT_MOST * (length_s := float(times_s[-1] - times_s[0])):
            said = f"has an action at {last_s:g} s, and lasts {length_s:.3g} s"
            return f"{said}; time_s is in seconds from its first frame, and later actions are to be left out"
        late = count > 1 and first_s > times_s[1] - times_s[0]
        if late:
            return f"has no action before {first_s:g} s"
        if count > 1 and last_s < 0:
            return f"has no action after {last_s:g} s, before its first frame; time_s is in seconds from there"
        return ""

    def led_to(self, times_s: Times, wanted_s: Float64[np.ndarray, " wanted"]) -> Float32[np.ndarray, "wanted channel"]:
        """What led to each frame of a clip at the wanted times: the mean of what was done between the video's frames
        nearest to these (`times_s`); zeros for the first."""
        frames = nearest_frames(times_s, wanted_s)
        at = np.arange(len(self.values), dtype=np.float64) if self.times_s is None else self.times_s
        ticks = frames.astype(np.float64) if self.times_s is None else (times_s - times_s[0])[frames]
        ends = np.append(at, max(at[-1], ticks[-1]) + 1.0)
        sums = np.concatenate([np.zeros((1, self.values.shape[1])), (self.values * np.diff(ends)[:, None]).cumsum(0)])
        until = np.stack([np.interp(ticks, ends, channel) for channel in sums.T], axis=1)
        spans = np.diff(ticks)[:, None]
        held = self.values[np.clip(np.searchsorted(at, ticks[:-1], "right") - 1, 0, None)]
        means = np.where(spans > 0, np.diff(until, axis=0) / np.where(spans > 0, spans, 1.0), held)
        return np.concatenate([np.zeros_like(means[:1]), means]).astype(np.float32)

    def brought(self, times_s: Times, wanted_s: Float64[np.ndarray, " wanted"]) -> Float32[np.ndarray, " wanted"]:
        """What one of those that led to each frame brought on average; zero for the first, of which nobody says it."""
        assert self.rewards is not None
        return VideoActions(self.rewards[:, None], self.times_s).led_to(times_s, wanted_s)[:, 0]


@dataclass(frozen=True)
class FolderActions:
    """What was done in the videos of a folder."""

    channels: tuple[str, ...]
    by_file: Mapping[str, VideoActions | str]
    """Of each video by its name, or why there is nothing that can be used (the reason goes on from its name)."""
    rewarded: bool = False
    """Whether it is said of all actions what they brought."""

    def of(self, file: str) -> VideoActions | str:
        return self.by_file.get(file, NO_ACTIONS)

    def known(self, file: str) -> str:
        """The fingerprint of what is known of a video."""
        video = self.of(file)
        if isinstance(video, str):
            return fingerprint(self.channels, video)
        bytes_of = [b"" if each is None else each.tobytes() for each in (video.values, video.times_s)]
        bytes_of += [] if video.rewards is None else [video.rewards.tobytes()]
        return fingerprint(self.channels, video.values.shape, [hashlib.sha256(each).hexdigest() for each in bytes_of])

    def record(self, files: Iterable[str]) -> dict[str, list[str] | list[float]]:
        """Names of the channels, the least and the greatest value of each, and mean and deviation of the rewards.

        They are -1 and 1 of a channel that nowhere leaves these: it is scaled already, as that of an environment.
        """
        videos = [video for file in files if isinstance(video := self.of(file), VideoActions)]
        values = np.concatenate([video.values for video in videos])
        low, high = values.min(0), values.max(0)
        scaled = (low >= -1) & (high <= 1)
        low, high = np.where(scaled, -1.0, low), np.where(scaled, 1.0, high)
        found = {"channels": [*self.channels], "low": low.tolist(), "high": high.tolist()}
        if self.rewarded:
            rewards = np.concatenate([video.rewards for video in videos if video.rewards is not None])
            found["rewards"] = [float(rewards.mean()), float(rewards.std())]
        return found


def nearest_frames(times_s: Times, wanted_s: Float64[np.ndarray, " wanted"]) -> Int64[np.ndarray, " wanted"]:
    """The numbers of the frames that are nearest in time."""
    after = np.clip(np.searchsorted(times_s, wanted_s), 1, max(1, len(times_s) - 1))
    before = after - 1
    after = np.minimum(after, len(times_s) - 1)
    return np.where(wanted_s - times_s[before] <= times_s[after] - wanted_s, before, after)
