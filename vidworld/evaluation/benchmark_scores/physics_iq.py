"""Physics-IQ: what moves in a world's five seconds, against the true ones and against another take.

Differs from its own evaluation in what a world is given and at which size: the frames before the switch at the world's
rate and size, and as many whole chunks after it as five seconds hold. Masks are made of the predicted frames alone, as
there, of pictures enlarged to `MASKS_PX`.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vidworld.analysis.records import Value
from vidworld.core.shapes import Frames
from vidworld.evaluation.benchmark_scores.films import FilmScore, Stand
from vidworld.evaluation.benchmarks.benchmark import Entry
from vidworld.evaluation.benchmarks.physics_iq import CONTEXT_S, HORIZON_S
from vidworld.metrics.physics_iq import UNITS, PhysicsIq, measures
from vidworld.metrics.physics_iq_score import physics_iq_score

MASKS_PX = 256
PREFIX = "physics_iq_"


def of_film(stand: Stand, entry: Entry, world: Any) -> Iterator[Value]:
    """A world's four measures of one film; the truth's are those of another take, if there is one."""
    truth = _stretch(stand, entry)
    if world is None:
        other = _other_take(entry)
        if other is None:
            return
        predicted = _stretch(stand, other).frames[:, stand.evaluator.context_frames :]
    else:
        predicted = stand.future(world, truth)
    for metric, value in _measures(predicted, truth.frames[:, stand.evaluator.context_frames :]).items():
        yield stand.value(world, entry, "motion", f"{PREFIX}{metric}", UNITS[metric], value)


def whole(values: Sequence[Value], entries: Sequence[Entry], seed: int) -> Iterator[Value]:
    """The measures, and where there are two takes both scores of every world."""
    yield from values
    tables: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for value in values:
        tables[value.model][value.identity].append(value.value)
    takes = tables.pop("truth", {})
    if not takes:
        return  # one take of each scene tells nothing of how much two differ
    for world, films in tables.items():
        names = [name for name in films if name in takes]
        score = physics_iq_score(np.array([films[n] for n in names]), np.array([takes[n] for n in names]))
        yield _value(world, "physics_iq_score", "percent", "all films", score.original, seed)
        for name, verified in zip(names, score.verified, strict=True):
            yield _value(world, "physics_iq_verified_score", "percent", name, float(verified), seed)


def _stretch(stand: Stand, entry: Entry) -> Any:
    """The context before the switch and the five seconds after it, of the film that holds both."""
    clip = stand.clip(replace(entry, video=entry.needs[0]))
    given, most = (round(seconds * stand.shape.fps) for seconds in (CONTEXT_S, HORIZON_S))
    return stand.around(clip, given, most)


def _other_take(entry: Entry) -> Entry | None:
    """The same scene from the same side once more; None where there is no such film."""
    number = entry.identity[-1]
    others = {"1": "2", "2": "1"}
    here = entry.needs[0]
    if number not in others:
        return None
    folder = here.parent.parent.with_name(f"take-{others[number]}") / here.parent.name
    ending = here.name.partition("_full-videos_")[2].replace(f"take-{number}", f"take-{others[number]}")
    film = next(iter(sorted(folder.glob(f"*_full-videos_{ending}"))), None)
    return None if film is None else replace(entry, needs=(film, *entry.needs[1:]))


def _measures(predicted: Frames, truth: Frames) -> dict[str, float]:
    """The four measures, two films without motion agreeing, as published."""
    count = min(predicted.shape[1], truth.shape[1])
    of_world, true = (np.asarray(frames[0, :count]) for frames in (predicted, truth))
    enlarge = max(1, MASKS_PX // true.shape[-1])
    found = measures(of_world, true, enlarge=enlarge, still_counts=True)
    return dict(zip(PhysicsIq._fields, found, strict=True))


def _value(world: str, metric: str, unit: str, identity: str, value: float, seed: int) -> Value:
    return Value(world, "pixels", "physics_iq", "motion", "test", metric, unit, identity, value, seed)


SCORE = FilmScore(of_film, whole)
