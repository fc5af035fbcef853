"""Footage -> shots: unbroken views of one scene, without black and repeated frames.

Thresholds are in grey levels of 255 on frames of about 128 px, or shares of the picture. They were set on 34 videos of
simple physics: there, true cuts change 23 to 29 % of a picture and 10 to 30 times what its neighbours change, and the
fastest motion (a car at 12 frames a second) changes 13 % and 1.5 times.
"""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from vidworld.core.shapes import VideoFrames
from vidworld.video.decode import Times

Grey = UInt8[np.ndarray, "time height width"]

BLACK_LEVEL = 12  # no pixel of a black frame is brighter; a dark scene with one small lit ball is not black
REPEAT_LEVELS = 2  # no pixel of a repeated frame differs by more (compression leaves 1 or 2)
CHANGED_LEVELS = 25  # a pixel has changed when it differs by more, after taking off what the exposure changed
CUT_SHARE, CUT_RATIO = 0.15, 4.0
"""A cut changes at least this share of the picture, and so many times what the neighbours change."""
EDGE_SHARE, EDGE_RATIO, EDGE_FRAMES = 0.02, 10.0, 12  # near start and end less will do: a caption leaves the scene
NEIGHBOURS = 8
MAX_CUT_STEPS = 2  # a cut takes one step from frame to frame, or two by way of a mixture; what takes more is motion
BLACK_BREAK = 3  # so many black frames are a dropout; more are the end of a shot


@dataclass(frozen=True)
class Shot:
    """The different pictures of an unbroken view of one scene."""

    frames: VideoFrames
    grey: Grey  # the same in grey, slightly blurred: what motion is measured on
    times_s: Times
    until_s: Times  # when the picture was shown for the last time: later than its time where repeats were dropped
    numbers: Int64[np.ndarray, " time"]  # of the frames in the file


@dataclass(frozen=True)
class Shots:
    """What footage falls into."""

    shots: tuple[Shot, ...]
    black: int  # frames dropped because they are black
    repeated: int  # frames dropped because they show the picture before them again


def find_shots(frames: VideoFrames, times_s: Times, first: int = 0) -> Shots:
    """The shots of consecutive frames, the first of which has number `first` in the file."""
    grey = to_grey(frames)
    black = grey.max(axis=(1, 2)) < BLACK_LEVEL
    kept, until_s = _different(grey, black, times_s)
    blacks = np.diff(np.cumsum(black)[kept]) if len(kept) else np.zeros(0, np.int64)  # between each kept and the next
    breaks = np.flatnonzero(_cuts(grey[kept]) | (blacks > BLACK_BREAK)) + 1
    parts = zip(np.split(kept, breaks), np.split(until_s, breaks), strict=True)
    shots = (Shot(frames[of], grey[of], times_s[of], until, of + first) for of, until in parts if len(of))
    return Shots(tuple(shots), int(black.sum()), int((~black).sum()) - len(kept))


def to_grey(frames: VideoFrames) -> Grey:
    """The frames in grey, blurred over 3 x 3 pixels against the noise of sensor and compression."""
    return np.stack([cv2.GaussianBlur(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), (3, 3), 0) for f in frames])


def _different(
    grey: Grey, black: Bool[np.ndarray, " time"], times_s: Times
) -> tuple[Int64[np.ndarray, " kept"], Float64[np.ndarray, " kept"]]:
    """Which frames are neither black nor like the last one kept, and until when each of them is shown."""
    kept: list[int] = []
    until_s: list[float] = []
    for i in np.flatnonzero(~black):
        if kept and cv2.absdiff(grey[i], grey[kept[-1]]).max() <= REPEAT_LEVELS:
            until_s[-1] = float(times_s[i])
        else:
            kept.append(int(i))
            until_s.append(float(times_s[i]))
    return np.asarray(kept, np.int64), np.asarray(until_s, np.float64)


def _cuts(grey: Grey) -> Bool[np.ndarray, " step"]:
    """Whether each step from one frame to the next is a cut: much changes at once, and not around it."""
    changed = np.array([_changed(a, b) for a, b in pairwise(grey)])
    usual = np.empty(len(changed))
    for i in range(len(changed)):
        around = np.r_[changed[max(0, i - NEIGHBOURS) : i], changed[i + 1 : i + 1 + NEIGHBOURS]]
        usual[i] = np.median(around) if len(around) else np.inf  # nothing to compare with
    step = np.arange(len(changed))
    edge = np.minimum(step, step[::-1]) < EDGE_FRAMES
    sudden = (changed > CUT_SHARE) & (changed > CUT_RATIO * usual)
    sudden |= edge & (changed > EDGE_SHARE) & (changed > EDGE_RATIO * usual)
    runs = np.split(sudden, np.flatnonzero(np.diff(sudden)) + 1)
    return np.concatenate([run & (len(run) <= MAX_CUT_STEPS) for run in runs]).astype(bool)


def _changed(a: UInt8[np.ndarray, "height width"], b: UInt8[np.ndarray, "height width"]) -> float:
    difference = b[::2, ::2].astype(np.int16) - a[::2, ::2]
    return float((np.abs(difference - np.median(difference)) > CHANGED_LEVELS).mean())
