"""What can be predicted at most: the oracle's score, how near to it a model comes, and what no context decides."""

import math
from collections.abc import Iterable
from dataclasses import replace

from vidworld.analysis.records import Value

SPLIT_BY_DECISION = "id"
OPEN = ("oracle", "determinism_spread", "pixels")
"""Whose spread tells whether a context decides what follows: it has one only where futures are open."""


def by_decision(values: Iterable[Value]) -> list[Value]:
    """The values of clips in distribution once more, under the split `decided` or `undecided`.

    A context decides what follows where all samples of the oracle are one. Of tasks of which it decides every clip, or
    of which that was not measured, there are none.
    """
    known = [value for value in values if value.split == SPLIT_BY_DECISION]
    spread = {(v.task, v.identity): v.value for v in known if (v.model, v.metric, v.readout) == OPEN}
    tasks = {task for (task, _), value in spread.items() if value > 0}
    named = {place: "undecided" if value > 0 else "decided" for place, value in spread.items() if place[0] in tasks}
    return [replace(v, split=named[v.task, v.identity]) for v in known if (v.task, v.identity) in named]


def reached(value: float, floor: float | None, ceiling: float | None, higher_is_better: bool | None) -> float:
    """How much of the way from floor to ceiling a value has come: 0 is the floor, 1 the ceiling.

    Where neither side is better (None) it is how near the ceiling lies, so that more than it is no better than less.
    NaN where one of the two is not known, or they do not differ.
    """
    if floor is None or ceiling is None or not math.isfinite(floor + ceiling) or math.isclose(floor, ceiling):
        return math.nan
    if higher_is_better is None:
        return 1 - abs(value - ceiling) / abs(floor - ceiling)
    return (value - floor) / (ceiling - floor)
