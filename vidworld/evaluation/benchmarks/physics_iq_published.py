"""Physics-IQ's four measures as its released code computes them, of files at their own size and rate.

Source: Motamed et al. 2025 (arXiv 2501.09038) and its repository google-deepmind/physics-IQ-benchmark, by which this
was written anew. The first five seconds count. Masks are made of a video at its own size, go through an MP4 (MPEG-4, as
OpenCV writes it) and are shrunk to a quarter of the true video's size, by OpenCV's bilinear way, where more than 127
levels are motion; pictures are shrunk likewise. True videos of another rate than the model's are blended to it, from
the first frame of the five seconds to the last. Files of a rate that are there, as its authors give them for 8, 16 and
24 frames a second, are used instead, and so are their masks.

Differences: blended videos go through no further MP4, whose quality that code leaves to the machine; and numbers are
not rounded to four places on the way.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vidworld.metrics.physics_iq import GreyPicture, iou, moving
from vidworld.models.external.videos import Begins
from vidworld.video.decode import Unreadable
from vidworld.video.kept import KeptFrames, keep

HORIZON_S = 5.0
SHRUNK = 4  # by so much is a video smaller where it is compared
MASK_LEVEL = 127
MIXED_ROWS = 64  # of a picture that are blended at once
_Picture = UInt8[ndarray, "height width 3"]  # blue, green, red
Size = tuple[int, int]  # width, height
FourMeasures = tuple[float, float, float, float]  # spatial, spatiotemporal and weighted spatial IoU, and MSE
PackedMasks = list[UInt8[ndarray, " byte"]]  # a bit for each pixel of each frame


@dataclass(frozen=True)
class ScoredVideo:
    """Pictures of one size, from the first that counts on; they are made or read one after another, each time anew.

    A picture is there until the next is asked for, which may be made in its place.
    """

    pictures: Callable[[], Iterator[_Picture]]
    fps: float
    masks: Path | None = None  # a video of what moves in them, where there is one

    @property
    def count(self) -> int:
        """Frames of five seconds."""
        return int(self.fps * HORIZON_S)


# --- what is compared ---


def video_of_frames(frames: UInt8[ndarray, "time 3 height width"], fps: float) -> ScoredVideo:
    """What a model predicted, its first frame after the switch first."""
    return ScoredVideo(lambda: (np.ascontiguousarray(frame[::-1].transpose(1, 2, 0)) for frame in frames), fps)


def frozen_video(full: Path, number: int, fps: float) -> ScoredVideo:
    """The frame of this number of a video, standing still. Raises Unreadable."""
    picture = next(islice(_pictures_in(full), number, None), None)
    if picture is None:
        raise Unreadable(f"{full}: ends before its frame {number}")
    return ScoredVideo(lambda: repeat(picture), fps)


def generated_video(path: Path, begins: Begins | None, context_s: float) -> ScoredVideo:
    """A model's own video. Raises Unreadable: it is not of five seconds, and nobody said what it begins with."""
    fps, there = _rate_and_length(path)
    skipped = {"context": round(context_s * fps), "last frame": 1}.get(begins or "", 0)
    scored = ScoredVideo(lambda: islice(_pictures_in(path), skipped, None), fps)
    if there - skipped < scored.count or (begins is None and there > scored.count + 1):
        says = f"lasts {there / fps:.2f} s"
        raise Unreadable(f"{path}: {says}; Physics-IQ scores the five seconds after the switch, and nothing before")
    return scored


def true_video(video: Path, fps: float) -> ScoredVideo:
    """A testing video at a rate. Raises Unreadable: it lasts less than five seconds."""
    own, there = _rate_and_length(video)
    other = f"{int(fps)}FPS"
    of_rate = video.parents[1] / other / video.name.replace(video.parent.name, other)
    masks = video.parents[3] / "video-masks" / "real" / other / of_rate.name.replace("testing-videos", "video-masks")
    known = masks if masks.exists() and fps == int(fps) else None
    if there < int(own * HORIZON_S):
        raise Unreadable(f"{video}: lasts {there / own:.2f} s; Physics-IQ scores five")
    if round(own, 2) == round(fps, 2):
        return ScoredVideo(lambda: _pictures_in(video), fps, known)
    if of_rate.exists() and fps == int(fps):
        return ScoredVideo(lambda: _pictures_in(of_rate), fps, known)
    return ScoredVideo(lambda: _blended(_pictures_in(video), int(own * HORIZON_S), int(fps * HORIZON_S)), fps, known)


def measures_as_published(scored: ScoredVideo, video: Path) -> FourMeasures:
    """A video's four measures against a testing video, at the video's rate. Raises Unreadable, UserError."""
    truth = _true(video, scored.fps, _stamp(video))
    height, width = truth.pictures.shape[1:3]
    return _compared(_shrunk(scored, (width, height)), truth, scored)


def takes_as_published(video: Path, other: Path, fps: float) -> FourMeasures:
    """The four measures between two takes, at a rate. Raises Unreadable."""
    return _between_takes(video, other, fps, (_stamp(video), _stamp(other)))


@lru_cache(maxsize=4)
def _between_takes(video: Path, other: Path, fps: float, stamps: object) -> FourMeasures:
    return measures_as_published(true_video(other, fps), video)


class _Shrunk(NamedTuple):
    """Of a video, at the size at which it is compared."""

    pictures: KeptFrames
    masks: PackedMasks


def _compared(found: _Shrunk, truth: _Shrunk, scored: ScoredVideo) -> FourMeasures:
    there = min(len(found.pictures), len(found.masks), len(truth.pictures), len(truth.masks))
    if there < scored.count:
        raise Unreadable(f"{there} frames at {scored.fps:g} a second are no five seconds")
    pictures = zip(found.pictures, truth.pictures, strict=True)
    errors = [float(np.mean((a / 255.0 - b / 255.0) ** 2)) for a, b in pictures]
    frames, moved, truly_moved = [], *np.zeros((2, int(np.prod(truth.pictures.shape[1:3]))), np.int64)
    for packed in zip(found.masks, truth.masks, strict=True):
        mask, true_mask = (np.unpackbits(each, count=len(moved)) for each in packed)
        frames.append(iou(mask, true_mask))
        moved += mask
        truly_moved += true_mask
    spatial = iou(moved > 0, truly_moved > 0)
    return spatial, float(np.mean(frames)), iou(moved, truly_moved), float(np.mean(errors))


@lru_cache(maxsize=2)
def _true(video: Path, fps: float, stamp: object) -> _Shrunk:
    return _shrunk(true_video(video, fps))


def _shrunk(scored: ScoredVideo, size: Size | None = None) -> _Shrunk:
    """A video's five seconds, by default at a quarter of its size; decoded once, with nothing else in memory meanwhile.

    What moves is found afterwards, in grey pictures of its own size: temporary files of 1.5 GB where these are of
    3840 x 2160 px. The video's own masks are taken, where it has some.
    """
    shown: Iterator[_Picture] = islice(scored.pictures(), scored.count)
    first = next(shown, None)
    if first is None:
        raise Unreadable("holds no frame")
    rows, columns = first.shape[:2]
    size, shown = size or (columns // SHRUNK, rows // SHRUNK), chain((first,), shown)
    del first
    with TemporaryDirectory() as folder, (Path(folder) / "grey").open("w+b") as grey:
        pictures = keep(_shrinking(shown, size, None if scored.masks else grey))
        place = scored.masks or Path(folder) / "masks.mp4"
        if scored.masks is None:
            _write(place, _moving_in(grey, len(pictures), rows, columns), scored.fps)
        shrunk = (cv2.resize(picture, size)[..., 0] for picture in islice(_pictures_in(place), scored.count))
        return _Shrunk(pictures, [np.packbits(picture > MASK_LEVEL) for picture in shrunk])


def _moving_in(grey: BinaryIO, count: int, rows: int, columns: int) -> Iterator[GreyPicture]:
    """The masks of a file's grey pictures, all of which are found before the first is given."""
    with TemporaryFile() as masks:
        grey.seek(0)
        for mask in moving(np.fromfile(grey, np.uint8, rows * columns).reshape(rows, columns) for _ in range(count)):
            np.packbits(mask).tofile(masks)
        masks.seek(0)
        for _ in range(count):
            packed = np.fromfile(masks, np.uint8, -(-rows * columns // 8))
            yield np.unpackbits(packed, count=rows * columns).reshape(rows, columns)


def _shrinking(pictures: Iterator[_Picture], size: Size, grey: BinaryIO | None) -> Iterator[UInt8[ndarray, "1 _ _ 3"]]:
    for picture in pictures:
        if grey is not None:
            grey.write(np.ascontiguousarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)).data)
        yield np.asarray(cv2.resize(picture, size), np.uint8)[None]


# --- files ---


def _write(path: Path, masks: Iterable[GreyPicture], fps: float) -> None:
    out = None
    for mask in masks:
        height, width = (side - side % 2 for side in mask.shape)
        if out is None:
            out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), round(fps), (width, height), False)
        out.write(255 * mask[:height, :width])
    if out is not None:
        out.release()


def _pictures_in(path: Path) -> Iterator[_Picture]:
    """One after another, each in the place of the one before, with one decoding thread."""
    capture, picture = _open(path), None
    while capture.grab():
        picture = np.asarray(capture.retrieve(picture)[1], np.uint8)
        yield picture


def _rate_and_length(path: Path) -> tuple[float, int]:
    capture = _open(path)
    return capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))


def _open(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened() or not capture.get(cv2.CAP_PROP_FPS) > 0:
        raise Unreadable(f"{path}: is no video that OpenCV can read")
    return capture


def _blended(pictures: Iterator[_Picture], there: int, count: int) -> Iterator[_Picture]:
    """`count` pictures from the first of `there` to the last, those between two of them blended."""
    number, before, after = 0, next(pictures).copy(), None  # `after` is in the place that pictures are read to
    mixed = np.empty_like(before)
    for k in range(count):
        place = k * (there - 1) / max(1, count - 1)
        while number < int(place):
            np.copyto(before, next(pictures) if after is None else after)
            after, number = None, number + 1
        share = place - int(place)
        if share == 0:
            yield before
            continue
        after = next(pictures) if after is None else after
        for top in range(0, len(mixed), MIXED_ROWS):  # as numbers of 32 bits two whole pictures would be 200 MB
            rows = slice(top, top + MIXED_ROWS)
            mixed[rows] = (1 - share) * before[rows].astype(np.float32) + share * after[rows].astype(np.float32)
        yield mixed


def _stamp(path: Path) -> tuple[int, int]:
    """Tells a file from another that was written to its place."""
    state = path.stat()
    return state.st_mtime_ns, state.st_size
