"""The score of a benchmark: models are measured video by video, which gives results.json or a submission."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vidworld.analysis.records import Comparison, Model, Value
from vidworld.analysis.results import write_results
from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import load, to_yaml
from vidworld.core.errors import UserError
from vidworld.core.fingerprint import fingerprint
from vidworld.core.records import file_digest, prepare_folder, write_text
from vidworld.evaluation.benchmarks.benchmark import Benchmark, ContinuationScore, Entry, SurpriseScore, Unscored, check
from vidworld.evaluation.benchmarks.continuation import BenchmarkContext, numbers_by_model
from vidworld.evaluation.benchmarks.reading import pictures_of
from vidworld.evaluation.benchmarks.violations import (
    WINDOW_SURPRISE,
    Windows,
    accuracies,
    read_surprise,
    surprise_of_video,
)
from vidworld.evaluation.evaluator import BASELINES_VERSION, Subject, evaluation_accelerator, evaluator_of, model_of
from vidworld.evaluation.physics import models_of
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.evaluation.task import Unit, measure, settings_of
from vidworld.metrics import METRICS
from vidworld.models.spec import Spec
from vidworld.models.world_model import CopyLast

TRUTH = Subject("truth", None, "")
"""The video itself."""
USED = ("shape", "shape.fps", "chunk_frames")
"""Keys that say what a benchmark's own context is in the models' frames."""


def score_folder(benchmark: Benchmark, folder: Path, config: PhysicsConfig) -> None:
    """Measure what is not measured yet of a configuration's models, and write their scores. Raises UserError."""
    entries = entries_of(benchmark, folder)
    accelerator = evaluation_accelerator(config.mixed_precision)
    evaluator = evaluator_of(config, accelerator)
    models = [model_of(config, spec, evaluator) for spec in config.specs]
    copy_last = Subject("copy_last", CopyLast(evaluator.tokenizer), str(BASELINES_VERSION))
    subjects = subjects_for(benchmark, models, copy_last)
    context = BenchmarkContext(evaluator, benchmark, config.shape)
    settings = settings_of(config) | {"levels": list(config.levels)}
    values = measure_videos(context, subjects, entries, prepare_folder(config.out / "units"), settings)
    if not accelerator.is_main_process:
        return
    score = benchmark.score
    if isinstance(score, SurpriseScore):
        surprise = numbers_by_model(values)
        if submits(benchmark, folder, entries, surprise, config.out):
            return
        values = []
        for model, found in surprise.items():
            values += accuracies(benchmark, entries, found, model, config.seed)
    elif isinstance(score, ContinuationScore) and score.whole is not None:
        values = list(score.whole(values, entries, config.seed))
    write_scores(config.out, values, models_of(config), config.pairs, config.seed)


def score_surprise(benchmark: Benchmark, folder: Path, path: Path, name: str, out: Path) -> None:
    """Write the scores of a model whose surprise something else computed. Raises UserError."""
    if not isinstance(benchmark.score, SurpriseScore | Unscored):
        what = f"{benchmark.name}: is scored by how models continue its videos"
        raise UserError(f"{what}, and has no use for --surprise; name them, --model [NAME=]SPEC")
    entries = entries_of(benchmark, folder)
    found = read_surprise(path, entries)
    if not submits(benchmark, folder, entries, {name: found}, out):
        values = accuracies(benchmark, entries, found, name, 0)
        write_scores(out, values, {name: Model(name, "external", str(path))}, [], 0)


def entries_of(benchmark: Benchmark, folder: Path) -> list[Entry]:
    """The videos of a folder that is complete. Raises UserError: it is not, or the benchmark has no score."""
    if isinstance(benchmark.score, Unscored):
        raise UserError(f"{benchmark.name}: {benchmark.score.reason}")
    if missing := check(benchmark, folder):
        raise UserError("\n".join(missing))
    return benchmark.entries(folder)


def subjects_for(benchmark: Benchmark, models: Sequence[Subject], copy_last: Subject) -> list[Subject]:
    """The models that can do what the benchmark needs, and what stands beside them. Raises UserError."""
    by_surprise = isinstance(benchmark.score, SurpriseScore)
    able = [model for model in models if (model.is_surprised if by_surprise else model.rolls_out)]
    if not able:
        what = "is surprised" if by_surprise else "continues videos"
        raise UserError(f"no model here {what}: {', '.join(model.name for model in models)} cannot")
    return able if by_surprise else [TRUTH, copy_last, *able]


def measure_videos(
    context: BenchmarkContext,
    subjects: Sequence[Subject],
    entries: Sequence[Entry],
    folder: Path,
    settings: Mapping[str, Any],
) -> list[Value]:
    """The values of all videos: a unit for each and each subject, kept in the folder and known by their content."""
    benchmark, digest = context.benchmark, lru_cache(maxsize=None)(file_digest)
    score = benchmark.score
    assert not isinstance(score, Unscored)
    of_video: Callable[[BenchmarkContext, Entry, Any], Iterable[Value]] = surprise_of_video
    metrics: tuple[str, ...] = (WINDOW_SURPRISE,)
    if isinstance(score, ContinuationScore):
        of_video, metrics = score.of_video, score.metrics
    versions = {name: METRICS.version(name) if name in METRICS else 1 for name in metrics}
    units = []
    for entry in entries:
        pictures = pictures_of(entry) if entry.video.is_dir() else [entry.video]
        files = dict.fromkeys((*pictures, *entry.needs, *entry.compared_with))
        names = [entry.identity, entry.property, entry.group, entry.member, entry.first_frame]
        made_from = [benchmark.name, benchmark.version, names, [digest(file) for file in files], settings]
        batch = f"{benchmark.name}_{fingerprint(entry.identity)}"
        for subject in subjects:
            known, measured = (
                fingerprint(made_from, subject.made_from),
                partial(of_video, context, entry, subject.model),
            )
            units.append(Unit(folder, batch, subject.name, known, versions, measured))
    return measure(units, context.evaluator.accelerator, benchmark.name)


def submits(
    benchmark: Benchmark,
    folder: Path,
    entries: Sequence[Entry],
    surprise: Mapping[str, Mapping[str, Windows]],
    out: Path,
) -> bool:
    """Whether the labels of the videos are not given away; then there is a submission for each model now."""
    score = benchmark.score
    labelled = all(entry.possible is not None for entry in entries)
    if labelled or not isinstance(score, SurpriseScore) or score.submission is None:
        return False
    for name, found in surprise.items():
        means = {video: float(windows.mean()) for video, windows in found.items()}
        place = score.submission(folder, means, out / f"answer_{name}.zip")
        print(f"{place}: a submission of {len(means)} videos")
    return True


def write_scores(
    out: Path, values: Sequence[Value], models: Mapping[str, Any], pairs: Sequence[tuple[str, str]], seed: int
) -> None:
    """Write results.json, and print its rows."""
    rows = write_results(prepare_folder(out), values, models, pairs, Comparison(), seed)
    for row in rows:
        interval = f"[{row.low:.3f}, {row.high:.3f}]"
        print(f"{row.model}, {row.law}, {row.split}, {row.metric}: {row.value:.3f} {interval}, n = {row.n}")
    print(f"{out / 'results.json'}: {len(rows)} rows")


# --- which models are scored, and how videos are shown to them ---


def with_models(config: PhysicsConfig, models: Sequence[Spec], out: Path) -> PhysicsConfig:
    """The configuration with these models beside its own, to be scored in another folder. Raises UserError."""
    taken = ["truth", "copy_last", *config.models]
    for spec in models:
        if spec.name in taken:
            raise UserError(f"{spec.name}: is the name of something else here; give another, --model NAME=SPEC")
        taken.append(spec.name)
    more = {spec.name: spec.label for spec in models}
    return replace(config, out=out, models={**config.models, **more})


def own_config(benchmark: Benchmark, overrides: Sequence[str]) -> PhysicsConfig:
    """Other people's models on the frames as they are, which they see as the benchmark's own evaluation shows them."""
    shape = ClipShape(num_frames=32, fps=10.0, height_px=256, width_px=256)
    # No mixed precision: their own code says what they compute in.
    frames = PhysicsConfig(
        out=Path(), models={}, shape=shape, context_frames=16, sampling_steps=20, mixed_precision="no"
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
