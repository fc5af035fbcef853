"""Any number of results.json as one self-contained page: a table that sorts and filters, and how to get each row."""

import math
import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vidworld.analysis import labels as words
from vidworld.analysis.records import Labels, Results, Row, read_results
from vidworld.core.errors import UserError
from vidworld.core.records import write_text
from vidworld.report.charts import Legend
from vidworld.report.page import render_template

RESULTS_NAME = "results.json"
PAGE_KINDS = {"model": "models", "baseline": "baselines", "control": "controls", "ceiling": "ceilings"}


class Origin(NamedTuple):
    """The results.json that rows come from, and how it was made."""

    name: str
    command: str
    commit: str
    dirty: bool
    started: str


class BoardRow(NamedTuple):
    row: Row
    origin: Origin
    label: str  # of the model
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
    runs, faults = {}, []
    for file in results_files(paths):
        try:
            runs[file] = read_results(file)
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))
    legend = _merged(runs.values())
    lines = _table(_names(list(runs)), list(runs.values()), legend)
    options = _options(lines, legend)
    content = {"lines": lines, "runs": len(runs), "options": options, "legend": legend}
    write_text(out, render_template("leaderboard.html", "leaderboard.js", **content))
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


def _merged(runs: Iterable[Results]) -> Legend:
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


def _table(names: Sequence[str], runs: Sequence[Results], legend: Legend) -> list[BoardRow]:
    """The rows of all runs, what is compared together: by law, metric, task, split and readout; best first."""
    axes: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for row in (row for results in runs for row in results.results):
        axes[_same(row)] += [x for x in (row.value, row.low, row.high) if math.isfinite(x)]
    lines: list[BoardRow] = []
    for name, results in zip(names, runs, strict=True):
        origin, rows = _origin(name, results.provenance), results.results
        labels = [words.model_label(row.model, results.models) for row in rows]
        lines += [BoardRow(r, origin, label, _bar(r, axes[_same(r)])) for r, label in zip(rows, labels, strict=True)]
    return sorted(lines, key=lambda line: _order(line.row, legend))


def _origin(name: str, provenance: dict[str, Any]) -> Origin:
    command, commit, started = (str(provenance.get(key) or "") for key in ("command", "commit", "started"))
    if _is_script(command):
        command = f"python {command}"
    return Origin(name, command, commit, bool(provenance.get("dirty")), started[:16].replace("T", " "))


def _is_script(command: str) -> bool:
    """Whether it begins with a Python file; somebody may have edited what is recorded into no command at all."""
    try:
        return Path(shlex.split(command)[0]).suffix == ".py"
    except (ValueError, IndexError):
        return False


def _bar(row: Row, axis: Sequence[float]) -> tuple[float, float, float] | None:
    if not math.isfinite(row.value):
        return None
    least, most = min(axis), max(axis)
    ends = (x if math.isfinite(x) else row.value for x in (row.low, row.high))
    at, low, high = (100 * (x - least) / ((most - least) or 1.0) for x in (row.value, *ends))
    return at, low, high


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


def _options(lines: Sequence[BoardRow], legend: Legend) -> dict[str, list[tuple[str, str]]]:
    """What each filter of the page can choose, and how that is called there."""

    def ranked(name: str, known: Iterable[str]) -> list[str]:
        found = {getattr(line.row, name) for line in lines}
        return sorted(found, key=lambda name: (words.rank(known, name), name))

    kinds = {line.kind for line in lines}
    return {
        "law": [(law, words.title(law)) for law in ranked("law", legend.labels.laws)],
        "split": [(split, words.split_label(split)) for split in ranked("split", words.SPLIT_LABELS)],
        "metric": [(metric, words.title(metric)) for metric in ranked("metric", legend.labels.metrics)],
        "kind": [(kind, f"{text} only") for kind, text in PAGE_KINDS.items() if kind in kinds],
    }
