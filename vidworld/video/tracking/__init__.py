"""Finds what moves in the frames of a static camera, and follows it: a read-out for real pictures.

What differs from a modelled background falls into connected components, and those of successive frames are linked by
the cheapest assignment. Nothing here knows a law of motion but that a thing is near where its last velocity brings it.
Positions are in pixels, x right and y down; the centre of pixel column `i` lies at `i + 0.5`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vidworld.core.shapes import Film
from vidworld.video.tracking.blobs import Picture, background_of, blobs, threshold_of
from vidworld.video.tracking.paths import Followed, link
from vidworld.video.tracking.recovery import recover

__all__ = ["Tracked", "background_of", "track"]


@dataclass(frozen=True)
class Tracked:
    """Where the objects are in each frame."""

    position: Float[ndarray, "time object 2"]  # pixels; NaN where the object was not found
    size: Float[ndarray, " object"]  # pixels: the median square root of an object's area


def track(
    frames: Film, objects: int, background: Picture | None = None, known: Float[ndarray, "start object 2"] | None = None
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
            recover(path, frames, scene, threshold)
            position[path.frames, number] = path.positions
            size[number] = path.size
    return Tracked(position, size)


def _nearest_object(paths: Sequence[Followed], places: Float[ndarray, "start 2"]) -> Followed | None:
    """The path that is where an object is known to be for most frames; None where none is."""
    seen = np.flatnonzero(np.isfinite(places).all(axis=1)).tolist()
    shared = [
        sum(k in p.blobs and bool(np.linalg.norm(p.blobs[k].position - places[k]) < p.size) for k in seen)
        for p in paths
    ]
    return paths[int(np.argmax(shared))] if shared and max(shared) > 0 else None
