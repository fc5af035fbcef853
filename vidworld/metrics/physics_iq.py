"""Physics-IQ's four measures of a predicted video against the true one: where, when, how much moves; and MSE.

Source: Motamed et al. 2025, arXiv 2501.09038; the masks as in its code, where they also pass through an MP4 and are
shrunk to a quarter (that is in vidworld/evaluation/benchmarks/physics_iq_published.py). One difference, unless
`still_counts`: there a video in which nothing moves scores 1 where nothing moves in the true one either; here the
measures of motion do not apply (NaN) to a clip whose true future shows none, so that standing still earns nothing where
there was nothing to predict.

A quirk is kept: the running average takes in a frame before that frame is compared with it, so of a change of d levels
only 0.7 d counts, and the first mask of a video is empty for want of a past: there two videos always agree. With
`start`, the frames before it are a past that both share: they build the average, unscored.

The masks lose whatever is narrower than 5 pixels, which is little in the large videos they were made for. Of the 81
held-out clips of the sample videos at 64 px, 18 have no true motion left, at four times the size 3: hence `enlarge`.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float64, UInt8
from numpy import ndarray

from vidworld.core.clip import Frames
from vidworld.metrics import PerClip

AVERAGE_WEIGHT = 0.3
MOVED_LEVELS = 10
KERNEL = np.ones((5, 5), np.uint8)

VideoArray = UInt8[ndarray, "time channel height width"]
Masks = Bool[ndarray, "time rows columns"]
GreyPicture = UInt8[ndarray, "rows columns"]


class PhysicsIq(NamedTuple):
    """One value a clip for each measure."""

    spatial_iou: PerClip  # where anything moves at some time
    spatiotemporal_iou: PerClip  # where and when
    weighted_spatial_iou: PerClip  # where and how much
    mse: PerClip  # of the colours; it applies to every clip


def physics_iq(
    predicted: Frames, truth: Frames, start: int = 0, enlarge: int = 1, still_counts: bool = False
) -> PhysicsIq:
    """The four measures of predicted clips, over the frames from `start` on.

    Motion is looked for in the pictures `enlarge` times as large. still_counts: measures of motion also where nothing
    moves in the truth, as published; else they are NaN there.
    """
    scores = []
    for video, true in zip(predicted.cpu().numpy(), truth.cpu().numpy(), strict=True):
        masks = motion_masks(video, enlarge)[start:], motion_masks(true, enlarge)[start:]
        of_motion = [measure(*masks) for measure in (spatial_iou, spatiotemporal_iou, weighted_spatial_iou)]
        applies = still_counts or masks[1].any()
        scores.append([*(of_motion if applies else [np.nan] * 3), mean_squared_error(video[start:], true[start:])])
    return PhysicsIq(*np.asarray(scores, np.float64).reshape(-1, 4).T)


def motion_masks(video: VideoArray, enlarge: int = 1) -> Masks:
    """Where each frame of a video differs from the running average of those up to it; the first is empty."""
    return np.stack([mask.astype(bool) for mask in moving(_grey(frame, enlarge) for frame in video)])


def moving(pictures: Iterable[GreyPicture]) -> Iterator[GreyPicture]:
    """The masks of grey pictures, 1 where one differs from the average of those up to it; one is held at a time."""
    average = None
    for blurred in map(partial(cv2.GaussianBlur, ksize=(5, 5), sigmaX=0), pictures):
        if average is None:
            average = np.asarray(blurred, np.float64)
            yield np.zeros(average.shape, np.uint8)
            continue
        cv2.accumulateWeighted(blurred, average, AVERAGE_WEIGHT)
        yield _moved(np.asarray(blurred, np.uint8), average)


def _moved(picture: GreyPicture, average: Float64[ndarray, "rows columns"]) -> GreyPicture:
    moved = cv2.convertScaleAbs(average)  # each step is made in the place of the one before
    cv2.absdiff(picture, moved, dst=moved)
    cv2.threshold(moved, MOVED_LEVELS, 1, cv2.THRESH_BINARY, dst=moved)
    cv2.morphologyEx(moved, cv2.MORPH_OPEN, KERNEL, dst=moved)
    cv2.morphologyEx(moved, cv2.MORPH_CLOSE, KERNEL, dst=moved)
    return np.asarray(moved, np.uint8)


def spatial_iou(predicted: Masks, truth: Masks) -> float:
    """Intersection over union of the masks' maxima over time."""
    return iou(np.asarray(predicted.any(0)), np.asarray(truth.any(0)))


def spatiotemporal_iou(predicted: Masks, truth: Masks) -> float:
    """Intersection over union in each frame, averaged; two empty masks agree (1)."""
    return float(np.mean([iou(p, t) for p, t in zip(predicted, truth, strict=True)]))


def weighted_spatial_iou(predicted: Masks, truth: Masks) -> float:
    """Sum of the minima over sum of the maxima of the masks' means over time."""
    return iou(np.asarray(predicted.mean(0)), np.asarray(truth.mean(0)))


def mean_squared_error(predicted: VideoArray, truth: VideoArray) -> float:
    """Of the colours in [0, 1], over all frames."""
    return float(np.mean(((predicted.astype(np.float64) - truth) / 255.0) ** 2))


def _grey(frame: UInt8[ndarray, "channel height width"], enlarge: int) -> GreyPicture:
    picture = np.ascontiguousarray(frame.transpose(1, 2, 0))
    if enlarge != 1:
        picture = np.asarray(cv2.resize(picture, None, fx=enlarge, fy=enlarge), np.uint8)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def iou(a: ndarray, b: ndarray) -> float:
    """Of masks, or of shares of time; 1 where nothing moves in both."""
    union = np.maximum(a, b).sum()
    return float(np.minimum(a, b).sum() / union) if union else 1.0
