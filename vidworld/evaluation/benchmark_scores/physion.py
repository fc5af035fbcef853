"""Physion: does a world's future say whether red will touch yellow?

A linear read-out of what the world predicts (its own space, every chunk and cell) is trained on stimuli and tested on
others, as its own evaluation does with frozen features; that trains on a further set of films, ours on nine tenths of
the labelled ones, in turn.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vidworld.analysis.records import Value
from vidworld.core.errors import UserError
from vidworld.evaluation.benchmark_scores.films import FilmScore, Stand
from vidworld.evaluation.benchmarks.benchmark import Entry
from vidworld.evaluation.benchmarks.physion import SHOWN_S

PREDICTED_S = 2.5
"""After what is shown; of every film as much, or all worlds would be told how long it is."""
FEATURES = 512
"""Of a film: what is predicted, hashed (Source: Weinberger et al. 2009, arXiv 0902.2206)."""
FOLDS = 10
PENALTY = 1.0
"""Of the ridge, in the features' mean square."""
FEATURE = "feature_"


def of_film(stand: Stand, entry: Entry, world: Any) -> Iterator[Value]:
    """The features of a world's future of one film; those of the true future are the truth's."""
    fps = stand.shape.fps
    clip = stand.around(stand.clip(entry), round(SHOWN_S * fps), round(PREDICTED_S * fps))
    seen = stand.evaluator.encode(clip)
    if world is None:
        name, predicted = "truth", seen.tokens[:, stand.evaluator.context_length :]
    else:
        name, predicted = world.name, stand.evaluator.roll_out(world, seen).embeddings[:, 0]
    for number, value in enumerate(_sketch(predicted.float().cpu().flatten().numpy())):
        yield _value(name, f"{FEATURE}{number}", "1", entry.identity, float(value), stand.evaluator.seed)


def whole(values: Sequence[Value], entries: Sequence[Entry], seed: int) -> Iterator[Value]:
    """Whether each film's answer was right, read out by a plane that was fitted to the films of other folds.

    Raises:
        UserError: there are fewer films than folds, or they all have one answer.
    """
    touch = {entry.identity: bool(entry.events) for entry in entries}
    if len(touch) < FOLDS or len(set(touch.values())) < 2:
        raise UserError(
            f"physion: {len(touch)} films with {len(set(touch.values()))} answers; its read-out needs {FOLDS} or more, "
            "some that touch and some that do not"
        )
    features: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for value in values:
        features[value.model][value.identity].append(value.value)
    for world, films in features.items():
        names = sorted(films)
        table, answers = np.array([films[n] for n in names]), np.array([touch[n] for n in names])
        fold = np.array([zlib.crc32(name.encode()) for name in names]).argsort().argsort() % FOLDS
        for name, right in zip(names, answered(table, answers, fold) == answers, strict=True):
            yield _value(world, "contact_accuracy_score", "share", name, float(right), seed)


def answered(features: Float[ndarray, "film feature"], answers: ndarray, fold: ndarray) -> ndarray:
    """The answer to each film of a ridge regression on those of the other folds."""
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


def _value(world: str, metric: str, unit: str, identity: str, value: float, seed: int) -> Value:
    return Value(world, None, "physion", "collision", "test", metric, unit, identity, value, seed)


def _sketch(predicted: Float[ndarray, " number"]) -> Float[ndarray, " feature"]:
    """Signed sums of what is predicted; how many numbers there are says which of them go together."""
    rng = np.random.default_rng(len(predicted))
    places, signs = rng.integers(0, FEATURES, len(predicted)), rng.choice((-1.0, 1.0), len(predicted))
    return np.bincount(places, signs * predicted, FEATURES)


SCORE = FilmScore(of_film, whole)
