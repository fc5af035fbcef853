"""Any number of results.json as one self-contained page: a table that sorts and filters, and how to get each row."""

import math
import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidworld.analysis import labels as words
from vidworld.analysis.records import Labels, Results, Row, read_results
from vidworld.core.errors import UserError
from vidworld.core.records import write_text
from vidworld.report.charts import Legend
from vidworld.report.page import render_template

RESULTS_NAME = "results.json"
PAGE_KINDS = {"model": "models", "baseline": "baselines", "control": "controls", "ceiling": "ceilings"}


@dataclass(frozen=True)
class Origin:
    """The results.json that rows come from, and how it was made."""

    name: str
    path: Path
    command: str
    commit: str
    dirty: bool
    started: str


@dataclass(frozen=True)
class BoardRow:
    row: Row
    origin: Origin
    label: str
    """Of the model."""
    value: str
    interval: str
    bar: tuple[float, float, float] | None
    """Where value, low and high lie on the axis of the metric's rows, in percent; None without a number."""

    @property
    def kind(self) -> str:
        """One of `PAGE_KINDS`."""
        return words.kind_of(self.row.model)

    @property
    def text(self) -> str:
        """What a search looks in."""
        row = self.row
        parts = (row.model, self.label, row.law, row.task, row.metric, row.readout, self.origin.name)
        return " ".join(part for part in parts if part).lower()


def write_leaderboard(paths: Sequence[Path], out: Path) -> tuple[Path, int]:
    """The page and how many rows it shows, after writing it; UserError names every path that cannot be read."""
    runs, faults = [], []
    for file in results_files(paths):
        try:
            runs.append((file, read_results(file)))
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))
    lines = table(runs)
    write_text(out, render_board(lines, _merged([results for _, results in runs])))
    return out, len(lines)


def results_files(paths: Sequence[Path]) -> list[Path]:
    """The results.json files that the paths name or hold, each once; UserError names every path that has none."""
    found: dict[Path, Path] = {}
    faults = []
    for path in paths:
        files = sorted(path.rglob(RESULTS_NAME)) if path.is_dir() else [path]
        if not path.exists():
            faults.append(f"{path}: there is no such file or folder")
        elif not files:
            faults.append(f"{path}: there is no {RESULTS_NAME} in it; run eval/run_physics.py first")
        for file in files:
            found.setdefault(file.resolve(), file)
    if faults or not found:
        raise UserError("\n".join(faults) or f"name a {RESULTS_NAME} or a folder with one")
    return list(found.values())


def table(runs: Sequence[tuple[Path, Results]]) -> list[BoardRow]:
    """The rows of all runs, what is compared together: by law, metric, task, split and readout; best first."""
    names = _names([path for path, _ in runs])
    found = []
    axes: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for name, (path, results) in zip(names, runs, strict=True):
        origin, legend = _origin(name, path, results.provenance), Legend.of(results)
        found += [(origin, row, legend.label(row.model)) for row in results.results]
        for row in results.results:
            axes[_same(row)] += [x for x in (row.value, row.low, row.high) if math.isfinite(x)]
    legend = _merged([results for _, results in runs])
    lines = [_board_row(origin, row, label, axes[_same(row)]) for origin, row, label in found]
    return sorted(lines, key=lambda line: _order(line.row, legend))


def render_board(lines: Sequence[BoardRow], legend: Legend) -> str:
    """The page as HTML; every text in it is escaped, and it loads nothing."""
    rows = [line.row for line in lines]

    def ranked(names: set[str], known: Iterable[str]) -> list[str]:
        return sorted(names, key=lambda name: (words.rank(known, name), name))

    laws, metrics = ({getattr(row, name) for row in rows} for name in ("law", "metric"))
    splits = ranked({row.split for row in rows}, words.SPLIT_LABELS)
    options = {
        "law": [(law, words.title(law)) for law in ranked(laws, legend.labels.laws)],
        "split": [(split, words.SPLIT_LABELS.get(split, split)) for split in splits],
        "metric": [(metric, words.title(metric)) for metric in ranked(metrics, legend.labels.metrics)],
        "kind": [(k, f"{text} only") for k, text in PAGE_KINDS.items() if any(line.kind == k for line in lines)],
    }
    runs = len({line.origin.path for line in lines})
    return render_template("leaderboard.html", "leaderboard.js", lines=lines, runs=runs, options=options, legend=legend)


def _merged(runs: Sequence[Results]) -> Legend:
    """One legend for all runs: a model of one name has one colour."""
    models, laws, metrics = {}, {}, {}
    for results in runs:
        models.update({k: v for k, v in results.models.items() if k not in models})
        laws.update(results.labels.laws)
        metrics.update(results.labels.metrics)
    return Legend(models, Labels(laws, metrics))


def _names(paths: Sequence[Path]) -> list[str]:
    """What tells the files apart: their folders, from the end, as far back as it takes."""
    parts = [path.resolve().parent.parts for path in paths]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names) and (depth > 1 or len(names) == 1):
            return names
    return [str(path) for path in paths]


def _origin(name: str, path: Path, provenance: dict[str, Any]) -> Origin:
    command = str(provenance.get("command") or "")
    if command and Path(shlex.split(command)[0]).suffix == ".py":
        command = f"python {command}"
    commit = str(provenance.get("commit") or "")
    started = str(provenance.get("started") or "")
    return Origin(name, path, command, commit, bool(provenance.get("dirty")), started[:16].replace("T", " "))


def _board_row(origin: Origin, row: Row, label: str, axis: Sequence[float]) -> BoardRow:
    bar = None
    if math.isfinite(row.value):
        least, most = min(axis), max(axis)
        low, high = (x if math.isfinite(x) else row.value for x in (row.low, row.high))
        at, start, end = (100 * (x - least) / ((most - least) or 1.0) for x in (row.value, low, high))
        bar = at, start, end
    number = words.number(row.value, row.low, row.high)
    return BoardRow(row, origin, label, number, words.interval_text(row.value, row.low, row.high), bar)


def _same(row: Row) -> tuple[str, ...]:
    """What rows must share to stand on one axis."""
    return row.law, row.task, row.metric, row.unit


def _order(row: Row, legend: Legend) -> tuple[Any, ...]:
    value = row.value if math.isfinite(row.value) else math.inf
    if row.higher_is_better and math.isfinite(value):
        value = -value
    law = (legend.law_rank(row.law), row.law, not row.headline)
    metric = (words.rank(legend.labels.metrics, row.metric), row.metric)
    return (*law, *metric, row.task, row.split, row.readout or "", value)
