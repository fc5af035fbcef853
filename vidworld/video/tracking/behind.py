"""The scene behind what was found to move: a first look takes the middle of a slow thing for background."""

import cv2
import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from vidworld.video.kept import IndexedFrames
from vidworld.video.tracking.blobs import HIDDEN_SHARE, Picture, Shown, blobs, spread_over, threshold_of

LOOKS = 10  # at most: each finds things more nearly whole than the one before
RIM = np.ones((5, 5), np.uint8)  # two pixels around a thing may be partly hidden by it
SEEN = 3  # frames in which nothing hides a pixel: fewer are no median
FEWEST = 10  # frames: of fewer, too few are left in which a pixel is not hidden


def behind(frames: IndexedFrames, scene: Picture) -> Picture:
    """The scene of these frames, better: each pixel's median over the frames in which no thing that differs hides it.

    frames: (time height width 3), eight bits. What a thing hides all the time is what its surroundings continue as.
    Only pixels that are hidden in many frames change, and by more than noise.
    """
    sample, threshold, first = frames[spread_over(len(frames))], threshold_of(frames, scene), scene
    if len(sample) < FEWEST:
        return scene
    for _ in range(LOOKS):
        hidden = np.stack([_hidden(frame, scene, threshold) for frame in sample])
        seen = len(sample) - hidden.sum(axis=0)
        at_times, never = hidden.any(axis=0) & (seen >= SEEN), seen < SEEN
        better = scene.copy()
        values = np.where(hidden[:, at_times, None], np.nan, sample[:, at_times].astype(np.float32))
        better[at_times] = np.nanmedian(values, axis=0)
        if never.any():
            shown = better.clip(0, 255).round().astype(np.uint8)
            better[never] = cv2.inpaint(shown, never.astype(np.uint8), 3, cv2.INPAINT_TELEA)[never]
        changed = float(np.abs(better - scene).max())
        scene = better
        if changed < threshold:  # the next would find the same
            break
    wrong = np.abs(scene - first).max(axis=2) > threshold
    wrong &= hidden.mean(axis=0) > HIDDEN_SHARE  # elsewhere the first look had enough frames that show the scene
    return np.where(wrong[..., None], scene, first)


def _hidden(frame: Shown, scene: Picture, threshold: float) -> Bool[ndarray, "height width"]:
    """Where things that differ from the scene are, or partly are; what lies between their parts is theirs."""
    found = np.zeros(frame.shape[:2], np.uint8)
    for blob in blobs(frame, scene, threshold):
        cv2.fillConvexPoly(found, cv2.convexHull(blob.pixels.astype(np.int32)), 1)
    return np.asarray(cv2.dilate(found, RIM).astype(bool))
