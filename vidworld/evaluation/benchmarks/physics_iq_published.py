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
from functools import lru_cache, partial
from itertools import islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vidworld.metrics.physics_iq import GreyPicture, iou, moving
from vidworld.models.external.videos import Begins
from vidworld.video.decode import Unreadable

HORIZON_S = 5.0
SHRUNK = 4  # by so much is a video smaller where it is compared
MASK_LEVEL = 127
_Picture = UInt8[ndarray, "height width 3"]  # blue, green, red
Size = tuple[int, int]  # width, height
FourMeasures = tuple[float, float, float, float]  # spatial, spatiotemporal and weighted spatial IoU, and MSE
PackedMasks = list[UInt8[ndarray, " byte"]]  # a bit for each pixel of each frame


@dataclass(frozen=True)
class ScoredVideo:
    """Pictures of one size, from the first that counts on; they are made or read one after another, each time anew."""

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
    """A video's four measures against a testing video, at the video's rate. Raises Unreadable."""
    truth = true_video(video, scored.fps)
    height, width = next(iter(truth.pictures())).shape[:2]
    size = width // SHRUNK, height // SHRUNK
    true_masks = _true_masks(video, scored.fps, size, _stamp(video))
    return _compared(scored, _masks_of(scored, size), truth, true_masks, size)


def takes_as_published(video: Path, other: Path, fps: float) -> FourMeasures:
    """The four measures between two takes, at a rate. Raises Unreadable."""
    return _between_takes(video, other, fps, (_stamp(video), _stamp(other)))


@lru_cache(maxsize=4)
def _between_takes(video: Path, other: Path, fps: float, stamps: object) -> FourMeasures:
    return measures_as_published(true_video(other, fps), video)


def _compared(
    scored: ScoredVideo, masks: PackedMasks, truth: ScoredVideo, true_masks: PackedMasks, size: Size
) -> FourMeasures:
    count = scored.count
    pictures = (map(partial(cv2.resize, dsize=size), each.pictures()) for each in (scored, truth))
    errors = [float(np.mean((a / 255.0 - b / 255.0) ** 2)) for a, b in islice(zip(*pictures, strict=False), count)]
    there = min(len(errors), len(masks), len(true_masks))
    if there < count:
        raise Unreadable(f"{there} frames at {scored.fps:g} a second are no five seconds")
    frames, moved, truly_moved = [], *np.zeros((2, size[0] * size[1]), np.int64)
    for packed in zip(masks, true_masks, strict=True):
        mask, true_mask = (np.unpackbits(each, count=len(moved)) for each in packed)
        frames.append(iou(mask, true_mask))
        moved += mask
        truly_moved += true_mask
    spatial = iou(moved > 0, truly_moved > 0)
    return spatial, float(np.mean(frames)), iou(moved, truly_moved), float(np.mean(errors))


# --- masks ---


@lru_cache(maxsize=2)
def _true_masks(video: Path, fps: float, size: Size, stamp: object) -> PackedMasks:
    return _masks_of(true_video(video, fps), size)


def _masks_of(scored: ScoredVideo, size: Size) -> PackedMasks:
    """What moves, through an MP4 and shrunk; the video's own masks, where it has some."""
    with TemporaryDirectory() as folder:
        place = scored.masks or Path(folder) / "masks.mp4"
        if scored.masks is None:
            grey = map(partial(cv2.cvtColor, code=cv2.COLOR_BGR2GRAY), islice(scored.pictures(), scored.count))
            _write(place, moving(np.asarray(picture, np.uint8) for picture in grey), scored.fps)
        shrunk = (cv2.resize(picture, size)[..., 0] for picture in islice(_pictures_in(place), scored.count))
        return [np.packbits(picture > MASK_LEVEL) for picture in shrunk]


def _write(path: Path, masks: Iterable[GreyPicture], fps: float) -> None:
    out = None
    for mask in masks:
        height, width = (side - side % 2 for side in mask.shape)
        if out is None:
            out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), round(fps), (width, height), False)
        out.write(255 * mask[:height, :width])
    if out is not None:
        out.release()


# --- files ---


def _pictures_in(path: Path) -> Iterator[_Picture]:
    """One after another, with one decoding thread, whose memory is a few pictures."""
    capture = _open(path)
    while capture.grab():
        yield np.asarray(capture.retrieve()[1], np.uint8)  # under no name: it is gone when the next one is made


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
    number, before, after = 0, next(pictures), None
    for k in range(count):
        place = k * (there - 1) / max(1, count - 1)
        while number < int(place):
            before, after, number = (next(pictures) if after is None else after), None, number + 1
        share = place - int(place)
        if share == 0:
            yield before
            continue
        after = next(pictures) if after is None else after
        yield ((1 - share) * before.astype(np.float32) + share * after.astype(np.float32)).astype(np.uint8)


def _stamp(path: Path) -> tuple[int, int]:
    """Tells a file from another that was written to its place."""
    state = path.stat()
    return state.st_mtime_ns, state.st_size
