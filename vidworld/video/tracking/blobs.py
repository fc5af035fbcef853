"""The scene without what moves in it, and what differs from it, as connected components."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray
from scipy.ndimage import binary_fill_holes

from vidworld.video.kept import IndexedFrames

Picture = Float[ndarray, "height width 3"]
Shown = UInt8[ndarray, "height width 3"]  # a frame of a video

SAMPLED = 61  # frames that a background is the median of
MIN_LEVELS = 12.0  # grey levels by which a pixel differs that belongs to an object, where the video is free of noise
NOISE_TIMES = 6.0  # the same in deviations of the video's own noise
RESTING_SHARE = 0.1  # of the frames: a pixel that has another, steady value for longer may show the background then
HIDDEN_SHARE = 0.4  # of the frames in which a pixel is not as it usually is: then what it usually shows may hide it...
FAR_LEVELS = 100.0  # ...if that differs by so much (all colours added) from what its surroundings continue as
SURE_TIMES = 2.0  # an object has a pixel that differs by so many times as much (hysteresis)
MIN_AREA_PX = 6.0


def spread_over(count: int) -> Int[ndarray, " some"]:
    """The numbers of those of so many frames that a background is the median of."""
    return np.linspace(0, count - 1, min(SAMPLED, count)).round().astype(int)


def background_of(frames: IndexedFrames) -> Picture:
    """The scene without what moves: each pixel's median, and where a thing rested for long, the value behind it.

    Of a pixel's two steady values the background's is the one nearer to what its surroundings would continue as.
    """
    sample = frames[spread_over(len(frames))]
    usual = np.median(sample, axis=0).astype(np.float32)
    differs = np.zeros(sample.shape[:3], bool)
    for frame, apart in zip(sample, differs, strict=True):
        apart[:] = _most(cv2.absdiff(frame.astype(np.float32), usual)) > 2 * MIN_LEVELS
    twofold = differs.mean(axis=0) > RESTING_SHARE
    if not twofold.any():
        return np.asarray(usual, np.float64)
    values = sample[:, twofold].astype(np.float32)
    other = np.nanmedian(np.where(differs[:, twofold, None], values, np.nan), axis=0)
    unsure = cv2.dilate(twofold.astype(np.uint8), np.ones((5, 5), np.uint8))
    inpainted = cv2.inpaint(usual.round().astype(np.uint8), unsure, 3, cv2.INPAINT_TELEA)
    continued, here = inpainted[twofold].astype(np.float32), usual[twofold]
    nearer = np.abs(other - continued).sum(axis=1) < np.abs(here - continued).sum(axis=1)
    chosen = np.where(nearer[:, None], other, here)
    hidden = differs.mean(axis=0)[twofold] > HIDDEN_SHARE
    chosen[hidden] = _seldom_seen(chosen[hidden], values[:, hidden], continued[hidden])
    usual[twofold] = chosen
    return np.asarray(usual, np.float64)


def _seldom_seen(chosen: ndarray, values: ndarray, continued: ndarray) -> ndarray:
    """Values (pixel, colour) of the background where one thing after the other hid it nearly all the time.

    There what was chosen is far from what the surroundings would continue as, and a few frames are near to it.
    """
    far = np.abs(chosen - continued).sum(axis=1)
    near = np.abs(values - continued).sum(axis=2) < far / 3
    seldom = (far > FAR_LEVELS) & (near.sum(axis=0) >= 2)
    if not seldom.any():
        return chosen
    found = chosen.copy()
    found[seldom] = np.nanmedian(np.where(near[:, seldom, None], values[:, seldom], np.nan), axis=0)
    return found


def difference(frame: Shown, background: Picture) -> Float[ndarray, "height width"]:
    """Grey levels of the colour that differs most, after taking off what the exposure changed, slightly blurred."""
    apart = frame.astype(np.float32) - background.astype(np.float32)
    apart -= np.median(apart.reshape(-1, 3)[::7], axis=0)
    return np.asarray(cv2.GaussianBlur(_most(np.abs(apart)), (0, 0), 0.8), np.float64)


def _most(colours: ndarray) -> ndarray:
    """The largest of three colours; numpy's own maximum over so short an axis takes ten times as long."""
    return np.asarray(np.maximum(np.maximum(colours[..., 0], colours[..., 1]), colours[..., 2]))


def threshold_of(frames: IndexedFrames, background: Picture) -> float:
    """Levels above which a pixel is no noise, from that of the frames."""
    chosen = frames[np.linspace(0, len(frames) - 1, min(9, len(frames))).round().astype(int)]
    noise = np.median([np.median(difference(frame, background)) for frame in chosen])
    return max(MIN_LEVELS, NOISE_TIMES * float(noise))


@dataclass(frozen=True)
class Blob:
    """A connected component of what differs from the background."""

    position: Float[ndarray, " 2"]  # its centroid; a pixel at the rim counts for as much of it as the object covers
    color: Float[ndarray, " 3"]  # its mean
    pixels: Float[ndarray, "pixel 2"] = field(repr=False)
    levels: Float[ndarray, " pixel"] = field(repr=False)

    @property
    def area(self) -> int:
        return len(self.pixels)

    @property
    def mass(self) -> float:
        """Sum over the pixels of how much they differ: what motion blur leaves as it is."""
        return float(self.levels.sum())

    def colours(self, frame: Shown) -> UInt8[ndarray, "pixel 3"]:
        columns, rows = self.pixels.astype(int).T
        return np.asarray(frame[rows, columns])


def blobs(frame: Shown, background: Picture, threshold: float) -> list[Blob]:
    """The connected components of what differs, each without what is thin (a string, an arm)."""
    levels = difference(frame, background)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((levels > threshold).astype(np.uint8))
    found = []
    for label in range(1, count):
        left, top, width, height, area = (int(number) for number in stats[label])
        view = slice(top, top + height), slice(left, left + width)
        body = labels[view] == label
        if area < MIN_AREA_PX or levels[view][body].max() < SURE_TIMES * threshold:
            continue
        rows, columns = np.nonzero(_without_thin(binary_fill_holes(body)))
        found.append(blob_of(frame, levels, rows + top, columns + left, threshold))
    return found


def blob_of(frame: Shown, levels: ndarray, rows: ndarray, columns: ndarray, threshold: float) -> Blob:
    """That of these pixels; `levels` tell of every pixel by how much it differs."""
    pixels, own = np.stack([columns, rows], axis=1).astype(np.float32) + np.float32(0.5), levels[rows, columns]
    place = np.average(pixels, axis=0, weights=np.minimum(own, 2 * threshold) + 1e-6)  # from there on it lies inside
    return Blob(place, frame[rows, columns].mean(axis=0), pixels, own.astype(np.float32))


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
    return np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))[1:-1, 1:-1]
