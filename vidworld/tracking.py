"""Finds what moves in the frames of a static camera, and follows it: a read-out for real pictures.

A background is modelled, what differs from it falls into connected components, and the components of successive
frames are linked by the cheapest assignment. The parts are OpenCV's and SciPy's; nothing here knows a law of motion
but that a thing is near where its last velocity would have brought it.

Positions are in pixels, x right and y down; the centre of pixel column `i` lies at `i + 0.5`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from scipy.ndimage import binary_fill_holes
from scipy.optimize import linear_sum_assignment

Film = UInt8[ndarray, "time height width 3"]
Picture = Float[ndarray, "height width 3"]

SAMPLED = 61
"""Frames that a background is the median of."""
LEAST_LEVELS = 12.0
"""Grey levels by which a pixel differs that belongs to an object, where the film is free of noise."""
NOISE_TIMES = 6.0
"""The same in deviations of the film's own noise."""
SURE_TIMES = 2.0
"""An object has a pixel that differs by so many times as much (hysteresis)."""
LEAST_AREA_PX = 6.0
RESTING_SHARE = 0.1
"""Of the frames: a pixel that has another, steady value for longer may show the background then."""
MOST_GAP = 5
"""Frames for which an object may be lost before what is found next counts as another."""
FIRST_STEP = 0.2
"""Of the picture's diagonal: how far an object may go from the first frame in which it is seen to the second."""
FARTHEST = 4.0
"""Of half an object's size and its uncertain motion: how far from where it is expected it may be."""
OTHER_COLOR = 60.0
"""Levels of colour that tell as much as one of those distances, or as a mass e times as large."""
MOST_CHANGE = 1.4
"""Of the logarithm of an object's mass from frame to frame."""
NO_LINK = 4.0
"""A link that costs as much is none: what touches another takes its component only where it fits better."""
SPLIT_ROUNDS = 10
BIN = 16
"""Levels that count as one colour."""
MERGED_TIMES = 1.5
"""Of its usual mass: an object that has more touches another."""
LEAST_KNOWN = 5
"""Frames in which an object must be known before it is looked for by its colours."""
LEAST_LEFT = 0.4
"""Of an object's usual colours that must be where it is found by them."""


@dataclass(frozen=True)
class Tracked:
    """Where the objects are in each frame."""

    position: Float[ndarray, "time object 2"]
    """Pixels; NaN where the object was not found."""
    size: Float[ndarray, " object"]
    """Pixels: the median square root of an object's area."""

    @property
    def found(self) -> Float[ndarray, " object"]:
        """The share of the frames in which each object was found."""
        share: ndarray = np.isfinite(self.position).all(axis=-1).mean(axis=0)
        return share


@dataclass(frozen=True)
class Blob:
    """A connected component of what differs from the background."""

    position: Float[ndarray, " 2"]
    """Its centroid; a pixel at the rim counts for as much of it as the object covers."""
    color: Float[ndarray, " 3"]
    """Its mean."""
    pixels: Float[ndarray, "pixel 2"] = field(repr=False)
    levels: Float[ndarray, " pixel"] = field(repr=False)

    @property
    def area(self) -> int:
        """Pixels."""
        return len(self.pixels)

    @property
    def mass(self) -> float:
        """Sum over the pixels of how much they differ: what motion blur leaves as it is."""
        return float(self.levels.sum())


@dataclass
class _Path:
    """A component followed from frame to frame."""

    blobs: dict[int, Blob]
    """By frame, in order."""

    @property
    def frames(self) -> list[int]:
        return list(self.blobs)

    @property
    def positions(self) -> Float[ndarray, "frame 2"]:
        return np.array([blob.position for blob in self.blobs.values()])

    @property
    def last(self) -> int:
        return next(reversed(self.blobs))

    def recent(self, what: str) -> float:
        """The median area or mass of the last few frames."""
        return float(np.median([getattr(blob, what) for blob in list(self.blobs.values())[-MOST_GAP:]]))

    @property
    def size(self) -> float:
        """Square root of its area."""
        return float(np.sqrt(np.median([blob.area for blob in self.blobs.values()])))

    def velocity(self) -> Float[ndarray, " 2"]:
        """Pixels a frame over the last steps; nothing is known from a single frame."""
        recent = list(self.blobs.items())[-3:]
        (first, start), (last, end) = recent[0], recent[-1]
        moved: ndarray = (end.position - start.position) / max(last - first, 1)
        return moved

    def expected(self, frame: int) -> Float[ndarray, " 2"]:
        """Where it would be at its last velocity."""
        place: ndarray = self.blobs[self.last].position + self.velocity() * (frame - self.last)
        return place

    def cost(self, blob: Blob, frame: int, diagonal: float) -> float:
        """How unlike it a component is in place, mass and colour; `NO_LINK` where it cannot be the same thing."""
        waited, speed = frame - self.last, float(np.linalg.norm(self.velocity()))
        scale = 0.5 * float(np.sqrt(self.recent("area"))) + waited * (1.0 + 0.25 * speed)
        if len(self.blobs) == 1:
            scale = FIRST_STEP * diagonal / FARTHEST
        distance = float(np.linalg.norm(blob.position - self.expected(frame))) / scale
        change = abs(float(np.log(blob.mass / self.recent("mass"))))
        recolored = float(np.linalg.norm(blob.color - self.blobs[self.last].color)) / OTHER_COLOR
        if distance > FARTHEST or change > MOST_CHANGE:
            return NO_LINK
        return min(distance + change + recolored, NO_LINK)

    def worth(self, frames: int) -> float:
        """How likely it is what a film shows: it is seen for long, goes far for its size, and stands out."""
        travelled = float(np.linalg.norm(np.ptp(self.positions, axis=0))) / self.size
        outstanding = np.median([blob.mass for blob in self.blobs.values()]) / self.size
        return float(len(self.blobs) / frames * np.log1p(travelled) * np.sqrt(outstanding))


def track(
    frames: Film,
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
    paths = _link(found, float(np.hypot(*frames.shape[1:3])))
    paths.sort(key=lambda path: -path.worth(len(frames)))
    if known is None:
        chosen: list[_Path | None] = [*sorted(paths[:objects], key=lambda path: path.frames[0])]
    else:
        chosen = [_nearest(paths, known[:, number]) for number in range(objects)]
    position = np.full((len(frames), objects, 2), np.nan)
    size = np.full(objects, np.nan)
    for number, path in enumerate(chosen):
        if path is not None:
            _recover(path, frames, scene, threshold)
            position[path.frames, number] = path.positions
            size[number] = path.size
    return Tracked(position, size)


def _nearest(paths: Sequence[_Path], places: Float[ndarray, "start 2"]) -> _Path | None:
    """The path that is where an object is known to be for most frames; None where none is."""
    seen = np.flatnonzero(np.isfinite(places).all(axis=1)).tolist()
    shared = [
        sum(k in p.blobs and bool(np.linalg.norm(p.blobs[k].position - places[k]) < p.size) for k in seen)
        for p in paths
    ]
    return paths[int(np.argmax(shared))] if shared and max(shared) > 0 else None


# --- background --------------------------------------------------------------------------------------------


def background_of(frames: Film) -> Picture:
    """The scene without what moves: each pixel's median, and where a thing rested for longer than it was away, the
    value behind it.

    A resting thing leaves a mark in the median, and a ghost of itself where the scene was bare. A pixel that has two
    steady values has the one of the background that is nearer to what its surroundings would continue as.
    """
    sample = frames[np.linspace(0, len(frames) - 1, min(SAMPLED, len(frames))).round().astype(int)]
    usual = np.median(sample, axis=0).astype(np.float32)
    differs = (
        np.stack([cv2.absdiff(f.astype(np.float32), usual).max(axis=-1) for f in sample]) > 2 * LEAST_LEVELS
    )
    twofold = differs.mean(axis=0) > RESTING_SHARE
    if not twofold.any():
        return np.asarray(usual, np.float64)
    values = sample[:, twofold].astype(np.float32)
    other = np.nanmedian(np.where(differs[:, twofold, None], values, np.nan), axis=0)
    unsure = cv2.dilate(twofold.astype(np.uint8), np.ones((5, 5), np.uint8))
    continued = cv2.inpaint(usual.round().astype(np.uint8), unsure, 3, cv2.INPAINT_TELEA)[twofold].astype(
        np.float32
    )
    here = usual[twofold]
    nearer = np.abs(other - continued).sum(axis=1) < np.abs(here - continued).sum(axis=1)
    usual[twofold] = np.where(nearer[:, None], other, here)
    return np.asarray(usual, np.float64)


# --- what differs from it ----------------------------------------------------------------------------------


def difference(
    frame: UInt8[ndarray, "height width 3"], background: Picture
) -> Float[ndarray, "height width"]:
    """Grey levels of the colour that differs most, after taking off what the exposure changed, slightly blurred."""
    apart = frame.astype(np.float32) - background.astype(np.float32)
    apart -= np.median(apart.reshape(-1, 3)[::7], axis=0)
    blurred: ndarray = cv2.GaussianBlur(np.abs(apart).max(axis=-1), (0, 0), 0.8).astype(np.float64)
    return blurred


def threshold_of(frames: Film, background: Picture) -> float:
    """Levels above which a pixel is no noise, from that of the frames."""
    chosen = frames[np.linspace(0, len(frames) - 1, min(9, len(frames))).round().astype(int)]
    noise = np.median([np.median(difference(frame, background)) for frame in chosen])
    return max(LEAST_LEVELS, NOISE_TIMES * float(noise))


def blobs(frame: UInt8[ndarray, "height width 3"], background: Picture, threshold: float) -> list[Blob]:
    """The connected components of what differs, each without what is thin (a string, an arm)."""
    levels = difference(frame, background)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((levels > threshold).astype(np.uint8))
    found = []
    for label in range(1, count):
        left, top, width, height, area = (int(number) for number in stats[label])
        view = slice(top, top + height), slice(left, left + width)
        body = labels[view] == label
        if area < LEAST_AREA_PX or levels[view][body].max() < SURE_TIMES * threshold:
            continue
        rows, columns = np.nonzero(_without_thin(binary_fill_holes(body)))
        pixels = np.stack([columns + left, rows + top], axis=1) + 0.5
        found.append(_blob(frame, pixels, levels[view][rows, columns], 2 * threshold))
    return found


def _blob(
    frame: UInt8[ndarray, "height width 3"],
    pixels: Float[ndarray, "pixel 2"],
    levels: Float[ndarray, " pixel"],
    most: float,
) -> Blob:
    """most: levels from which on a pixel lies wholly inside."""
    columns, rows = pixels.astype(int).T
    place = np.average(pixels, axis=0, weights=np.minimum(levels, most) + 1e-6)
    return Blob(place, frame[rows, columns].mean(axis=0), pixels, levels)


def _without_thin(body: Bool[ndarray, "height width"]) -> Bool[ndarray, "height width"]:
    """The largest part of a component that a disc of half its greatest width can roll over."""
    padded = np.pad(body, 1).astype(np.uint8)
    reach = int(cv2.distanceTransform(padded, cv2.DIST_L2, 5).max() / 2)
    if reach < 1:
        return body
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc))
    if count < 2:
        return body
    largest: ndarray = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return largest[1:-1, 1:-1]


# --- linking -----------------------------------------------------------------------------------------------


def _link(found: Sequence[list[Blob]], diagonal: float) -> list[_Path]:
    """The components of successive frames as paths, by the cheapest assignment frame by frame."""
    paths: list[_Path] = []
    for frame, seen in enumerate(found):
        live = [path for path in paths if frame - path.last <= MOST_GAP + 1]
        seen = _split(seen, live, frame)
        cost = np.array([[path.cost(blob, frame, diagonal) for blob in seen] for path in live])
        cost = cost.reshape(len(live), len(seen))
        taken = set()
        for i, j in zip(*linear_sum_assignment(cost), strict=True):
            if cost[i, j] < NO_LINK:
                live[i].blobs[frame] = seen[j]
                taken.add(j)
        paths += [_Path({frame: blob}) for j, blob in enumerate(seen) if j not in taken]
    return paths


def _split(seen: list[Blob], live: Sequence[_Path], frame: int) -> list[Blob]:
    """The components; one in which several followed things are expected and find room falls into as many."""
    apart = []
    for blob in seen:
        low, high = blob.pixels.min(axis=0) - 1, blob.pixels.max(axis=0) + 1
        inside = [
            path
            for path in live
            if len(path.blobs) > MOST_GAP and ((e := path.expected(frame)) >= low).all() and (e <= high).all()
        ]
        heavy = max((path.recent("mass") for path in inside), default=0.0)
        inside = [
            path for path in inside if path.recent("mass") >= 0.5 * heavy
        ]  # a shadow is swallowed whole
        if len(inside) < 2 or blob.mass < 0.7 * sum(path.recent("mass") for path in inside):
            apart.append(blob)
            continue
        centres = np.array([path.expected(frame) for path in inside])
        for _ in range(SPLIT_ROUNDS):
            nearest = np.linalg.norm(blob.pixels[:, None] - centres, axis=-1).argmin(axis=1)
            if len(set(nearest.tolist())) < len(centres):
                break
            centres = np.array([blob.pixels[nearest == k].mean(axis=0) for k in range(len(centres))])
        for k in set(nearest.tolist()):
            own = nearest == k
            place = blob.pixels[own].mean(axis=0)
            apart.append(Blob(place, blob.color, blob.pixels[own], blob.levels[own]))
    return apart


# --- what merged with something else -----------------------------------------------------------------------


def _recover(path: _Path, frames: Film, background: Picture, threshold: float) -> None:
    """Adds the frames in which the thing touches another: found there by its colours, near where it is expected.

    The colours that tell it from all else that moves and from the scene around it are a ratio of histograms; from the
    expected place OpenCV's mean shift climbs to where most of them are.
    """
    usual = float(np.median([blob.mass for blob in path.blobs.values()]))
    merged = {k: blob for k, blob in path.blobs.items() if blob.mass > MERGED_TIMES * usual}
    for k in merged:
        del path.blobs[k]
    missing = [k for k in range(len(frames)) if k not in path.blobs]
    if not missing or len(path.blobs) < LEAST_KNOWN:
        path.blobs = dict(sorted((merged | path.blobs).items()))
        return
    known = np.array(path.frames)
    telling = _telling_colours(path, frames, background)
    side = max(3, round(1.2 * path.size))
    coloured = np.median([_mass(frames[k], telling, path.blobs[k].pixels) for k in path.frames])
    after = [k for k in missing if k > known[0]]
    before = [k for k in reversed(missing) if k < known[0]]
    for frame in (*after, *before):
        place = _extrapolated(path, frame)
        likely = telling[tuple((frames[frame] // BIN).reshape(-1, 3).T)].reshape(frames.shape[1:3])
        likely = np.where(difference(frames[frame], background) > threshold, likely, 0.0).astype(np.float32)
        corner = np.round(place - side / 2).astype(int)
        if (corner < 0).any() or (corner + side > likely.shape[::-1]).any():
            continue
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.5)
        _, (left, top, width, height) = cv2.meanShift(
            likely, (int(corner[0]), int(corner[1]), side, side), stop
        )
        view = likely[top : top + height, left : left + width]
        if np.hypot(*(np.array((left, top)) - corner)) > side or not view.sum() > LEAST_LEFT * coloured:
            continue
        rows, columns = np.nonzero(view > 0)
        pixels = np.stack([columns + left, rows + top], axis=1) + 0.5
        levels = difference(frames[frame], background)[rows + top, columns + left]
        path.blobs[frame] = _blob(frames[frame], pixels, levels, 2 * threshold)
        path.blobs = dict(sorted(path.blobs.items()))
    path.blobs = dict(sorted((merged | path.blobs).items()))  # better with something else than not at all


def _extrapolated(path: _Path, frame: int) -> Float[ndarray, " 2"]:
    """Where the thing would be by the parabola through the nearest frames in which it is known."""
    known = np.array(path.frames)
    near = np.sort(np.argsort(np.abs(known - frame), kind="stable")[:LEAST_KNOWN])
    offset, places = known[near] - frame, path.positions[near]
    return np.array([np.polyval(np.polyfit(offset, places[:, axis], 2), 0.0) for axis in (0, 1)])


def _telling_colours(path: _Path, frames: Film, background: Picture) -> Float[ndarray, "red green blue"]:
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


def _mass(frame: UInt8[ndarray, "height width 3"], telling: ndarray, pixels: ndarray) -> float:
    columns, rows = pixels.astype(int).T
    return float(telling[tuple((frame[rows, columns] // BIN).T)].sum())
