"""Physion's test videos: will the red thing touch the yellow one, and does a model's future say so?

Source: Bear et al. 2021 (arXiv 2106.08261) and its repository: PhysionTest-Core, at 30 frames a second; a model is
shown the first 1.5 s.

What is predicted reaches to the end of the longest video: things touch 4.2 to 6.2 s after its start in the examples
that were looked at. It is as much of every video, or its length would give the answer away; the true video stands still
on its last frame where it is shorter, which tells the row of the truth, and no model, how long it was.

A linear probe of what the model predicts (its own space, every chunk and cell) is trained on nine tenths of the
stimuli, in turn, and tested on others; its own evaluation does so with frozen features, trained on further videos.
"""

import csv
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vidworld.analysis.records import Value
from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks.benchmark import Benchmark, ContinuationScore, Entry, Reading, text_of
from vidworld.evaluation.benchmarks.continuation import BenchmarkContext, numbers_by_model

SHOWN_S = 1.5
FEATURES = 512  # of a video: what is predicted, hashed (Source: Weinberger et al. 2009, arXiv 0902.2206)
FOLDS = 10
PENALTY = 1.0  # of the ridge, in the features' mean square
FEATURE = "predicted_feature"
TRUE, FALSE = ("1", "1.0", "true"), ("0", "0.0", "false")
_LAYOUT = """\
FOLDER/                  PhysionTest-Core
  labels.csv             a line a stimulus: its name, and whether they touch
  Collide/ Contain/ Dominoes/ Drape/ Drop/ Link/ Roll/ Support/
    mp4s-redyellow/STIMULUS_img.mp4"""


def _entries(folder: Path) -> list[Entry]:
    """The stimuli that labels.csv lists; its event is that they touch."""
    table = folder / "labels.csv"
    rows = list(csv.reader(io.StringIO(text_of(table), newline="")))
    videos = {path.name: path for path in sorted(folder.glob("*/mp4s-redyellow/*.mp4"))}
    found = []
    for number, row in enumerate(rows, start=1):
        answer = row[1].strip().lower() if len(row) > 1 else ""
        if answer not in TRUE + FALSE:
            if number == 1:
                continue  # the names of the columns
            raise UserError(f"{table}: line {number}: {row} is no stimulus and whether they touch")
        stimulus = row[0].strip().removesuffix("_img")
        name = f"{stimulus}_img.mp4"
        touch = ((0, "touch"),) if answer in TRUE else ()
        video = videos.get(name, folder / "*" / "mp4s-redyellow" / name)
        scenario = video.parent.parent.name if name in videos else "unknown"
        found.append(Entry(stimulus, scenario, stimulus, True, video, events=touch))
    lengths = {entry.video: _length_s(entry.video) for entry in found}
    longest = max(lengths, key=lambda video: lengths[video], default=None)
    return [replace(entry, compared_with=(longest,)) for entry in found if longest is not None]


def _length_s(video: Path) -> float:
    """As the file's header has it; 0 where it says nothing or cannot be read, which is said when it is read."""
    try:
        with av.open(str(video)) as file:
            stream = file.streams.video[0]
            return float((stream.duration or 0) * (stream.time_base or 0))
    except (av.error.FFmpegError, OSError, IndexError):
        return 0.0


def _of_video(context: BenchmarkContext, entry: Entry, model: Any) -> Iterator[Value]:
    """The features of a model's future of one video, in their order; those of the true future are the truth's."""
    fps, evaluator = context.shape.fps, context.evaluator
    shown, most = round(SHOWN_S * fps), math.ceil((_length_s(entry.compared_with[0]) - SHOWN_S) * fps)
    clip = context.around(context.clip(entry), shown, most, hold=True)
    seen = evaluator.encode(clip)
    if model is None:
        predicted = seen.tokens[:, evaluator.context_length :]
    else:
        predicted = evaluator.roll_out(model, seen).embeddings[:, 0]
    for value in _sketch(predicted.float().cpu().flatten().numpy()).tolist():
        yield context.value(model, entry, "collision", FEATURE, "1", value)


def _whole(values: Sequence[Value], entries: Sequence[Entry], seed: int) -> Iterator[Value]:
    """Whether each video's answer was right, by a plane that was fitted to the videos of other folds."""
    touch = {entry.identity: bool(entry.events) for entry in entries}
    if len(touch) < FOLDS or len(set(touch.values())) < 2:
        there = f"{len(touch)} videos with {len(set(touch.values()))} answers"
        raise UserError(f"physion: {there}; its probe needs {FOLDS} or more, some that touch and some that do not")
    for model, videos in numbers_by_model(values).items():
        names = sorted(videos)
        table, answers = np.array([videos[n] for n in names]), np.array([touch[n] for n in names])
        fold = np.array([zlib.crc32(name.encode()) for name in names]).argsort().argsort() % FOLDS
        place = (model, None, "physion", "collision", "test", "contact_accuracy_score", "share")
        for name, right in zip(names, answered(table, answers, fold) == answers, strict=True):
            yield Value(*place, name, float(right), seed)


def answered(features: Float[ndarray, "video feature"], answers: ndarray, fold: ndarray) -> ndarray:
    """The answer to each video of a ridge regression on those of the other folds."""
    said = np.zeros(len(answers), bool)
    for number in np.unique(fold):
        train, test = fold != number, fold == number
        mean, spread = features[train].mean(axis=0), features[train].std(axis=0) + 1e-6
        known, asked = ((features[part] - mean) / spread for part in (train, test))
        target = np.where(answers[train], 1.0, -1.0)
        gram = known @ known.T
        ridge = gram + PENALTY * max(np.trace(gram) / len(gram), 1e-9) * np.eye(len(gram))
        said[test] = asked @ known.T @ np.linalg.solve(ridge, target - target.mean()) + target.mean() > 0
    return said


def _sketch(predicted: Float[ndarray, " number"]) -> Float[ndarray, " feature"]:
    """Signed sums of what is predicted; how many numbers there are says which of them go together."""
    rng = np.random.default_rng(len(predicted))
    places, signs = rng.integers(0, FEATURES, len(predicted)), rng.choice((-1.0, 1.0), len(predicted))
    return np.bincount(places, signs * predicted, FEATURES)


_READING = Reading(224, fps=30.0, context_frames=(45,))
_SCORE = ContinuationScore(_of_video, (FEATURE,), _whole)
PHYSION = Benchmark("physion", "Physion", "arXiv 2106.08261", _LAYOUT, _READING, _entries, _SCORE, version=2)
