"""Videos of a benchmark as clips, and what models are measured with on them: at their own rate, or window by window."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float

from vidworld.analysis.records import Value
from vidworld.core.clip import Clips, Frames, VideoFrames
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry
from vidworld.evaluation.evaluator import Evaluator
from vidworld.video.decode import Unreadable, open_video, read


def clip_of(benchmark: Benchmark, entry: Entry, size_px: int | None = None) -> Clips:
    """The entry as one clip, read as its benchmark reads it, at another size where one is given. Raises UserError."""
    reading = benchmark.reading
    try:
        video, fps = (benchmark.decode or plain_video)(entry)
    except (Unreadable, OSError) as error:
        raise UserError(f"{entry.video}: {error}") from error
    shown = video[entry.first_frame :: reading.frame_step]
    if not len(shown):
        raise UserError(f"{entry.video}: has {len(video)} frames, none from frame {entry.first_frame} on")
    size = size_px or reading.size_px
    how = cv2.INTER_AREA if size < min(video.shape[1:3]) else cv2.INTER_LINEAR
    pictures = np.stack([cv2.resize(picture, (size, size), interpolation=how) for picture in shown])
    frames = torch.from_numpy(pictures.astype(np.uint8, copy=False).transpose(0, 3, 1, 2).copy())[None]
    rate = (reading.fps or fps) / reading.frame_step
    return Clips(frames, rate, (f"{benchmark.name}/{entry.identity}",))


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


def plain_video(entry: Entry) -> tuple[VideoFrames, float]:
    """The frames of a video file or a folder of pictures, and their rate (NaN); raises Unreadable or OSError."""
    if not entry.video.is_dir():
        return video_of(entry.video)
    pictures: list[np.ndarray] = []
    for path in pictures_of(entry):
        picture = cv2.imread(str(path))
        if picture is None:
            raise Unreadable(f"{path.name} is no picture")
        if pictures and picture.shape != pictures[0].shape:
            raise Unreadable(f"{path.name} is of another size than the picture before it")
        pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    if not pictures:
        raise Unreadable("holds no picture")
    return np.stack(pictures).astype(np.uint8), float("nan")


def video_of(path: Path) -> tuple[VideoFrames, float]:
    """All frames of a video file at its own size, and their average rate. Raises Unreadable or OSError."""
    video = open_video(path)
    frames = np.concatenate([piece.frames for piece in read(video, min(video.height_px, video.width_px))])
    span = float(video.times_s[-1] - video.times_s[0])
    return frames, (len(frames) - 1) / span if span > 0 else float("nan")


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

    def around(self, clip: Clips, given: int, most: int | None = None) -> Clips:
        """The last frames of context before frame `given`, and after it as many whole chunks as there are.

        most: frames after it that are wanted. Raises UserError: there are too few frames on either side.
        """
        context, chunk = self.evaluator.context_frames, self.evaluator.tokenizer.patch_size[0]
        after = clip.frames.shape[1] - given
        after = (after if most is None else min(after, most)) // chunk * chunk
        if given < context or after < chunk:
            raise UserError(
                f"{clip.identity[0]}: {clip.frames.shape[1]} frames at {self.shape.fps:g} a second, {given} of them "
                f"given; the models need {context} given and {chunk} after them"
            )
        return replace(clip, frames=clip.frames[:, given - context : given + after])

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
