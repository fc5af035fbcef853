"""The files that an evaluation leaves behind: per_clip.csv, results.json and comparison.json, with what names mean
and what the models fail at, so that nobody has to find it in a table."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

from vidworld.analysis.labels import Models, model_label
from vidworld.analysis.records import SCHEMA, Comparison, Labels, Results, Row, Value
from vidworld.analysis.rows import rows_from_clips
from vidworld.analysis.verdicts import READOUT, SPLIT, Pair, runs_of, verdicts
from vidworld.core.errors import UserError
from vidworld.core.records import provenance, write_csv, write_json
from vidworld.metrics import METRICS
from vidworld.simulation import LAWS

FURTHER_LAWS = {
    "uniform motion": "Left alone, a thing keeps its velocity; thrown, it follows its parabola.",
    "reconstruction": "What the tokenizer keeps of a clip: no model that is decoded can be better.",
    "jump": "Real video: nothing leaps from one place to another.",
    "freeze": "Real video: what moves does not stop dead.",
    "missing": "Real video: nothing vanishes.",
}
"""What is measured under a name that is no law of quadruplets."""
SHORTFALL_TASKS = ("uniform", "collision")
ERRORS = ("velocity_error", "outgoing_velocity_error", "restitution_error")
FASTER_THAN_STILL = 0.5
"""A rollout says something of motion where these errors are under this share of a frozen frame's."""
MOTION = (0.9, 1.1)
"""Motion ratios between which a model neither freezes nor runs away."""
CHANCE = 0.5


def write_results(
    folder: Path, values: Sequence[Value], models: Models, pairs: Sequence[Pair], comparison: Comparison, seed: int
) -> list[Row]:
    """The rows, after writing per_clip.csv, results.json and, last, comparison.json (with the verdicts) there."""
    rows = rows_from_clips(values)
    primary, further = verdicts(values, pairs, models)
    results = Results(SCHEMA, provenance(seed), dict(models), tuple(pairs), glossary(values), tuple(rows))
    notes, runs = [*comparison.notes, *shortfalls(rows, models)], runs_of(values, models)
    comparison = replace(comparison, notes=notes, runs=runs, verdicts=primary, further_verdicts=further)
    write_per_clip(folder / "per_clip.csv", values)
    write_json(folder / "results.json", asdict(results))
    write_json(folder / "comparison.json", asdict(comparison))
    return rows


def write_per_clip(path: Path, values: Iterable[Value]) -> None:
    """Write one line a value, floats in full."""
    write_csv(path, Value, values)


def read_per_clip(path: Path) -> list[Value]:
    """The values of a per_clip.csv; UserError where it is missing, its columns are others, or a number is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            columns = [field.name for field in fields(Value)]
            if reader.fieldnames != columns:
                raise UserError(f"{path}: its columns are {reader.fieldnames}, not {columns}")
            values = []
            for line in reader:
                try:
                    numbers = {"value": float(line["value"]), "seed": int(line["seed"])}
                except (TypeError, ValueError) as error:
                    raise UserError(f"{path}: line {reader.line_num}: {error}") from error
                values.append(Value(**line | {"readout": line["readout"] or None} | numbers))
            return values
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def glossary(values: Iterable[Value]) -> Labels:
    """What the laws and metrics of these values mean, in the order in which they are listed, for their page."""
    found = {(value.law, value.metric) for value in values}
    laws, metrics = {law for law, _ in found}, {metric for _, metric in found}
    METRICS.check(sorted(metrics))
    statements = {law: LAWS[law].statement for law in LAWS if law in laws}
    return Labels(
        laws=statements | {law: text for law, text in FURTHER_LAWS.items() if law in laws},
        metrics={name: METRICS[name].description for name in METRICS if name in metrics},
    )


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
            measured = f"{row.metric.replace('_', ' ')} on {row.task} {row.value:.2f} {row.unit}"
            yield f"{label}: {measured}, over half of the {row.floor:.2f} of a frozen frame."
        if row.metric == "motion_ratio" and not MOTION[0] <= row.value <= MOTION[1]:
            yield f"{label}: motion ratio on {row.task} {row.value:.2f}, outside {MOTION[0]} to {MOTION[1]}."
