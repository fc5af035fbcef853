"""Videos of a benchmark as clips, and what models are measured with on them: at their own rate, or window by window."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from vidworld.analysis.records import Value
from vidworld.core.clip import Clips, Frames, VideoFrames
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry
from vidworld.evaluation.evaluator import Evaluator
from vidworld.video.decode import Unreadable, open_video, read

READING_VERSION = 2  # of what is done between a file and its clip; raised when that gives other frames
HELD_FRAMES = 16  # of a video that are held before they are made square
_Picture = UInt8[np.ndarray, "height width 3"]


def clip_of(benchmark: Benchmark, entry: Entry, size_px: int | None = None) -> Clips:
    """The entry as one clip, read as its benchmark reads it, at another size where one is given. Raises UserError.

    Of a video a few pictures are held at its own size, however long it is.
    """
    reading = benchmark.reading
    size, shown, count = size_px or reading.size_px, [], 0
    try:
        pictures, fps = _pictures(benchmark, entry, size)
        for count, picture in enumerate(pictures, start=1):
            after = count - 1 - entry.first_frame
            if after >= 0 and after % reading.frame_step == 0:
                shown.append(_square(picture, size))
    except (Unreadable, OSError) as error:
        raise UserError(f"{entry.video}: {error}") from error
    if not shown:
        raise UserError(f"{entry.video}: has {count} frames, none from frame {entry.first_frame} on")
    frames = torch.from_numpy(np.stack(shown).transpose(0, 3, 1, 2).copy())[None]
    rate = (reading.fps or fps) / reading.frame_step
    return Clips(frames, rate, (f"{benchmark.name}/{entry.identity}",))


def _square(picture: _Picture, size: int) -> UInt8[np.ndarray, "size size 3"]:
    how = cv2.INTER_AREA if size <= min(picture.shape[:2]) else cv2.INTER_LINEAR
    return cv2.resize(picture, (size, size), interpolation=how).astype(np.uint8, copy=False)


def windows_of(clip: Clips, length: int, stride: int) -> Clips:
    """The clip's windows of `length` frames, `stride` apart, the last ending with it; UserError where it is shorter."""
    last = clip.frames.shape[1] - length
    if last < 0:
        raise UserError(f"{clip.identity[0]}: shows {clip.frames.shape[1]} frames, and a window has {length}")
    starts = sorted({*range(0, last + 1, stride), last})
    identity = tuple(f"{clip.identity[0]}/{start}" for start in starts)
    return Clips(torch.stack([clip.frames[0, s : s + length] for s in starts]), clip.fps, identity)


def pictures_of(entry: Entry) -> list[Path]:
    """The pictures of an entry whose video is a folder: those that it needs, else all by name."""
    listed = [path for path in entry.needs if path.parent == entry.video]
    return listed or sorted(p for p in entry.video.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg"))


def _pictures(benchmark: Benchmark, entry: Entry, size_px: int) -> tuple[Iterator[_Picture], float]:
    """The pictures of an entry, one after another, and their rate (NaN). Raises Unreadable or OSError, later also."""
    if benchmark.decode is not None:
        frames, fps = benchmark.decode(entry)
        return iter(frames), fps
    return (_of_folder(entry), float("nan")) if entry.video.is_dir() else _of_file(entry.video, size_px)


def _of_folder(entry: Entry) -> Iterator[_Picture]:
    size = None
    for path in pictures_of(entry):
        picture = cv2.imread(str(path))
        if picture is None:
            raise Unreadable(f"{path.name} is no picture")
        if picture.shape != (size or picture.shape):
            raise Unreadable(f"{path.name} is of another size than the picture before it")
        size = picture.shape
        yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    if size is None:
        raise Unreadable("holds no picture")


def _of_file(path: Path, size_px: int | None = None) -> tuple[Iterator[_Picture], float]:
    """The frames of a video file, its shorter side no longer than `size_px`, and their average rate."""
    video = open_video(path)
    own = min(video.height_px, video.width_px)
    pieces = read(video, min(own, size_px or own), piece_frames=HELD_FRAMES)
    span, count = float(video.times_s[-1] - video.times_s[0]), len(video.times_s)
    return chain.from_iterable(piece.frames for piece in pieces), (count - 1) / span if span > 0 else float("nan")


def video_of(path: Path) -> tuple[VideoFrames, float]:
    """All frames of a short video file at its own size, and their average rate. Raises Unreadable or OSError."""
    frames, fps = _of_file(path)
    return np.stack([*frames]), fps


def numbers_by_model(values: Iterable[Value]) -> dict[str, dict[str, Float[np.ndarray, " number"]]]:
    """The values of each model and video, in their order."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for value in values:
        found[value.model][value.identity].append(value.value)
    return {model: {name: np.array(of) for name, of in videos.items()} for model, videos in found.items()}


@dataclass(frozen=True)
class BenchmarkContext:
    """What models are measured with. Each video is decoded once: all models are measured on it before the next is."""

    evaluator: Evaluator
    benchmark: Benchmark
    shape: ClipShape  # size and rate of the models' clips; a video may be longer than theirs

    @cached_property
    def _read(self) -> Callable[[Entry], Clips]:
        read_one = partial(clip_of, self.benchmark, size_px=self.shape.width_px)
        return lru_cache(maxsize=2)(read_one)  # a video and another take of it

    def clip(self, entry: Entry) -> Clips:
        """All of a video at the models' size and rate: of its frames those nearest in time. Raises UserError."""
        clip = self._read(entry)
        if not clip.fps > 0:
            raise UserError(f"{entry.video}: nothing says at which rate its frames follow one another")
        step = clip.fps / self.shape.fps
        count = int((clip.frames.shape[1] - 1) / step + 1 + 1e-6)
        numbers = np.round(np.arange(count) * step).astype(int)
        return replace(clip, frames=clip.frames[:, numbers], fps=self.shape.fps)

    def windows(self, entry: Entry) -> Clips:
        """All of a video at the benchmark's own rate, in windows as long as the models' clips. Raises UserError."""
        return windows_of(self._read(entry), self.shape.num_frames, self.benchmark.reading.window_stride)

    def around(self, clip: Clips, given: int, most: int | None = None, hold: bool = False) -> Clips:
        """The last frames of context before frame `given`, and after it as many whole chunks as there are.

        most: frames after it that are wanted. hold: so many, in whole chunks, the last frame standing still where
        there are no more. Raises UserError: there are too few frames on either side.
        """
        context, chunk = self.evaluator.context_frames, self.evaluator.tokenizer.patch_size[0]
        there = clip.frames.shape[1] - given
        after = (there if most is None else min(there, most)) // chunk * chunk
        if hold and most is not None:
            after = -(-most // chunk) * chunk
        if given < context or after < chunk or there < 1:
            raise UserError(
                f"{clip.identity[0]}: {clip.frames.shape[1]} frames at {self.shape.fps:g} a second, {given} of them "
                f"given; the models need {context} given and {chunk} after them"
            )
        frames = clip.frames[:, given - context : given + after]
        if (lacking := context + after - frames.shape[1]) > 0:
            frames = torch.cat((frames, frames[:, -1:].expand(-1, lacking, -1, -1, -1)), dim=1)
        return replace(clip, frames=frames)

    def future(self, model: Any, clip: Clips) -> Frames:
        """The model's frames after the context."""
        return self.evaluator.future_frames(model, self.evaluator.encode(clip))

    def value(
        self, model: Any, entry: Entry, law: str, metric: str, unit: str, value: float, split: str = "test"
    ) -> Value:
        """One number of a model's future of a video, or of the video itself where the model is None."""
        name = "truth" if model is None else model.name
        task, seed = self.benchmark.name, self.evaluator.seed
        return Value(name, "pixels", task, law, split, metric, unit, entry.identity, value, seed)
