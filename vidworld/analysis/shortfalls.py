"""What the models fail at, said plainly, so that nobody has to find it in a table."""

from collections.abc import Iterable, Sequence

from vidworld.analysis.labels import Models, model_label
from vidworld.analysis.records import Row
from vidworld.analysis.verdicts import READOUT, SPLIT

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
    for row in mine:
        if row.readout != READOUT or row.task not in SHORTFALL_TASKS:
            continue
        if row.metric in ERRORS and row.floor and row.value > FASTER_THAN_STILL * row.floor:
            what = row.metric.replace("_", " ")
            yield (
                f"{label}: {what} on {row.task} {row.value:.2f} {row.unit}, over half of the "
                f"{row.floor:.2f} of a frozen frame."
            )
        if row.metric == "motion_ratio" and not MOTION[0] <= row.value <= MOTION[1]:
            bounds = f"outside {MOTION[0]} to {MOTION[1]}"
            yield f"{label}: motion ratio on {row.task} {row.value:.2f}, {bounds}."
