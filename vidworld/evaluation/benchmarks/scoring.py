"""The score of a benchmark: models are measured video by video, which gives results.json or a submission.

Surprise at possible and impossible videos is scored by relative and absolute accuracy, as V-JEPA's evaluation does.
Source: Riochet et al. 2018 (arXiv 1803.07616); Garrido et al. 2025, "Intuitive physics understanding emerges from
self-supervised pretraining on natural videos" (arXiv 2502.11831) and its code.

Quirks, kept: a tie is wrong; videos are paired by scene alone, so that an emptier future surprises less whatever
happened; and the threshold of the absolute accuracy is taken from the possible videos that it is then tested on. Not
kept: the context length is no choice of this module (there it is chosen on the test set).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vidworld.analysis.records import Comparison, Model, Value
from vidworld.analysis.results import write_results
from vidworld.core.config import load
from vidworld.core.errors import UserError
from vidworld.core.records import file_digest, fingerprint, prepare_folder, read_json, write_text
from vidworld.core.workers import gives_memory_back
from vidworld.evaluation.benchmarks.benchmark import Benchmark, ContinuationScore, Entry, SurpriseScore, check
from vidworld.evaluation.benchmarks.continuation import READING_VERSION, BenchmarkContext, numbers_by_model, pictures_of
from vidworld.evaluation.evaluator import BASELINES_VERSION, Subject, evaluation_accelerator, evaluator_of, model_of
from vidworld.evaluation.physics import models_of, refuse
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.evaluation.task import Outcome, Unit, measure, settings_of
from vidworld.metrics import METRICS, PerClip
from vidworld.models import Spec
from vidworld.models.external.videos import Videos
from vidworld.models.world_model import LARGEST, CopyLast

TRUTH = Subject("truth", None, "")  # the video itself
FRAMES = (
    "shape.num_frames=32", "shape.fps=10.0", "context_frames=16", "sampling_steps=20",
    "mixed_precision=no",  # other people's own code says what they compute in
)  # fmt: skip
"""How other people's models see frames as they are, where neither a benchmark nor the user says another."""
USED = ("shape", "shape.fps", "chunk_frames")  # say what a benchmark's own context is in the models' frames
Windows = Float[ndarray, " _"]  # one number a window; videos differ in length
ByVideo = Mapping[str, Windows]
THRESHOLD_PERCENTILE = 90.0
PICTURE_BYTES = 2**24  # one of 3840 x 2160 px has 25 MB
AT_ONCE = 16  # windows that go through a model together
WINDOW_SURPRISE = "window_surprise"  # what is kept of each video: a value for each window


def score_folder(benchmark: Benchmark, folder: Path, config: PhysicsConfig) -> None:
    """Measure what is not measured yet of a configuration's models, and write their scores. Raises UserError."""
    entries = entries_of(benchmark, folder)
    accelerator = evaluation_accelerator(config.mixed_precision)
    evaluator = evaluator_of(config, accelerator)
    score = benchmark.score
    by_surprise = isinstance(score, SurpriseScore)
    models = [model_of(config, spec, evaluator) for spec in config.specs]
    subjects = [model for model in models if (model.is_surprised if by_surprise else model.rolls_out)]
    if not subjects:
        what = "is surprised" if by_surprise else "continues videos"
        raise UserError(f"no model here {what}: {', '.join(model.name for model in models)} cannot")
    if not by_surprise:
        copy_last = Subject("copy_last", CopyLast(evaluator.tokenizer), str(BASELINES_VERSION))
        subjects = [TRUTH, copy_last, *subjects]
    for model in models:
        if isinstance(files := getattr(model.model, "model", None), Videos):
            files.call({f"{benchmark.name}/{one.identity}": one.generated for one in entries if one.generated})
    context = BenchmarkContext(evaluator, benchmark, config.shape)
    settings = settings_of(config) | {"levels": list(config.levels)}
    gives_memory_back(PICTURE_BYTES)
    values: list[Value] | None
    values, failures = measure_videos(context, subjects, entries, prepare_folder(config.out / "units"), settings)
    if not accelerator.is_main_process:
        return
    config = config.without(failures)
    if by_surprise and not values:
        refuse(failures)
    notes: list[str] = []
    if by_surprise:
        values = scores_of_surprise(benchmark, folder, entries, numbers_by_model(values), config.out, config.seed)
    elif isinstance(score, ContinuationScore):
        notes = list(score.notes(values, entries)) if score.notes is not None else []
        values = list(score.whole(values, entries, config.seed)) if score.whole is not None else values
    write_scores(config.out, values, models_of(config), config.pairs, config.seed, notes)
    refuse(failures)


def score_surprise(benchmark: Benchmark, folder: Path, path: Path, name: str, out: Path) -> None:
    """Write the scores of a model whose surprise something else computed. Raises UserError."""
    if not isinstance(benchmark.score, SurpriseScore | str):
        what = f"{benchmark.name}: is scored by how models continue its videos"
        raise UserError(f"{what}, and has no use for --surprise; name them, --model [NAME=]SPEC")
    entries = entries_of(benchmark, folder)
    values = scores_of_surprise(benchmark, folder, entries, {name: read_surprise(path, entries)}, out, 0)
    write_scores(out, values, {name: Model(name, "external", str(path))}, [], 0)


def entries_of(benchmark: Benchmark, folder: Path) -> list[Entry]:
    """The videos of a folder that is complete. Raises UserError: it is not, or the benchmark has no score."""
    if isinstance(benchmark.score, str):
        raise UserError(f"{benchmark.name}: {benchmark.score}")
    if missing := check(benchmark, folder):
        raise UserError("\n".join(missing))
    return benchmark.entries(folder)


def measure_videos(
    context: BenchmarkContext, subjects: Sequence[Subject], entries: Sequence[Entry], folder: Path, settings: object
) -> Outcome:
    """The values of all videos: a unit for each and each subject, kept in the folder and known by their content.

    Models are surprised by the videos in the order of their digests, which does not say which are possible.
    """
    benchmark, digest = context.benchmark, lru_cache(maxsize=None)(file_digest)

    def content(entry: Entry) -> str:
        return fingerprint([digest(path) for path in _pictures(entry)], entry.member, entry.first_frame)

    score = benchmark.score
    if not isinstance(score, ContinuationScore):
        groups: dict[str, list[str]] = defaultdict(list)
        for entry in entries:
            groups[entry.group].append(content(entry))
        shared = {group: fingerprint(sorted(contents)) for group, contents in groups.items()}
        score = ContinuationScore(partial(surprise_of_video, shared), (WINDOW_SURPRISE,))
        entries = sorted(entries, key=content)
    versions = {name: METRICS.version(name) if name in METRICS else 1 for name in score.metrics}
    units = []
    for entry in entries:
        files = dict.fromkeys((*_pictures(entry), *entry.needs, *entry.compared_with))
        names = [entry.identity, entry.property, entry.group, entry.member, entry.first_frame]
        versions_of = [benchmark.name, benchmark.version, READING_VERSION]
        made_from = [versions_of, names, [digest(file) for file in files], settings]
        batch = f"{benchmark.name}_{fingerprint(entry.identity)}"
        for subject in subjects:
            measured = partial(score.of_video, context, entry, subject.model)
            known = fingerprint(made_from, subject.made_from)
            units.append(Unit(folder, batch, subject.name, known, versions, measured))
    return measure(units, context.evaluator.accelerator, benchmark.name)


def _pictures(entry: Entry) -> list[Path]:
    return pictures_of(entry) if entry.video.is_dir() else [entry.video]


def scores_of_surprise(
    benchmark: Benchmark, folder: Path, entries: Sequence[Entry], surprise: Mapping[str, ByVideo], out: Path, seed: int
) -> list[Value] | None:
    """The accuracies of each model; None but a submission for each where the videos' labels are not given away."""
    submission = benchmark.score.submission if isinstance(benchmark.score, SurpriseScore) else None
    if submission is None or all(entry.possible is not None for entry in entries):
        return [v for name, found in surprise.items() for v in accuracies(benchmark, entries, found, name, seed)]
    for name, found in surprise.items():
        means = {video: float(windows.mean()) for video, windows in found.items()}
        place = submission(folder, means, out / f"answer_{name}.zip")
        print(f"{place}: a submission of {len(means)} videos")
    return None


def write_scores(
    out: Path,
    values: Sequence[Value] | None,
    models: Mapping[str, Any],
    pairs: Sequence[tuple[str, str]],
    seed: int,
    notes: Sequence[str] = (),
) -> None:
    """Write results.json, and print its rows and notes; nothing where there was a submission instead of values."""
    if values is None:
        return
    rows = write_results(prepare_folder(out), values, models, pairs, Comparison(notes=list(notes)), seed)
    for row in rows:
        interval = f" [{row.low:.3f}, {row.high:.3f}]" if row.n > 1 else ""
        print(f"{row.model}, {row.law}, {row.split}, {row.metric}: {row.value:.3f}{interval}, n = {row.n}")
    for note in notes:
        print(note)
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
    used = [text for text in overrides if text.partition("=")[0] in USED]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{benchmark.name}.yaml"
        write_text(path, "out: .\nmodels: {}\n")
        try:
            own = own_reading(benchmark, load(PhysicsConfig, path, [*FRAMES, *used]))
            return load(PhysicsConfig, path, [*FRAMES, *own, *overrides])
        except UserError as error:
            raise UserError(str(error).replace(str(path), benchmark.name)) from error


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


# --- surprise at possible and impossible videos ---


def surprise_of_video(
    shared: Mapping[str, str], context: BenchmarkContext, entry: Entry, model: Any
) -> Iterator[Value]:
    """The model's surprise at each window of a video, in their order: the mean over the window's chunks.

    shared: of each group, what its videos hold: those that are compared share what is drawn by it.
    """
    evaluator, windows = context.evaluator, context.windows(entry)
    place = (model.name, None, context.benchmark.name, entry.property, "test", WINDOW_SURPRISE, "1")
    for start in range(0, len(windows), AT_ONCE):
        part = windows.at(slice(start, start + AT_ONCE))
        seen = evaluator.encode(part)
        surprise = evaluator.surprise(model, seen, evaluator.seeds([shared[entry.group]] * len(part)))
        for value in surprise.double().mean(dim=1).tolist():
            yield Value(*place, entry.identity, value, evaluator.seed)


def read_surprise(path: Path, entries: Sequence[Entry]) -> dict[str, Windows]:
    """Surprises that something else computed: a JSON object of lists of numbers, by video. Raises UserError."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: is no JSON object of numbers by video")
    names = [entry.identity for entry in entries]
    if lacking := [name for name in names if name not in content]:
        raise UserError(f"{path}: has no surprise of {lacking[0]} ({len(lacking)} lacking)")
    return {name: _numbers(path, name, content[name]) for name in names}


def _numbers(path: Path, name: str, given: Any) -> Windows:
    """One number or a list of them. Raises UserError: it is another thing, or a number is not finite."""
    numbers = given if isinstance(given, list) else [given]
    if numbers and all(type(number) in (int, float) and abs(number) <= LARGEST for number in numbers):
        return np.array(numbers, np.float64)
    raise UserError(f"{path}: {name} has {str(given)[:60]}, where a number a window is needed")


def accuracies(benchmark: Benchmark, entries: Iterable[Entry], surprise: ByVideo, model: str, seed: int) -> list[Value]:
    """Relative and absolute accuracy and AUROC of each property, as values of pairs, videos and the property.

    Within a group possible videos are paired with the impossible ones of the same `pair`, in their order. Raises
    UserError where a video is not labelled, or a pair has more of one side.
    """
    groups: dict[str, dict[str, dict[bool, list[str]]]] = {}
    for entry in entries:
        if entry.possible is None:
            raise UserError(f"{entry.identity}: nothing says whether it is possible; so it has no score here")
        name = f"{entry.group}, pair {entry.pair}" if entry.pair else entry.group
        group = groups.setdefault(entry.property, {}).setdefault(name, {True: [], False: []})
        group[entry.possible].append(entry.identity)
    values = []
    for name, of in groups.items():
        for group_name, group in of.items():
            if len(group[True]) != len(group[False]):
                counts = f"{len(group[True])} possible and {len(group[False])} impossible videos"
                raise UserError(f"{group_name}: has {counts}")
        possible, impossible = ([video for group in of.values() for video in group[side]] for side in (True, False))
        low, high = (_stacked([surprise[video] for video in videos]) for videos in (possible, impossible))
        of_pairs = [f"{a} {b}" for a, b in zip(possible, impossible, strict=True)]
        for metric, numbers, identities in (
            ("relative_accuracy", relative_accuracy(low, high), of_pairs),
            ("absolute_accuracy", absolute_accuracy(low, high), possible + impossible),
            ("auroc", np.array([auroc_of_videos(low, high)]), [name]),
        ):
            place = (model, None, benchmark.name, name, "test", f"{metric}_score", "share")
            values += [Value(*place, one, float(n), seed) for one, n in zip(identities, numbers, strict=True)]
    return values


def _stacked(windows: Sequence[Windows]) -> Float[ndarray, "video window"]:
    """One row a video, NaN where a video has fewer windows than the longest."""
    return np.array([*zip(*zip_longest(*windows, fillvalue=np.nan), strict=True)])


# --- the accuracies, arrays in and arrays out ---


def relative_accuracy(possible: Float[ndarray, "pair window"], impossible: Float[ndarray, "pair window"]) -> PerClip:
    """1 for each pair whose possible video surprises less, in the mean over windows, than its impossible one."""
    return np.where(np.nanmean(possible, axis=1) < np.nanmean(impossible, axis=1), 1.0, 0.0)


def absolute_accuracy(
    possible: Float[ndarray, "possible window"], impossible: Float[ndarray, "impossible window"]
) -> PerClip:
    """1 for each video on its side of the threshold, possible videos first.

    The threshold is the 90th percentile of the possible videos' maxima over windows.
    """
    low, high = np.nanmax(possible, axis=1), np.nanmax(impossible, axis=1)
    threshold = np.percentile(low, THRESHOLD_PERCENTILE)
    return np.concatenate([np.where(low <= threshold, 1.0, 0.0), np.where(high > threshold, 1.0, 0.0)])


def auroc_of_videos(
    possible: Float[ndarray, "possible window"], impossible: Float[ndarray, "impossible window"]
) -> float:
    """The chance that an impossible video surprises more, in the mean, than a possible one, a tie one half."""
    difference = np.nanmean(impossible, axis=1)[:, None] - np.nanmean(possible, axis=1)
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())
