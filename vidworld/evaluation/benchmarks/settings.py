"""Which models are scored, and how a benchmark's videos are shown to them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import load, to_yaml
from vidworld.core.errors import UserError
from vidworld.core.records import write_text
from vidworld.evaluation.benchmarks.benchmark import Benchmark, SurpriseScore
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.models.spec import Spec

USED = ("shape", "shape.fps", "chunk_frames")
"""Keys that say what a benchmark's own context is in the models' frames."""


def with_models(config: PhysicsConfig, models: Sequence[Spec], out: Path) -> PhysicsConfig:
    """The configuration with these models beside its own, to be scored in another folder.

    Raises UserError: two models, or a model and what stands beside them, have one name.
    """
    taken = ["truth", "copy_last", *config.models]
    for spec in models:
        if spec.name in taken:
            raise UserError(f"{spec.name}: is the name of something else here; give another, --model NAME=SPEC")
        taken.append(spec.name)
    more = {spec.name: spec.label for spec in models}
    return replace(config, out=out, models={**config.models, **more})


def own_config(benchmark: Benchmark, overrides: Sequence[str]) -> PhysicsConfig:
    """Other people's models on the frames as they are, which they see as the benchmark's own evaluation shows them.

    Raises UserError: an override is wrong.
    """
    frames = PhysicsConfig(
        out=Path(),
        models={},
        shape=ClipShape(num_frames=32, fps=10.0, height_px=256, width_px=256),
        context_frames=16,
        sampling_steps=20,
        mixed_precision="no",  # their own code says what they compute in
    )
    used = _overridden(frames, [text for text in overrides if text.partition("=")[0] in USED], benchmark.name)
    return _overridden(frames, [*own_reading(benchmark, used), *overrides], benchmark.name)


def own_reading(benchmark: Benchmark, config: PhysicsConfig) -> list[str]:
    """Size, window and context of the benchmark's own evaluation, in whole chunks, as far as it says them.

    Of several contexts (its own score takes the best of them, on the videos that it is of) the middle one.
    """
    reading, chunk = benchmark.reading, config.chunk_frames
    by_surprise = isinstance(benchmark.score, SurpriseScore)
    own = [f"shape.height_px={reading.size_px}", f"shape.width_px={reading.size_px}"]
    slower = 1.0 if by_surprise else config.shape.fps / (reading.fps or config.shape.fps)
    contexts = [c for frames in reading.context_frames if (c := int(frames * slower + 0.5))]
    whole = [c for c in contexts if c % chunk == 0] or [c // chunk * chunk for c in contexts if c >= chunk]
    if whole:
        own.append(f"context_frames={whole[len(whole) // 2]}")
    if by_surprise and reading.window_frames:
        own.append(f"shape.num_frames={reading.window_frames}")
    return own


def _overridden(config: PhysicsConfig, overrides: Sequence[str], name: str) -> PhysicsConfig:
    """The configuration with `key.path=value` overrides, as if it had been a file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.yaml"
        write_text(path, to_yaml(config))
        try:
            return load(PhysicsConfig, path, overrides)
        except UserError as error:
            raise UserError(str(error).replace(str(path), name)) from error
