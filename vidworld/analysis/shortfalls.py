"""What a model does not do, in sentences, and where it has nothing left to do."""

from collections.abc import Iterable, Sequence

from vidworld.analysis.labels import Models, model_label
from vidworld.analysis.records import Row

SPLIT = "id"
READOUT = "pixels"
"""Rollouts are judged by the tracker, which is the same for all models; the probe's numbers stand beside."""
SOLVED = 0.98
"""Share of the way to the ceiling from which on a task is solved: from zero where more is better, else the floor."""
REAL_TASK = "real video"
SHORTFALL_TASKS = ("uniform", "collision")
ERRORS = ("velocity_error", "outgoing_velocity_error", "restitution_error")
FASTER_THAN_STILL = 0.5
"""A rollout says something of motion where these errors are under this share of a frozen frame's."""
MOTION = (0.9, 1.1)
"""Motion ratios between which a model neither freezes nor runs away."""
CHANCE = 0.5


def shortfalls(rows: Sequence[Row], models: Models) -> list[str]:
    """A sentence for each law that a model does not show, and each task on which its rollouts are poor."""
    return [sentence for name in models for sentence in _of(name, model_label(name, models), rows)]


def _of(name: str, label: str, rows: Sequence[Row]) -> Iterable[str]:
    mine = [row for row in rows if (row.model, row.split) == (name, SPLIT)]
    unseen = [r.law for r in mine if r.metric == "surprise_accuracy" and r.low <= CHANCE]
    if unseen:
        yield f"{label} is not shown to tell the possible from the impossible on {', '.join(unseen)}."
    worse = [row for row in rows if (row.model, row.task) == (name, REAL_TASK) and _below_floor(row)]
    if worse:
        said = ", ".join(f"{row.metric.replace('_', ' ')} {row.value:.2f} against {row.floor:.2f}" for row in worse)
        yield f"{label}: on held-out real video worse than a frozen frame ({said})."
    for row in mine:
        if row.readout != READOUT or row.task not in SHORTFALL_TASKS:
            continue
        if row.metric in ERRORS and row.floor and row.value > FASTER_THAN_STILL * row.floor:
            measured = f"{row.metric.replace('_', ' ')} on {row.task} {row.value:.2f} {row.unit}"
            yield f"{label}: {measured}, over half of the {row.floor:.2f} of a frozen frame."
        if row.metric == "motion_ratio" and not MOTION[0] <= row.value <= MOTION[1]:
            yield f"{label}: motion ratio on {row.task} {row.value:.2f}, outside {MOTION[0]} to {MOTION[1]}."


def _below_floor(row: Row) -> bool:
    """Whether a frozen frame does better."""
    if row.floor is None or row.higher_is_better is None or row.readout not in (None, READOUT):
        return False
    return row.value < row.floor if row.higher_is_better else row.value > row.floor


def is_solved(value: float, floor: float | None, ceiling: float | None, higher_is_better: bool | None) -> bool:
    """Whether the value lies at the ceiling: at `SOLVED` of it, or so much of the floor's error gone."""
    if ceiling is None or higher_is_better is None:
        return False
    if higher_is_better:
        return value >= SOLVED * ceiling
    return floor is not None and value - ceiling <= (1 - SOLVED) * (floor - ceiling)
