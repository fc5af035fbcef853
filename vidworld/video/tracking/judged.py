"""How well what the tracker followed is one object: whole, of one size and shape, and where a second tracker puts it.

To be found in every frame is not enough: a shadow or a hose that is at times part of what differs from the background
moves its middle, and so does the border of the picture where it cuts an object.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from vidworld.video.kept import IndexedFrames
from vidworld.video.tracking import Followed, follow
from vidworld.video.tracking.behind import behind
from vidworld.video.tracking.blobs import Blob, Picture, background_of

BORDER_PX = 1.0  # what comes so near to the border may go on beyond it
OTHER_AREA = 1.5  # times its usual area, or that part of it: another thing is with it, or some of it is missing
SOLID = 0.8  # of its convex hull: a ball with a hose is less
SAME_PX, SAME_SHARE = 1.0, 0.08  # two trackers agree whose places differ by less than this, or this share of its size
MATCHES = 0.6  # correlation with the object's own picture from which on the second tracker has found it
SEARCHED = 0.35  # of its size: how far around the first tracker's place the second one looks


@dataclass(frozen=True)
class Judged:
    """Where objects are, and how far to believe it."""

    position: Float[ndarray, "time object 2"]  # pixels; NaN where not found
    cut: Bool[ndarray, "time object"]  # by the border of the picture
    alike: Bool[ndarray, "time object"]  # found with its usual area and a shape without arms
    agreed: Bool[ndarray, "time object"]  # a second tracker puts it there as well
    apart_px: Float[ndarray, " object"]  # root mean square distance of two trackers; NaN where the second finds nothing
    size_px: Float[ndarray, " object"]  # square root of the usual area

    @property
    def found(self) -> Bool[ndarray, "time object"]:
        return np.asarray(np.isfinite(self.position).all(axis=-1))

    @property
    def well(self) -> Bool[ndarray, " time"]:
        """Whether each object is found whole, as it usually is, by both trackers."""
        return np.asarray((self.found & ~self.cut & self.alike & self.agreed).all(axis=1))

    @property
    def doubted(self) -> Bool[ndarray, " object"]:
        """Objects of which the trackers disagree on the whole."""
        known = np.isfinite(self.apart_px)
        return np.asarray(known & ~(self.apart_px <= np.maximum(SAME_PX, SAME_SHARE * self.size_px)))


def judge(frames: IndexedFrames, objects: int) -> Judged:
    """The objects that `track` follows in the frames of a static camera, and how well each is one object."""
    scene = behind(frames, background_of(frames))
    paths = follow(frames, objects, scene)
    there = (len(frames), objects)
    position, cut, alike, agreed = np.full((*there, 2), np.nan), *(np.zeros(there, bool) for _ in range(3))
    apart_px, size_px = np.full(objects, np.nan), np.full(objects, np.nan)
    for number, path in enumerate(paths):
        if path is None:
            continue
        position[path.frames, number], size_px[number] = path.positions, path.size
        cut[path.frames, number] = [_is_cut(blob, frames.shape[1:3]) for blob in path.blobs.values()]
        usual = path.usual("area")
        alike[path.frames, number] = [_is_alike(blob, usual) for blob in path.blobs.values()]
        whole = alike[:, number] & ~cut[:, number]
        offset = _second(path, frames, scene, whole) - position[:, number]
        if np.isfinite(offset[whole]).any():
            offset -= np.nanmedian(offset[whole], axis=0)
            distance = np.linalg.norm(offset, axis=1)
            agreed[:, number] = distance <= max(SAME_PX, SAME_SHARE * path.size)
            apart_px[number] = np.sqrt(np.nanmean(distance[~cut[:, number]] ** 2))
    return Judged(position, cut, alike, agreed, apart_px, size_px)


def _is_cut(blob: Blob, picture: Sequence[int]) -> bool:
    low, high = blob.pixels.min(axis=0), blob.pixels.max(axis=0)
    return bool((low <= BORDER_PX).any() or (high >= np.array(picture[::-1]) - BORDER_PX).any())


def _is_alike(blob: Blob, usual: float) -> bool:
    """Whether it has its usual area, and is nearly convex."""
    if not usual / OTHER_AREA <= blob.area <= usual * OTHER_AREA:
        return False
    hull = cv2.convexHull(blob.pixels.astype(np.float32))
    inside = cv2.contourArea(hull) + 0.5 * cv2.arcLength(hull, True) + 1  # pixels whose centres lie in it (Pick)
    return bool(blob.area >= SOLID * inside)


def _second(
    path: Followed, frames: IndexedFrames, background: Picture, whole: Bool[ndarray, " time"]
) -> Float[ndarray, "time 2"]:
    """Where the object's own picture, as it is in its most usual frame, matches best; NaN where it does nowhere."""
    found = np.full((len(frames), 2), np.nan)
    usual = path.usual("area")
    able = [k for k in path.frames if whole[k]]
    if not able:
        return found
    middle = able[len(able) // 2]
    known = min(able, key=lambda k: abs(np.log(path.blobs[k].area / usual)) + abs(k - middle) / len(frames))
    own = path.blobs[known]
    corner = np.maximum(np.floor(own.pixels.min(axis=0)).astype(int) - 2, 0)
    end = np.ceil(own.pixels.max(axis=0)).astype(int) + 2
    template = _apart(frames[known], background, corner, end)
    around = max(4, round(SEARCHED * path.size))
    for frame, blob in path.blobs.items():
        start = corner + np.round(blob.position - own.position).astype(int) - around
        stop = start + (end - corner) + 2 * around
        start, stop = np.maximum(start, 0), np.minimum(stop, frames.shape[2:0:-1])
        view = _apart(frames[frame], background, start, stop)
        if (np.array(view.shape[:2]) < template.shape[:2]).any():
            continue
        match = cv2.matchTemplate(view, template, cv2.TM_CCOEFF_NORMED)
        _, best, _, (left, top) = cv2.minMaxLoc(match)
        if best >= MATCHES:
            peak = np.array([_peak(match[top], left), _peak(match[:, left], top)])
            found[frame] = own.position + start + peak - corner
    return found


def _apart(frame: ndarray, background: Picture, start: ndarray, stop: ndarray) -> Float[ndarray, "tall wide 3"]:
    """By how much a part of a frame differs from the background, with its sign."""
    view = slice(start[1], stop[1]), slice(start[0], stop[0])
    return np.asarray(frame[view].astype(np.float32) - background[view].astype(np.float32))


def _peak(values: ndarray, best: int) -> float:
    """Where the parabola through a peak and its neighbours is highest."""
    if not 0 < best < len(values) - 1:
        return float(best)
    before, at, after = values[best - 1 : best + 2].astype(float)
    curve = before - 2 * at + after
    return best + (0.5 * (before - after) / curve if curve < 0 else 0.0)
