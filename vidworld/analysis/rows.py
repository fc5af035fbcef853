"""From values of single clips to rows: one number a model, task and metric, with its interval."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy import ndarray

from vidworld.analysis.labels import Models, kind_of, model_label
from vidworld.analysis.records import Row, Value
from vidworld.analysis.statistics import interval
from vidworld.core.errors import UserError
from vidworld.metrics import METRICS
from vidworld.simulation.quadruplets import layout_of

FLOOR, CEILING = "copy_last", "truth"
CONTROL_LIMIT = 0.60
"""Accuracy of a control above which quadruplets can be solved without physics (Source: JEPA's record)."""


@dataclass(frozen=True)
class RowKey:
    """What the values of one row have in common."""

    model: str
    readout: str | None
    task: str
    law: str
    split: str
    metric: str


def rows_from_clips(values: Iterable[Value]) -> list[Row]:
    """One row for every model, readout, task, law, split and metric.

    Floor and ceiling are copy-last and the truth through the same tracker or probe, where they were measured.

    Raises: UserError where one clip has two values for the same thing, or a metric is not registered.
    """
    tables = tabulate(values)
    intervals = {key: interval(table.values, METRICS[key.metric].bounds) for key, table in tables.items()}
    numbers = {key: found.value for key, found in intervals.items()}
    closed = withheld(tables, {})
    rows = []
    for key, found in intervals.items():
        metric, table = METRICS[key.metric], tables[key]
        rows.append(
            Row(
                **asdict(key) | asdict(found),
                unit=table.unit,
                higher_is_better=metric.higher_is_better,
                floor=numbers.get(replace(key, model=FLOOR)),
                ceiling=numbers.get(replace(key, model=CEILING)),
                seed=table.seeds[0] if len(table.seeds) == 1 else None,
                headline=metric.headline and (key.law, key.split, key.metric) not in closed,
            )
        )
    return rows


@dataclass(frozen=True)
class Table:
    """The values of one row: (seed, clip), NaN where a clip has none for a seed."""

    values: ndarray
    seeds: tuple[int, ...]
    identities: tuple[str, ...]
    unit: str

    def at(self, identities: Sequence[str]) -> ndarray:
        """The columns of these clips, all of which must be there."""
        column = {identity: number for number, identity in enumerate(self.identities)}
        return np.asarray(self.values[:, [column[identity] for identity in identities]])


def tabulate(values: Iterable[Value]) -> dict[RowKey, Table]:
    """The values of each row as a table over seeds and clips; UserError where a clip has two values for one thing."""
    cells: dict[RowKey, dict[tuple[int, str], Value]] = defaultdict(dict)
    for value in values:
        key = RowKey(value.model, value.readout, value.task, value.law, value.split, value.metric)
        if (value.seed, value.identity) in cells[key]:
            what = f"{value.model}, {value.metric}, {value.identity}, seed {value.seed}"
            raise UserError(f"{what}: has two values; each clip is measured once a seed")
        cells[key][value.seed, value.identity] = value
    tables = {}
    for key, found in cells.items():
        seeds = tuple(sorted({seed for seed, _ in found}))
        identities = tuple(sorted({identity for _, identity in found}))
        table = [[found[s, clip].value if (s, clip) in found else np.nan for clip in identities] for s in seeds]
        tables[key] = Table(np.array(table, np.float64), seeds, identities, next(iter(found.values())).unit)
    return tables


def withheld(tables: Mapping[RowKey, Table], models: Models) -> dict[tuple[str, str, str], str]:
    """(law, split, metric) of the surprise accuracies that a control can reach, and the reason in words.

    A law whose quadruplets are drawn by several layouts is looked at layout by layout: cues that point one way in one
    and the other way in another cancel in the mean of a control, but not in that of a model that follows one of them.
    """
    reasons: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for key, table in tables.items():
        if key.metric != "surprise_accuracy" or kind_of(key.model) != "control":
            continue
        layouts = np.array([layout_of(identity) or "" for identity in table.identities])
        for layout in sorted(set(layouts)):
            values = table.values[:, layouts == layout]
            if np.isfinite(values).any() and np.nanmean(values) > CONTROL_LIMIT:
                where = f" in the layout {layout}" if len(set(layouts)) > 1 else ""
                reasons[key.law, key.split, key.metric].append(
                    f"the control {model_label(key.model, models)} reaches {np.nanmean(values):.2f}{where}, "
                    f"above {CONTROL_LIMIT:.2f}"
                )
    return {
        place: f"{'; '.join(found)}: its quadruplets can be solved without knowing the law"
        for place, found in reasons.items()
    }
