"""The report's tables: estimates gathered per law and metric, budgets side by side, and where it all ran."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vidworld.analysis import labels as words
from vidworld.analysis.ceiling import reached
from vidworld.analysis.labels import Models
from vidworld.analysis.records import CalibrationRow, Comparison, Row
from vidworld.analysis.shortfalls import is_solved
from vidworld.metrics import METRICS
from vidworld.report import charts as plots
from vidworld.report.charts import Legend

OUTSIDE = ("ood", "recombined", "decided", "undecided")
"""Splits that training does not draw from, and parts of the one that it does."""


class Estimate(NamedTuple):
    """One number with its interval, as text and in percent of its axis."""

    model: str
    label: str
    color: str
    compared: bool  # whether it is one of the evaluation's models; every other one is a baseline or a control
    split: str
    value: str
    interval: str
    at: float | None
    low: float | None
    high: float | None
    floor: float | None
    ceiling: float | None
    reached: str  # how much of the way from floor to ceiling
    n: int


class Forest(NamedTuple):
    """One metric of one law and task: its models' estimates on one axis."""

    law: str
    metric: str
    title: str
    hint: str
    task: str
    readout: str
    direction: str
    unit: str
    splits: list[str]
    floor: str
    ceiling: str
    chance: bool
    headline: bool
    secondary: bool
    solved: bool  # by every model that is compared
    few: bool  # clips, for a mean that one clip in ten may decide
    axis: plots.Axis
    estimates: list[Estimate]

    def of(self, model: str) -> list[Estimate]:
        return [estimate for estimate in self.estimates if estimate.model == model]

    @property
    def controls(self) -> list[Estimate]:
        """The estimates of everything but the models that are compared."""
        return [estimate for estimate in self.estimates if not estimate.compared]

    @property
    def rows(self) -> list[list[Estimate | None]]:
        """Per model its estimates in the order of `splits`, None for a split that it lacks."""
        labels = dict.fromkeys(estimate.label for estimate in self.estimates)
        found = {(estimate.label, estimate.split): estimate for estimate in self.estimates}
        return [[found.get((label, split)) for split in self.splits] for label in labels]


def forests(rows: Sequence[Row], legend: Legend) -> list[Forest]:
    """One forest per law, task, metric and readout, in the order of the laws and then of the rows.

    What the probe finds is secondary where the tracker finds the same in pictures that one can look at.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    by_pixels = {key[:3] for key in groups if key[3] != "probe"}
    found = [_forest(group, key[3] == "probe" and key[:3] in by_pixels, legend) for key, group in groups.items()]
    return sorted(found, key=lambda forest: legend.law_rank(forest.law))


def headline_table(
    rows: Sequence[Row], withheld: Mapping[tuple[str, str], str | None], legend: Legend, secondary: bool = False
) -> list[dict[str, Any]]:
    """Per law its headline forests: in distribution, out of range and recombined, else the split that there is.

    `withheld` maps law and metric to the reason, which takes the numbers' place; what is withheld is listed
    although no row of it is a headline.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    listed = {_key(row) for row in rows if row.headline or (row.law, row.metric) in withheld}
    in_distribution = {_key(row) for row in rows if row.split == "id"}
    for split in sorted({row.split for row in rows}, key=words.split_rank):
        mine = [row for row in rows if row.split == split and _key(row) in listed]
        beside, further = split in OUTSIDE, words.is_further(split)
        for forest in forests([r for r in mine if not further or _key(r) not in in_distribution], legend):
            reason = withheld.get((forest.law, forest.metric))
            if forest.secondary == secondary and not (reason and beside):  # a reason is said once
                entry = {"forest": forest, "split": words.split_label(split), "withheld": reason}
                found.setdefault(forest.law, []).append(entry)
    for entries in found.values():
        entries.sort(key=lambda entry: entry["forest"].metric != "surprise_accuracy")
    return [{"law": law, "rows": found[law]} for law in sorted(found, key=legend.law_rank)]


def parted(table: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A headline table without what every model has solved, and that alone; what is withheld is never solved."""
    parts: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for group in table:
        for part, solved in zip(parts, (False, True), strict=True):
            rows = [row for row in group["rows"] if (row["forest"].solved and not row["withheld"]) == solved]
            part.extend([group | {"rows": rows}] if rows else [])
    return parts


def budget_table(comparison: Comparison, models: Models) -> list[dict[str, Any]]:
    """What each model is and what its training took; where numbers differ, also the largest over the smallest."""
    budgets = [comparison.budgets.get(name) for name in models]
    found: dict[str, list[Any]] = {
        "family": [model.family for model in models.values()],
        "loaded_from": [model.spec for model in models.values()],
    }
    for name in dict.fromkeys(name for budget in budgets if budget for name in budget):
        found[name] = [None if budget is None else budget.get(name) for budget in budgets]
    table = []
    for name, values in found.items():
        known = [value for value in values if value is not None]
        spread = "equal" if all(value == known[0] for value in known) else "differs"
        if spread == "differs" and all(isinstance(value, (int, float)) and value > 0 for value in known):
            spread = f"{max(known) / min(known):.3g}"
        cells = [words.setting(value) for value in values]
        table.append({"name": words.title(name), "cells": cells, "spread": spread})
    return table


def provenance_table(steps: Mapping[str, tuple[dict[str, Any], list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Per step of a run, by its provenance and what it logged, when, where and with what it ran."""
    table = []
    for name, (record, metrics) in steps.items():
        seconds = plots.as_number(metrics[-1].get("seconds")) if metrics else None
        versions = record.get("versions")
        machine = [record.get("device_name") or record.get("device"), record.get("cpu")]
        machine += [f"{record[count]} {count}" for count in ("processes", "cores", "threads") if record.get(count)]
        table.append(
            {
                "name": words.title(name),
                "command": words.setting(record.get("command")),
                "commit": str(record.get("commit") or "–")[:12],
                "dirty": bool(record.get("dirty")),
                "started": str(record.get("started") or "–")[:16].replace("T", " "),
                "took": "–" if seconds is None else words.duration(seconds),
                "seed": words.setting(record.get("seed")),
                "machine": ", ".join(str(part) for part in machine if part) or "–",
                "versions": {"python": record.get("python")} | (versions if isinstance(versions, dict) else {}),
            }
        )
    return table


def tables_by_metric(rows: Sequence[Row], cells: Callable[[str], dict[str, Any]]) -> list[dict[str, Any]]:
    """A table of each metric with its name and what it is."""
    return [
        {"name": words.title(name), "intro": METRICS[name].description, "cells": cells(name)}
        for name in dict.fromkeys(row.metric for row in rows)
    ]


def _key(row: Row) -> tuple[str, ...]:
    return (row.law, row.task, row.metric, row.readout or "")


def _forest(group: Sequence[Row], secondary: bool, legend: Legend) -> Forest:
    first = group[0]
    group = sorted(group, key=lambda r: (legend.rank(r.model), words.split_rank(r.split)))
    ends = [x for r in group for x in (r.value, r.low, r.high, r.floor, r.ceiling)]
    values = [x for x in ends if x is not None and math.isfinite(x)]
    chance = "accuracy" in first.metric or "auroc" in first.metric
    axis = plots.share_axis() if chance or not values else plots.linear_axis(values, zero=True)
    compared = [row for row in group if row.model in legend.models]
    solved = [is_solved(row.value, row.floor, row.ceiling, row.higher_is_better) for row in compared]
    between = next((row for row in group if row.model in legend.models), first)
    return Forest(
        law=first.law, metric=first.metric, title=words.title(first.metric),
        hint=legend.labels.metrics.get(first.metric, ""), task=words.title(first.task), unit=first.unit,
        readout=words.READOUT_LABELS.get(first.readout or "", first.readout or ""),
        direction=words.DIRECTIONS[first.higher_is_better],
        splits=list(dict.fromkeys(words.split_label(row.split) for row in group)),
        floor="" if between.floor is None else words.number(between.floor),
        ceiling="" if between.ceiling is None else words.number(between.ceiling), chance=chance,
        headline=any(row.headline for row in group) or first.metric == "surprise_accuracy", secondary=secondary,
        solved=bool(solved) and all(solved),
        few=first.unit != "share" and 0 < max(row.n for row in group) < words.FEW_CLIPS,
        axis=axis, estimates=[_estimate(row, axis, group, legend) for row in group],
    )  # fmt: skip


def _estimate(row: Row, axis: plots.Axis, group: Sequence[Row], legend: Legend) -> Estimate:
    def at(value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value) else axis.percent(value)

    several = len({other.seed for other in group if other.model == row.model}) > 1
    seed = "" if not several else ", all seeds" if row.seed is None else f", seed {row.seed}"
    return Estimate(
        model=row.model, label=legend.label(row.model) + seed, color=legend.color(row.model),
        compared=row.model in legend.models, split=words.split_label(row.split),
        value=words.number(row.value, row.low, row.high), interval=words.interval_text(row.value, row.low, row.high),
        at=at(row.value), low=at(row.low), high=at(row.high), floor=at(row.floor), ceiling=at(row.ceiling),
        reached=words.percent(reached(row.value, row.floor, row.ceiling, row.higher_is_better)), n=row.n,
    )  # fmt: skip


def limits_table(rows: Sequence[CalibrationRow]) -> dict[str, Any]:
    """What the truth scores under each metric, and the least injected error from which on it is seen."""
    heads = ("Law", "Metric", "Error, task", "Measured by", "Noise floor", "Detection limit", "Spearman", "n")
    found = {(row.fault, row.metric, row.readout): row for row in rows}
    cells = [
        (
            row.law, words.title(row.metric), f"{row.fault}, {row.task}",
            words.READOUT_LABELS.get(row.readout, row.readout), f"{row.noise_floor:.3g} {row.unit}",
            words.detection_limit_text(row.detection_limit, row.fault_unit),
            f"{row.monotone:.2f}", str(row.n),
        )
        for row in found.values()
    ]  # fmt: skip
    return {"heads": heads, "rows": cells}
