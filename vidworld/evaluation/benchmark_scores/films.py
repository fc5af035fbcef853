"""Films of a benchmark continued by a world, at the world's own size and rate, and measured film by film."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from vidworld.analysis.records import Value
from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.core.shapes import Frames
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, clip_of
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.units import Part, measure, values_of
from vidworld.models.baselines import CopyLast


@dataclass(frozen=True)
class Stand:
    """What films are continued with."""

    evaluator: Evaluator
    benchmark: Benchmark
    shape: ClipShape
    """Size and rate of the worlds' clips; a film may be longer than theirs."""

    def clip(self, entry: Entry) -> Clips:
        """All of a film at the worlds' size and rate: of its frames those nearest in time.

        Raises:
            UserError: it cannot be read, or has no rate.
        """
        return _film(self.benchmark, entry, self.shape)

    def around(self, clip: Clips, given: int, most: int | None = None) -> Clips:
        """The last frames of context before frame `given`, and after it as many whole chunks as there are.

        most: frames after it that are wanted.

        Raises:
            UserError: there are too few frames on either side.
        """
        context, chunk = self.evaluator.context_frames, self.evaluator.tokenizer.patch_size[0]
        after = clip.frames.shape[1] - given
        after = (after if most is None else min(after, most)) // chunk * chunk
        if given < context or after < chunk:
            raise UserError(
                f"{clip.identity[0]}: {clip.frames.shape[1]} frames at {self.shape.fps:g} a second, {given} of them "
                f"given; the worlds need {context} given and {chunk} after them"
            )
        return replace(clip, frames=clip.frames[:, given - context : given + after])

    def value(
        self, world: Any, entry: Entry, law: str, metric: str, unit: str, value: float, split: str = "test"
    ) -> Value:
        """One number of a world's future of a film, or of the film itself where the world is None."""
        name = "truth" if world is None else world.name
        task, seed = self.benchmark.name, self.evaluator.seed
        return Value(name, "pixels", task, law, split, metric, unit, entry.identity, value, seed)

    def future(self, world: Any, clip: Clips) -> Frames:
        """The world's frames after the context."""
        return self.evaluator.future_frames(world, self.evaluator.encode(clip))


@lru_cache(maxsize=2)
def _film(benchmark: Benchmark, entry: Entry, shape: ClipShape) -> Clips:
    """Read once: all worlds are asked about one film, and the other take of it, before the next is read."""
    clip = clip_of(benchmark, entry, shape.width_px)
    if not clip.fps > 0:
        raise UserError(f"{entry.video}: nothing says at which rate its frames follow one another")
    step = clip.fps / shape.fps
    count = int((clip.frames.shape[1] - 1) / step + 1 + 1e-6)
    numbers = np.round(np.arange(count) * step).astype(int)
    return replace(clip, frames=clip.frames[:, numbers], fps=shape.fps)


@dataclass(frozen=True)
class FilmScore:
    """How a benchmark is scored."""

    of_film: Callable[[Stand, Entry, Any], Iterator[Value]]
    """The values of one film: of a world's future, and of the film itself where the world is None ("truth")."""
    whole: Callable[[Sequence[Value], Sequence[Entry], int], Iterator[Value]] | None = None
    """What is said in the end, of the values of all films, the films and a seed; the values themselves by default."""

    def measure(
        self, stand: Stand, worlds: Sequence[Any], entries: Sequence[Entry], kept: Path
    ) -> list[Value]:
        """All values, beside those of the last frame kept and of the truth; what the folder holds is not done again."""
        asked = {"truth": None} | {
            world.name: world for world in (CopyLast(stand.evaluator.tokenizer), *worlds)
        }
        parts = [
            Part(kept / f"{name}_{e.identity}.csv".replace("/", "_"), partial(self.of_film, stand, e, world))
            for e in entries
            for name, world in asked.items()
        ]
        measure(parts, stand.evaluator.accelerator, stand.benchmark.name)
        values = values_of(parts)
        return values if self.whole is None else list(self.whole(values, entries, stand.evaluator.seed))
