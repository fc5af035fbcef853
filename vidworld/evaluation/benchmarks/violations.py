"""Surprise at other people's possible and impossible videos, and the accuracies that their benchmark gives for it.

The accuracies, relative and absolute, are as V-JEPA's evaluation computes them.
Source: Riochet et al. 2018 (arXiv 1803.07616); Garrido et al. 2025, "Intuitive physics understanding emerges
from self-supervised pretraining on natural videos" (arXiv 2502.11831) and its code.

Quirks, kept: a tie is wrong; videos are paired by scene alone, so that an emptier future surprises less
whatever happened; and the threshold of the absolute accuracy is taken from the possible videos that it is then
tested on. Not kept: the context length is no choice of this module (there it is chosen on the test set).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vidworld.analysis.records import Value
from vidworld.core.errors import UserError
from vidworld.core.records import read_json
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry
from vidworld.evaluation.benchmarks.continuation import BenchmarkContext
from vidworld.metrics import PerClip
from vidworld.metrics.surprise import Aggregation

Windows = Float[ndarray, " window"]
ByWindow = Float[ndarray, "clip window"]
THRESHOLD_PERCENTILE = 90.0
AT_ONCE = 16
"""Windows that go through a model together."""
WINDOW_SURPRISE = "window_surprise"
"""What is kept of each video: a value for each window."""


def surprise_of_video(context: BenchmarkContext, entry: Entry, model: Any) -> Iterator[Value]:
    """The model's surprise at each window of a video, in their order: the mean over the window's chunks."""
    evaluator, windows = context.evaluator, context.windows(entry)
    place = (model.name, None, context.benchmark.name, entry.property, "test", WINDOW_SURPRISE, "1")
    for start in range(0, len(windows), AT_ONCE):
        part = windows.at(slice(start, start + AT_ONCE))
        seen = evaluator.encode(part)
        seeds = evaluator.seeds([entry.group] * len(part))  # videos that are compared share what is drawn
        with evaluator.accelerator.autocast():
            surprise = model.surprise(seen, evaluator.context_length, seeds)
        for value in surprise.double().mean(dim=1).tolist():
            yield Value(*place, entry.identity, value, evaluator.seed)


def read_surprise(path: Path, entries: Sequence[Entry]) -> dict[str, Windows]:
    """Surprises that something else computed: a JSON object of lists of numbers, by video. Raises UserError."""
    content = read_json(path)
    try:
        found = {str(name): np.atleast_1d(np.asarray(of, np.float64)) for name, of in content.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is no JSON object of numbers by video ({error})") from error
    lacking = [entry.identity for entry in entries if entry.identity not in found]
    if lacking:
        raise UserError(f"{path}: has no surprise of {lacking[0]} ({len(lacking)} lacking)")
    return found


def accuracies(
    benchmark: Benchmark, entries: Iterable[Entry], surprise: Mapping[str, Windows], model: str, seed: int
) -> list[Value]:
    """Relative and absolute accuracy and AUROC of each property, as values of pairs, videos and the property.

    Within a group the possible videos are paired with the impossible ones in their order. Raises UserError where a
    video is not labelled, or a group has more of one side.
    """
    groups: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        if entry.possible is None:
            raise UserError(f"{entry.identity}: nothing says whether it is possible; so it has no score here")
        groups[entry.property][entry.group].append(entry)
    values = []
    for name, of in groups.items():
        pairs: list[tuple[Entry, Entry]] = []
        for group, videos in of.items():
            possible, impossible = ([v for v in videos if v.possible is side] for side in (True, False))
            if len(possible) != len(impossible):
                raise UserError(f"{group}: has {len(possible)} possible and {len(impossible)} impossible videos")
            pairs += zip(possible, impossible, strict=True)
        low, high = (_stacked([surprise[pair[side].identity] for pair in pairs]) for side in (0, 1))
        of_pairs = [f"{a.identity} {b.identity}" for a, b in pairs]
        of_videos = [pair[side].identity for side in (0, 1) for pair in pairs]
        for metric, numbers, identities in (
            ("relative_accuracy", relative_accuracy(low, high), of_pairs),
            ("absolute_accuracy", absolute_accuracy(low, high), of_videos),
            ("auroc", np.array([auroc_of_videos(low, high)]), [name]),
        ):
            place = (model, None, benchmark.name, name, "test", f"{metric}_score", "share")
            of_metric = zip(identities, numbers, strict=True)
            values += [Value(*place, identity, float(number), seed) for identity, number in of_metric]
    return values


def _stacked(windows: Sequence[Windows]) -> Float[ndarray, "video window"]:
    """One row a video, NaN where a video has fewer windows than the longest."""
    table = np.full((len(windows), max(map(len, windows))), np.nan)
    for row, values in zip(table, windows, strict=True):
        row[: len(values)] = values
    return table


# --- the accuracies, arrays in and arrays out ---


def video_score(surprise: ByWindow, aggregation: Aggregation = "mean") -> PerClip:
    """One surprise a video: the mean or the maximum over its windows."""
    scores: ndarray = np.nanmean(surprise, axis=1) if aggregation == "mean" else np.nanmax(surprise, axis=1)
    return scores


def relative_accuracy(
    possible: Float[ndarray, "pair window"],
    impossible: Float[ndarray, "pair window"],
    aggregation: Aggregation = "mean",
) -> PerClip:
    """1 for each pair whose possible video surprises less than its impossible one; a tie is 0."""
    return np.where(video_score(possible, aggregation) < video_score(impossible, aggregation), 1.0, 0.0)


def absolute_accuracy(
    possible: Float[ndarray, "possible window"], impossible: Float[ndarray, "impossible window"]
) -> PerClip:
    """1 for each video on its side of the threshold, possible videos first.

    The threshold is the 90th percentile of the possible videos' maxima over windows.
    """
    low, high = video_score(possible, "max"), video_score(impossible, "max")
    threshold = np.percentile(low, THRESHOLD_PERCENTILE)
    return np.concatenate([np.where(low <= threshold, 1.0, 0.0), np.where(high > threshold, 1.0, 0.0)])


def auroc_of_videos(
    possible: Float[ndarray, "possible window"], impossible: Float[ndarray, "impossible window"]
) -> float:
    """The chance that an impossible video surprises more than a possible one, a tie one half."""
    low, high = video_score(possible), video_score(impossible)
    difference = high[:, None] - low[None]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())
