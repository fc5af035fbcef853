"""Finds what moves in the frames of a static camera, and follows it: a read-out for real pictures.

What differs from a modelled background falls into connected components, and those of successive frames are linked by
the cheapest assignment. Nothing here knows a law of motion but that a thing is near where its last velocity brings it.
Positions are in pixels, x right and y down; the centre of pixel column `i` lies at `i + 0.5`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vidworld.core.shapes import VideoFrames
from vidworld.video.tracking.blobs import Picture, Shown, background_of, blob_of, blobs, difference, threshold_of
from vidworld.video.tracking.paths import Followed, link

__all__ = ["Tracked", "background_of", "track"]

BIN = 16  # levels that count as one colour
MERGED_TIMES = 1.5  # of its usual mass: an object that has more touches another
MIN_KNOWN = 5  # frames in which an object must be known before it is looked for by its colours
MIN_LEFT = 0.4  # of an object's usual colours that must be where it is found by them

MEAN_SHIFT_STOPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.5)


@dataclass(frozen=True)
class Tracked:
    """Where the objects are in each frame."""

    position: Float[ndarray, "time object 2"]  # pixels; NaN where the object was not found
    size: Float[ndarray, " object"]  # pixels: the median square root of an object's area


def track(
    frames: VideoFrames,
    objects: int,
    background: Picture | None = None,
    known: Float[ndarray, "start object 2"] | None = None,
) -> Tracked:
    """The objects that are seen for long, travel far for their size and stand out, followed over all frames.

    background: of the scene without them; that of these frames where it is not given.
    known: where they are in the first frames; then those are followed.
    """
    scene = background_of(frames) if background is None else background
    threshold = threshold_of(frames, scene)
    found = [blobs(frame, scene, threshold) for frame in frames]
    paths = link(found, float(np.hypot(*frames.shape[1:3])))
    paths.sort(key=lambda path: -path.worth(len(frames)))
    chosen: list[Followed | None] = [*sorted(paths[:objects], key=lambda path: path.frames[0])]
    if known is not None:
        chosen = [_nearest_object(paths, known[:, number]) for number in range(objects)]
    position, size = np.full((len(frames), objects, 2), np.nan), np.full(objects, np.nan)
    for number, path in enumerate(chosen):
        if path is not None:
            _recover(path, frames, scene, threshold)
            position[path.frames, number] = path.positions
            size[number] = path.size
    return Tracked(position, size)


def _nearest_object(paths: Sequence[Followed], places: Float[ndarray, "start 2"]) -> Followed | None:
    """The path that is where an object is known to be for most frames; None where none is."""
    seen = np.flatnonzero(np.isfinite(places).all(axis=1)).tolist()

    def is_there(path: Followed, frame: int) -> bool:
        blob = path.blobs.get(frame)
        return blob is not None and bool(np.linalg.norm(blob.position - places[frame]) < path.size)

    shared = [sum(is_there(path, frame) for frame in seen) for path in paths]
    return paths[int(np.argmax(shared))] if shared and max(shared) > 0 else None


def _recover(path: Followed, frames: VideoFrames, background: Picture, threshold: float) -> None:
    """Adds the frames in which the thing touches another: found there by its colours, near where it is expected.

    The colours that tell it from all around it are a ratio of histograms; mean shift climbs to where most of them are.
    """
    usual = float(np.median([blob.mass for blob in path.blobs.values()]))
    merged = {k: blob for k, blob in path.blobs.items() if blob.mass > MERGED_TIMES * usual}
    path.blobs = {k: blob for k, blob in path.blobs.items() if k not in merged}
    missing = [k for k in range(len(frames)) if k not in path.blobs]
    if not missing or len(path.blobs) < MIN_KNOWN:
        path.blobs = dict(sorted((merged | path.blobs).items()))
        return
    first = path.frames[0]
    telling = _telling_colours(path, frames, background)
    side = max(3, round(1.2 * path.size))
    coloured = np.median([_mass(frames[k], telling, path.blobs[k].pixels) for k in path.frames])
    after = [k for k in missing if k > first]
    before = [k for k in reversed(missing) if k < first]
    for frame in (*after, *before):
        likely = telling[tuple((frames[frame] // BIN).reshape(-1, 3).T)].reshape(frames.shape[1:3])
        apart = difference(frames[frame], background)
        likely = np.where(apart > threshold, likely, 0.0).astype(np.float32)
        corner = np.round(_extrapolated(path, frame) - side / 2).astype(int)
        if (corner < 0).any() or (corner + side > likely.shape[::-1]).any():
            continue
        window = (int(corner[0]), int(corner[1]), side, side)
        _, (left, top, width, height) = cv2.meanShift(likely, window, MEAN_SHIFT_STOPS)
        view = likely[top : top + height, left : left + width]
        if np.hypot(*(np.array((left, top)) - corner)) > side or not view.sum() > MIN_LEFT * coloured:
            continue
        rows, columns = np.nonzero(view > 0)
        pixels = np.stack([columns + left, rows + top], axis=1) + 0.5
        levels = apart[rows + top, columns + left]
        path.blobs[frame] = blob_of(frames[frame], pixels, levels, 2 * threshold)
        path.blobs = dict(sorted(path.blobs.items()))
    path.blobs = dict(sorted((merged | path.blobs).items()))  # better with something else than not at all


def _extrapolated(path: Followed, frame: int) -> Float[ndarray, " 2"]:
    """Where the thing would be by the parabola through the nearest frames in which it is known."""
    known = np.array(path.frames)
    near = np.sort(np.argsort(np.abs(known - frame), kind="stable")[:MIN_KNOWN])
    offset, places = known[near] - frame, path.positions[near]
    return np.array([np.polyval(np.polyfit(offset, places[:, axis], 2), 0.0) for axis in (0, 1)])


def _telling_colours(path: Followed, frames: VideoFrames, background: Picture) -> Float[ndarray, "red green blue"]:
    """By colour, the share of its pixels that are the thing's, among those in and around its places."""
    edges = (256 // BIN,) * 3
    own, other = np.zeros(edges), np.zeros(edges)
    for frame, blob in path.blobs.items():
        columns, rows = blob.pixels.astype(int).T
        np.add.at(own, tuple((frames[frame][rows, columns] // BIN).T), 1.0)
        top, left = (max(0, int(x - 2 * path.size)) for x in blob.position[::-1])
        view = slice(top, top + int(4 * path.size)), slice(left, left + int(4 * path.size))
        np.add.at(other, tuple((frames[frame][view] // BIN).reshape(-1, 3).T), 1.0)
    return own / np.maximum(other, 1.0) * (own / np.maximum(other, 1.0) > 0.5)


def _mass(frame: Shown, telling: ndarray, pixels: ndarray) -> float:
    columns, rows = pixels.astype(int).T
    return float(telling[tuple((frame[rows, columns] // BIN).T)].sum())
