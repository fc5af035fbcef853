"""Finds what moves in the frames of a static camera, and follows it: a read-out for real pictures.

What differs from a modelled background falls into connected components, and those of successive frames are linked to
paths by the cheapest assignment. Nothing here knows a law of motion but that a thing is near where its last velocity
brings it. Positions are in pixels, x right and y down; the centre of pixel column `i` lies at `i + 0.5`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from vidworld.video.kept import IndexedFrames
from vidworld.video.tracking.blobs import Blob, Picture, background_of, blob_of, blobs, difference, threshold_of

__all__ = ["background_of", "track"]

MAX_GAP = 5  # frames for which an object may be lost before what is found next counts as another
FIRST_STEP = 0.2  # of the diagonal: how far an object may go from the first frame in which it is seen to the second
FARTHEST = 4.0  # of half an object's size and its uncertain motion: how far from where it is expected it may be
OTHER_COLOR = 60.0  # levels of colour that tell as much as one of those distances, or as a mass e times as large
MAX_CHANGE = 1.4  # of the logarithm of an object's mass from frame to frame
NO_LINK = 4.0  # a link that costs as much is none: what touches another takes its component only where it fits better
JOINED = 2.0  # the same of a path that ended and one that began later: the size of the thing, a mass e times as large
SPLIT_ROUNDS = 10
LONGEST_AWAY = 20  # frames out of the picture, or hidden, after which what appears there counts as another

BIN = 16  # levels that count as one colour
MERGED_TIMES = 1.5  # of its usual mass: an object that has more touches another
MIN_KNOWN = 5  # frames in which an object must be known before it is looked for by its colours
MIN_LEFT = 0.4  # of an object's usual colours that must be where it is found by them
MEAN_SHIFT_STOPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.5)


@dataclass
class Followed:
    """A component followed from frame to frame."""

    blobs: dict[int, Blob]  # by frame, in order

    @property
    def frames(self) -> list[int]:
        return list(self.blobs)

    @property
    def positions(self) -> Float[ndarray, "frame 2"]:
        return np.array([blob.position for blob in self.blobs.values()])

    @property
    def last(self) -> int:
        return next(reversed(self.blobs))

    def usual(self, what: str, recent: int = 0) -> Any:
        """Its median area, mass or color, over all frames or so many of the last."""
        return np.median([getattr(blob, what) for blob in list(self.blobs.values())[-recent:]], axis=0)

    @property
    def size(self) -> float:
        """Square root of its area."""
        return float(np.sqrt(self.usual("area")))

    def velocity(self) -> Float[ndarray, " 2"]:
        """Pixels a frame over the last steps; nothing is known from a single frame."""
        recent = list(self.blobs.items())[-3:]
        (first, start), (last, end) = recent[0], recent[-1]
        return np.asarray((end.position - start.position) / max(last - first, 1))

    def expected(self, frame: int) -> Float[ndarray, " 2"]:
        """Where it would be at its last velocity."""
        return np.asarray(self.blobs[self.last].position + self.velocity() * (frame - self.last))

    def cost(self, blob: Blob, frame: int, diagonal: float) -> float:
        """How unlike it a component is in place, mass and colour; `NO_LINK` where it cannot be the same thing."""
        waited, speed = frame - self.last, float(np.linalg.norm(self.velocity()))
        scale = 0.5 * float(np.sqrt(self.usual("area", MAX_GAP))) + waited * (1.0 + 0.25 * speed)
        if len(self.blobs) == 1:
            scale = FIRST_STEP * diagonal / FARTHEST
        distance = float(np.linalg.norm(blob.position - self.expected(frame))) / scale
        change = abs(float(np.log(blob.mass / self.usual("mass", MAX_GAP))))
        recolored = float(np.linalg.norm(blob.color - self.blobs[self.last].color)) / OTHER_COLOR
        if distance > FARTHEST or change > MAX_CHANGE:
            return NO_LINK
        return min(distance + change + recolored, NO_LINK)

    def unlike(self, later: "Followed") -> float:
        """How unlike it a path is that begins after its end; `NO_LINK` where it cannot be the same thing."""
        if len(self.blobs) <= MAX_GAP or not self.last < later.frames[0] <= self.last + LONGEST_AWAY:
            return NO_LINK
        waited, speed = later.frames[0] - self.last, float(np.linalg.norm(self.velocity()))
        scale = self.size + 0.25 * speed * waited
        distance = float(np.linalg.norm(later.positions[0] - self.positions[-1])) / scale
        change = abs(float(np.log(later.usual("mass") / self.usual("mass"))))
        return distance + change + float(np.linalg.norm(later.usual("color") - self.usual("color"))) / OTHER_COLOR

    def worth(self, frames: int) -> float:
        """How likely it is what a video shows: it is seen for long, goes far for its size, and stands out."""
        travelled = float(np.linalg.norm(np.ptp(self.positions, axis=0))) / self.size
        outstanding = self.usual("mass") / self.size
        return float(len(self.blobs) / frames * np.log1p(travelled) * np.sqrt(outstanding))


def track(
    frames: IndexedFrames,
    objects: int,
    background: Picture | None = None,
    known: Float[ndarray, "start object 2"] | None = None,
) -> Float[ndarray, "time object 2"]:
    """Where the objects are that are seen for long, travel far for their size and stand out; NaN where not found.

    background: of the scene without them; that of these frames where it is not given.
    known: where they are in the first frames; then those are followed.
    """
    position = np.full((len(frames), objects, 2), np.nan)
    scene = background_of(frames) if background is None else background
    for number, path in enumerate(follow(frames, objects, scene, known)):
        if path is not None:
            position[path.frames, number] = path.positions
    return position


def follow(
    frames: IndexedFrames, objects: int, scene: Picture, known: Float[ndarray, "start object 2"] | None = None
) -> list[Followed | None]:
    """The paths of `track`'s objects, in order; None for what is not found."""
    threshold = threshold_of(frames, scene)
    found = [blobs(frame, scene, threshold) for frame in frames]
    paths = link(found, float(np.hypot(*frames.shape[1:3])))
    paths.sort(key=lambda path: -path.worth(len(frames)))
    chosen: list[Followed | None] = [*sorted(paths[:objects], key=lambda path: path.frames[0])]
    if known is not None:
        chosen = [_nearest_object(paths, known[:, number]) for number in range(objects)]
    for path in chosen:
        if path is not None:
            _recover(path, frames, scene, threshold)
    return chosen + [None] * (objects - len(chosen))


def _nearest_object(paths: Sequence[Followed], places: Float[ndarray, "start 2"]) -> Followed | None:
    """The path that is where an object is known to be for most frames; None where none is."""
    seen = np.flatnonzero(np.isfinite(places).all(axis=1)).tolist()
    shared = [
        sum(bool(np.linalg.norm(path.blobs[k].position - places[k]) < path.size) for k in seen if k in path.blobs)
        for path in paths
    ]
    return paths[int(np.argmax(shared))] if shared and max(shared) > 0 else None


def _recover(path: Followed, frames: IndexedFrames, background: Picture, threshold: float) -> None:
    """Adds the frames in which the thing touches another: found there by its colours, near where it is expected.

    The colours that tell it from all around it are a ratio of histograms; mean shift climbs to where most of them are.
    """
    usual = path.usual("mass")
    merged = {k: blob for k, blob in path.blobs.items() if blob.mass > MERGED_TIMES * usual}
    path.blobs = {k: blob for k, blob in path.blobs.items() if k not in merged}
    missing = [k for k in range(len(frames)) if k not in path.blobs]
    if not missing or len(path.blobs) < MIN_KNOWN:
        path.blobs = dict(sorted((merged | path.blobs).items()))
        return
    first = path.frames[0]
    telling = _telling_colours(path, frames, background)
    side = max(3, round(1.2 * path.size))
    coloured = np.median([telling[_binned(blob.colours(frames[k]))].sum() for k, blob in path.blobs.items()])
    for frame in sorted(missing, key=lambda k: (k < first, abs(k - first))):
        apart = difference(frames[frame], background)
        likely = np.where(apart > threshold, telling[_binned(frames[frame])], 0.0).astype(np.float32)
        corner = np.round(_extrapolated(path, frame) - side / 2).astype(int)
        if (corner < 0).any() or (corner + side > likely.shape[::-1]).any():
            continue
        _, (left, top, width, height) = cv2.meanShift(likely, (*corner.tolist(), side, side), MEAN_SHIFT_STOPS)
        view = likely[top : top + height, left : left + width]
        if np.hypot(*(np.array((left, top)) - corner)) > side or not view.sum() > MIN_LEFT * coloured:
            continue
        rows, columns = np.nonzero(view > 0)
        path.blobs[frame] = blob_of(frames[frame], apart, rows + top, columns + left, threshold)
        path.blobs = dict(sorted(path.blobs.items()))
    path.blobs = dict(sorted((merged | path.blobs).items()))  # better with something else than not at all


def _extrapolated(path: Followed, frame: int) -> Float[ndarray, " 2"]:
    """Where the thing would be by the parabola through the nearest frames in which it is known."""
    known = np.array(path.frames)
    near = np.sort(np.argsort(np.abs(known - frame), kind="stable")[:MIN_KNOWN])
    offset, places = known[near] - frame, path.positions[near]
    return np.array([np.polyval(np.polyfit(offset, places[:, axis], 2), 0.0) for axis in (0, 1)])


def _telling_colours(path: Followed, frames: IndexedFrames, background: Picture) -> Float[ndarray, "red green blue"]:
    """By colour, the share of its pixels that are the thing's, among those in and around its places."""
    own, other = np.zeros((2, *(256 // BIN,) * 3))
    for frame, blob in path.blobs.items():
        np.add.at(own, _binned(blob.colours(frames[frame])), 1.0)
        top, left = (max(0, int(x - 2 * path.size)) for x in blob.position[::-1])
        view = slice(top, top + int(4 * path.size)), slice(left, left + int(4 * path.size))
        np.add.at(other, _binned(frames[frame][view]), 1.0)
    share = own / np.maximum(other, 1.0)
    return share * (share > 0.5)


def _binned(colours: UInt8[ndarray, "*any 3"]) -> tuple[ndarray, ...]:
    """Where each colour is counted."""
    return tuple(np.moveaxis(colours // BIN, -1, 0))


def link(found: Sequence[list[Blob]], diagonal: float) -> list[Followed]:
    """The components of successive frames as paths, by the cheapest assignment frame by frame."""
    paths: list[Followed] = []
    for frame, seen in enumerate(found):
        live = [path for path in paths if frame - path.last <= MAX_GAP + 1]
        seen = _split(seen, live, frame)
        cost = np.array([[path.cost(blob, frame, diagonal) for blob in seen] for path in live])
        cost = cost.reshape(len(live), len(seen))
        links = {j: i for i, j in zip(*linear_sum_assignment(cost), strict=True) if cost[i, j] < NO_LINK}
        for j, i in links.items():
            live[i].blobs[frame] = seen[j]
        paths += [Followed({frame: blob}) for j, blob in enumerate(seen) if j not in links]
    return _joined(paths)


def _joined(paths: Sequence[Followed]) -> list[Followed]:
    """The paths; what left the picture and comes back where it left it, as large and of its colour, has one."""
    whole: list[Followed] = []
    for path in paths:
        # What is seen for a moment only is not looked for among those that left: in a noisy video most are such.
        unlike = [other.unlike(path) for other in whole] if len(path.blobs) > MAX_GAP else []
        if unlike and min(unlike) < JOINED:
            whole[int(np.argmin(unlike))].blobs |= path.blobs
        else:
            whole.append(path)
    return whole


def _split(seen: list[Blob], live: Sequence[Followed], frame: int) -> list[Blob]:
    """The components; one in which several followed things are expected and find room falls into as many."""
    apart = []
    for blob in seen:
        low, high = blob.pixels.min(axis=0) - 1, blob.pixels.max(axis=0) + 1
        known = [(path, path.expected(frame)) for path in live if len(path.blobs) > MAX_GAP]
        inside = [path for path, place in known if (place >= low).all() and (place <= high).all()]
        heavy = max((path.usual("mass", MAX_GAP) for path in inside), default=0.0)
        inside = [path for path in inside if path.usual("mass", MAX_GAP) >= 0.5 * heavy]  # a shadow is swallowed whole
        if len(inside) < 2 or blob.mass < 0.7 * sum(path.usual("mass", MAX_GAP) for path in inside):
            apart.append(blob)
            continue
        centres = np.array([path.expected(frame) for path in inside])
        for _ in range(SPLIT_ROUNDS):
            nearest = np.linalg.norm(blob.pixels[:, None] - centres, axis=-1).argmin(axis=1)
            if len(set(nearest.tolist())) < len(centres):
                break
            centres = np.array([blob.pixels[nearest == k].mean(axis=0) for k in range(len(centres))])
        for k in set(nearest.tolist()):
            own = blob.pixels[nearest == k]
            apart.append(Blob(own.mean(axis=0), blob.color, own, blob.levels[nearest == k]))
    return apart
