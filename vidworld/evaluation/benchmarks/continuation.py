"""What models are measured with on a benchmark's videos: continued at the models' rate, or seen window by window."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from vidworld.analysis.records import Value
from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.core.shapes import Frames
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry
from vidworld.evaluation.benchmarks.reading import clip_of, windows_of
from vidworld.evaluation.evaluator import Evaluator


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
    shape: ClipShape
    """Size and rate of the models' clips; a video may be longer than theirs."""

    @cached_property
    def clip(self) -> Callable[[Entry], Clips]:
        """All of a video at the models' size and rate: of its frames those nearest in time. Raises UserError."""
        return lru_cache(maxsize=2)(self._at_models_rate)  # a video and another take of it

    @cached_property
    def windows(self) -> Callable[[Entry], Clips]:
        """All of a video at the benchmark's own rate, in windows as long as the models' clips. Raises UserError."""
        return lru_cache(maxsize=1)(self._windows)

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

    def _at_models_rate(self, entry: Entry) -> Clips:
        clip = clip_of(self.benchmark, entry, self.shape.width_px)
        if not clip.fps > 0:
            raise UserError(f"{entry.video}: nothing says at which rate its frames follow one another")
        step = clip.fps / self.shape.fps
        count = int((clip.frames.shape[1] - 1) / step + 1 + 1e-6)
        numbers = np.round(np.arange(count) * step).astype(int)
        return replace(clip, frames=clip.frames[:, numbers], fps=self.shape.fps)

    def _windows(self, entry: Entry) -> Clips:
        clip = clip_of(self.benchmark, entry, self.shape.width_px)
        return windows_of(clip, self.shape.num_frames, self.benchmark.reading.window_stride)
