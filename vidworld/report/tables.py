"""The report's tables: estimates gathered per law and metric, budgets side by side, and where it all ran."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidworld.analysis import labels as words
from vidworld.report import charts as plots
from vidworld.report.files import Comparison, Limit, Row, Run

PAIR = ("diffusion", "jepa")
"""The two worlds that the report compares; every other row is a baseline or a control."""
OUTSIDE = ("ood", "recombined")
"""Splits that training does not draw from."""


@dataclass(frozen=True)
class Estimate:
    """One number with its interval, as text and in percent of its axis."""

    world: str
    label: str
    color: str
    split: str
    value: str
    interval: str
    at: float | None
    low: float | None
    high: float | None
    floor: float | None
    ceiling: float | None
    n: int


@dataclass(frozen=True)
class Forest:
    """One metric of one law and task: its worlds' estimates on one axis."""

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
    axis: plots.Axis
    estimates: list[Estimate]

    def of(self, world: str) -> list[Estimate]:
        """The world's estimates: one a split and seed."""
        return [estimate for estimate in self.estimates if estimate.world == world]

    @property
    def controls(self) -> list[Estimate]:
        """The estimates of everything but the two worlds that are compared."""
        return [estimate for estimate in self.estimates if estimate.world not in PAIR]

    @property
    def rows(self) -> list[list[Estimate | None]]:
        """Per world its estimates in the order of `splits`, None for a split that it lacks."""
        labels = dict.fromkeys(estimate.label for estimate in self.estimates)
        found = {(estimate.label, estimate.split): estimate for estimate in self.estimates}
        return [[found.get((label, split)) for split in self.splits] for label in labels]


def forests(rows: Sequence[Row]) -> list[Forest]:
    """One forest per law, task, metric and read-out, in the order of the laws and then of the rows.

    What the probe reads is secondary where the same is read from pixels: two read-outs of one thing, the one
    that has films to look at first.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    by_pixels = {key[:3] for key in groups if key[3] != "probe"}
    found = [_forest(group, key[3] == "probe" and key[:3] in by_pixels) for key, group in groups.items()]
    return sorted(found, key=lambda forest: words.rank(words.LAWS, forest.law))


def headline_table(
    rows: Sequence[Row], withheld: Mapping[tuple[str, str], str | None], secondary: bool = False
) -> list[dict[str, Any]]:
    """Per law its headline forests, in distribution where there is that, else the split that there is.

    `withheld` maps law and metric to the reason, which takes the numbers' place; what is withheld is listed
    although no row of it is a headline.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    told = {_key(row) for row in rows if row.headline or (row.law, row.metric) in withheld}
    in_distribution = {_key(row) for row in rows if row.split == "id"}
    for split in sorted({row.split for row in rows}, key=lambda name: words.rank(words.SPLITS, name)):
        mine = [row for row in rows if row.split == split and _key(row) in told]
        for forest in forests(
            [row for row in mine if split not in OUTSIDE or _key(row) not in in_distribution]
        ):
            if forest.secondary == secondary:
                reason = withheld.get((forest.law, forest.metric))
                entry = {"forest": forest, "split": words.SPLITS.get(split, split), "withheld": reason}
                found.setdefault(forest.law, []).append(entry)
    laws = sorted(found, key=lambda law: words.rank(words.LAWS, law))
    for entries in found.values():
        entries.sort(key=lambda entry: entry["forest"].metric != "surprise_accuracy")
    return [{"law": law, "hint": words.LAWS.get(law, ""), "rows": found[law]} for law in laws]


def budget_table(comparison: Comparison) -> list[dict[str, Any]]:
    """Per budget its value for each world and, where two numbers differ, the second over the first."""
    names = dict.fromkeys(name for budget in comparison.budgets.values() for name in budget)
    table = []
    for name in names:
        values = [budget.get(name) for budget in comparison.budgets.values()]
        same = values.count(values[0]) == len(values)
        ratio = "equal" if same else "differs"
        match values:
            case [int() | float() as first, int() | float() as second] if first and not same:
                ratio = f"{second / first:.3g}"
        table.append(
            {"name": words.title(name), "cells": [words.setting(value) for value in values], "ratio": ratio}
        )
    return table


def provenance_table(run: Run) -> list[dict[str, Any]]:
    """Per step of the run when, where and with what it ran."""
    records = [(name, stage.provenance, stage.metrics) for name, stage in run.stages.items()]
    table = []
    for name, record, metrics in [*records, ("evaluation", run.results.provenance, [])]:
        seconds = metrics[-1].get("seconds") if metrics else None
        machine = [record.get("device_name") or record.get("device"), record.get("cpu")]
        machine += [
            f"{record[count]} {count}" for count in ("processes", "cores", "threads") if record.get(count)
        ]
        table.append(
            {
                "name": words.title(name),
                "command": words.setting(record.get("command")),
                "commit": str(record.get("commit") or "–")[:12],
                "dirty": bool(record.get("dirty")),
                "started": str(record.get("started") or "–")[:16].replace("T", " "),
                "took": "–" if seconds is None else words.duration(float(seconds)),
                "seed": words.setting(record.get("seed")),
                "machine": ", ".join(str(part) for part in machine if part) or "–",
                "versions": {"python": record.get("python")} | (record.get("versions") or {}),
            }
        )
    return table


def jepa_target(config: Mapping[str, Any]) -> str | None:
    """What the JEPA predicts, the first `target` in its configuration; None where none is named."""
    for name, value in config.items():
        found = value if name == "target" else jepa_target(value) if isinstance(value, dict) else None
        if isinstance(found, str):
            return found
    return None


def _key(row: Row) -> tuple[str, ...]:
    return (row.law, row.task, row.metric, row.readout or "")


def _forest(group: Sequence[Row], secondary: bool) -> Forest:
    first = group[0]
    group = sorted(
        group, key=lambda r: (words.rank(words.WORLDS, r.world), words.rank(words.SPLITS, r.split))
    )
    values = [v for r in group for v in (r.value, r.low, r.high, r.floor, r.ceiling) if v is not None]
    chance = "accuracy" in first.metric or "auroc" in first.metric
    axis = plots.share_axis() if chance or not values else plots.linear_axis(values, zero=True)
    ends = next((row for row in group if row.world in PAIR), first)
    return Forest(
        law=first.law,
        metric=first.metric,
        title=words.title(first.metric),
        hint=words.METRICS.get(first.metric, ""),
        task=words.title(first.task),
        readout=first.readout or "",
        direction=words.direction(first.higher_is_better),
        unit=first.unit or "",
        splits=list(dict.fromkeys(words.SPLITS.get(row.split, row.split) for row in group)),
        floor="" if ends.floor is None else words.number(ends.floor),
        ceiling="" if ends.ceiling is None else words.number(ends.ceiling),
        chance=chance,
        headline=any(row.headline for row in group) or first.metric == "surprise_accuracy",
        secondary=secondary,
        axis=axis,
        estimates=[_estimate(row, axis, group) for row in group],
    )


def _estimate(row: Row, axis: plots.Axis, group: Sequence[Row]) -> Estimate:
    def at(value: float | None) -> float | None:
        return None if value is None else axis.percent(value)

    several = len({other.seed for other in group if other.world == row.world}) > 1
    seed = "" if not several else ", all seeds" if row.seed is None else f", seed {row.seed}"
    return Estimate(
        world=row.world,
        label=words.world_label(row.world) + seed,
        color=plots.color_of(row.world),
        split=words.SPLITS.get(row.split, row.split),
        value=words.number(row.value, row.low, row.high),
        interval=words.interval(row.value, row.low, row.high),
        at=at(row.value),
        low=at(row.low),
        high=at(row.high),
        floor=at(row.floor),
        ceiling=at(row.ceiling),
        n=row.n,
    )


def limits_table(limits: Sequence[Limit]) -> list[tuple[str, ...]]:
    """For each metric, read-out and planted fault: what the truth scores, and the least fault that is seen."""
    found = {(limit.metric, limit.fault, limit.readout): limit for limit in limits}
    return [
        (
            words.title(limit.metric),
            limit.fault,
            limit.readout,
            f"{limit.noise_floor:.3g} {limit.unit}",
            words.detection_limit(limit.detection_limit, limit.fault_unit),
            str(limit.n),
        )
        for limit in found.values()
    ]
