"""Physics-IQ's four measures as its released code computes them, of files at their own size and rate.

Source: Motamed et al. 2025 (arXiv 2501.09038) and its repository google-deepmind/physics-IQ-benchmark, by which this
was written anew. The first five seconds count. Masks are made of a film at its own size, go through an MP4 (MPEG-4, as
OpenCV writes it) and are shrunk to a quarter of the true film's size, by OpenCV's bilinear way, where more than 127
levels are motion; pictures are shrunk likewise. True films of another rate than the model's are blended to it, from the
first frame of the five seconds to the last. Files of a rate that are there, as its authors give them for 8, 16 and 24
frames a second, are used instead, and so are their masks.

Differences: blended films go through no further MP4, whose quality that code leaves to the machine; and numbers are not
rounded to four places on the way.
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
SHRUNK = 4  # by so much is a film smaller where it is compared
MASK_LEVEL = 127
_Picture = UInt8[ndarray, "height width 3"]  # blue, green, red
Size = tuple[int, int]  # width, height
FourMeasures = tuple[float, float, float, float]  # spatial, spatiotemporal and weighted spatial IoU, and MSE
PackedMasks = list[UInt8[ndarray, " byte"]]  # a bit for each pixel of each frame


@dataclass(frozen=True)
class Film:
    """Pictures of one size, from the first that counts on; they are made or read one after another, each time anew."""

    pictures: Callable[[], Iterator[_Picture]]
    fps: float
    masks: Path | None = None  # a film of what moves in them, where there is one

    @property
    def count(self) -> int:
        """Frames of five seconds."""
        return int(self.fps * HORIZON_S)


# --- what is compared ---


def film_of_frames(frames: UInt8[ndarray, "time 3 height width"], fps: float) -> Film:
    """What a model predicted, its first frame after the switch first."""
    return Film(lambda: (np.ascontiguousarray(frame[::-1].transpose(1, 2, 0)) for frame in frames), fps)


def frozen_film(full: Path, number: int, fps: float) -> Film:
    """The frame of this number of a film, standing still. Raises Unreadable."""
    picture = next(islice(_pictures_in(full), number, None), None)
    if picture is None:
        raise Unreadable(f"{full}: ends before its frame {number}")
    return Film(lambda: repeat(picture), fps)


def generated_film(path: Path, begins: Begins | None, context_s: float) -> Film:
    """A model's own film. Raises Unreadable: it is not of five seconds, and nobody said what it begins with."""
    fps, there = _rate_and_length(path)
    skipped = {"context": round(context_s * fps), "last frame": 1}.get(begins or "", 0)
    film = Film(lambda: islice(_pictures_in(path), skipped, None), fps)
    if there - skipped < film.count or (begins is None and there > film.count + 1):
        says = f"lasts {there / fps:.2f} s"
        raise Unreadable(f"{path}: {says}; Physics-IQ scores the five seconds after the switch, and nothing before")
    return film


def true_film(video: Path, fps: float) -> Film:
    """A testing video at a rate. Raises Unreadable: it lasts less than five seconds."""
    own, there = _rate_and_length(video)
    other = f"{int(fps)}FPS"
    of_rate = video.parents[1] / other / video.name.replace(video.parent.name, other)
    masks = video.parents[3] / "video-masks" / "real" / other / of_rate.name.replace("testing-videos", "video-masks")
    known = masks if masks.exists() and fps == int(fps) else None
    if there < int(own * HORIZON_S):
        raise Unreadable(f"{video}: lasts {there / own:.2f} s; Physics-IQ scores five")
    if round(own, 2) == round(fps, 2):
        return Film(lambda: _pictures_in(video), fps, known)
    if of_rate.exists() and fps == int(fps):
        return Film(lambda: _pictures_in(of_rate), fps, known)
    return Film(lambda: _blended(_pictures_in(video), int(own * HORIZON_S), int(fps * HORIZON_S)), fps, known)


def measures_as_published(film: Film, video: Path) -> FourMeasures:
    """A film's four measures against a testing video, at the film's rate. Raises Unreadable."""
    truth = true_film(video, film.fps)
    height, width = next(iter(truth.pictures())).shape[:2]
    size = width // SHRUNK, height // SHRUNK
    return _compared(film, _masks_of(film, size), truth, _true_masks(video, film.fps, size, _stamp(video)), size)


def takes_as_published(video: Path, other: Path, fps: float) -> FourMeasures:
    """The four measures between two takes, at a rate. Raises Unreadable."""
    return _between_takes(video, other, fps, (_stamp(video), _stamp(other)))


@lru_cache(maxsize=4)
def _between_takes(video: Path, other: Path, fps: float, stamps: object) -> FourMeasures:
    return measures_as_published(true_film(other, fps), video)


def _compared(film: Film, masks: PackedMasks, truth: Film, true_masks: PackedMasks, size: Size) -> FourMeasures:
    count = film.count
    pictures = (map(partial(cv2.resize, dsize=size), each.pictures()) for each in (film, truth))
    errors = [float(np.mean((a / 255.0 - b / 255.0) ** 2)) for a, b in islice(zip(*pictures, strict=False), count)]
    there = min(len(errors), len(masks), len(true_masks))
    if there < count:
        raise Unreadable(f"{there} frames at {film.fps:g} a second are no five seconds")
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
    return _masks_of(true_film(video, fps), size)


def _masks_of(film: Film, size: Size) -> PackedMasks:
    """What moves, through an MP4 and shrunk; the film's own masks, where it has some."""
    with TemporaryDirectory() as folder:
        place = film.masks or Path(folder) / "masks.mp4"
        if film.masks is None:
            grey = map(partial(cv2.cvtColor, code=cv2.COLOR_BGR2GRAY), islice(film.pictures(), film.count))
            _write(place, moving(np.asarray(picture, np.uint8) for picture in grey), film.fps)
        shrunk = (cv2.resize(picture, size)[..., 0] for picture in islice(_pictures_in(place), film.count))
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
    film = _open(path)
    while film.grab():
        yield np.asarray(film.retrieve()[1], np.uint8)  # under no name: it is gone when the next one is made


def _rate_and_length(path: Path) -> tuple[float, int]:
    film = _open(path)
    return film.get(cv2.CAP_PROP_FPS), int(film.get(cv2.CAP_PROP_FRAME_COUNT))


def _open(path: Path) -> cv2.VideoCapture:
    film = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not film.isOpened() or not film.get(cv2.CAP_PROP_FPS) > 0:
        raise Unreadable(f"{path}: is no video that OpenCV can read")
    return film


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
