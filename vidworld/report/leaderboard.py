"""Any number of results.json as one self-contained page: a table that sorts and filters, and how to get each row."""

import base64
import hashlib
import math
import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidworld.analysis import labels as words
from vidworld.analysis.records import Row
from vidworld.analysis.results import Results, read_results
from vidworld.analysis.rows import CONTROLS
from vidworld.core.errors import UserError
from vidworld.core.records import write_text
from vidworld.report.page import PAGE, environment

RESULTS_NAME = "results.json"
KINDS = {"world": "worlds", "baseline": "baselines", "control": "controls", "ceiling": "ceilings"}
BASELINES = ("constant_velocity",)
CEILINGS = ("truth", "reconstruction")


@dataclass(frozen=True)
class Run:
    """One results.json: its rows have one origin."""

    name: str
    path: Path
    command: str
    commit: str
    dirty: bool
    started: str


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    row: Row
    run: Run
    kind: str
    value: str
    interval: str
    bar: tuple[float, float, float] | None
    """Where value, low and high lie on the axis of the metric's rows, in percent; None without a number."""

    @property
    def text(self) -> str:
        """What a search looks in."""
        row = self.row
        parts = (
            row.world,
            words.world_label(row.world),
            row.law,
            row.task,
            row.metric,
            row.readout,
            self.run.name,
        )
        return " ".join(part for part in parts if part).lower()


def write_leaderboard(paths: Sequence[Path], out: Path) -> tuple[Path, int]:
    """The page and how many rows it shows, after writing it.

    paths: results.json files, or folders, in which every results.json counts.

    Raises:
        UserError: a path is not there, holds no results, or cannot be read; all such are named.
    """
    runs, faults = [], []
    for file in results_files(paths):
        try:
            runs.append((file, read_results(file)))
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))
    lines = table(runs)
    write_text(out, render(lines))
    return out, len(lines)


def results_files(paths: Sequence[Path]) -> list[Path]:
    """The results.json files that the paths name or hold, each once, in their order.

    Raises:
        UserError: a path is not there or holds none; all such are named.
    """
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


def table(runs: Sequence[tuple[Path, Results]]) -> list[Line]:
    """The rows of all runs, what is compared together: by law, metric, task, split and read-out; best first."""
    names = _names([path for path, _ in runs])
    pairs = [
        (_run(name, path, results.provenance), row)
        for name, (path, results) in zip(names, runs, strict=True)
        for row in results.results
    ]
    axes: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for _, row in pairs:
        axes[_same(row)] += [x for x in (row.value, row.low, row.high) if math.isfinite(x)]
    lines = [_line(run, row, axes[_same(row)]) for run, row in pairs]
    return sorted(lines, key=_order)


def render(lines: Sequence[Line]) -> str:
    """The page as HTML; every text in it is escaped, and it loads nothing."""
    script = (PAGE / "leaderboard.js").read_text(encoding="utf-8")
    rows = [line.row for line in lines]
    options = {
        "law": [(law, words.title(law)) for law in _ranked({row.law for row in rows}, words.LAWS)],
        "split": [(s, words.SPLITS.get(s, s)) for s in _ranked({row.split for row in rows}, words.SPLITS)],
        "metric": [(m, words.title(m)) for m in _ranked({row.metric for row in rows}, words.METRICS)],
        "kind": [(k, f"{text} only") for k, text in KINDS.items() if any(line.kind == k for line in lines)],
    }
    runs = {line.run.path: line.run for line in lines}
    return (
        environment()
        .get_template("leaderboard.html")
        .render(
            lines=lines,
            runs=list(runs.values()),
            options=options,
            words=words,
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """What tells the files apart: their folders, from the end, as far back as it takes."""
    parts = [path.resolve().parent.parts for path in paths]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names) and (depth > 1 or len(names) == 1):
            return names
    return [str(path) for path in paths]


def _run(name: str, path: Path, provenance: dict[str, Any]) -> Run:
    command = str(provenance.get("command") or "")
    if command and Path(shlex.split(command)[0]).suffix == ".py":
        command = f"python {command}"
    commit = str(provenance.get("commit") or "")
    started = str(provenance.get("started") or "")
    return Run(name, path, command, commit, bool(provenance.get("dirty")), started[:16].replace("T", " "))


def _line(run: Run, row: Row, axis: Sequence[float]) -> Line:
    kind = "world"
    if row.world in CEILINGS:
        kind = "ceiling"
    elif row.world in BASELINES:
        kind = "baseline"
    elif row.world in CONTROLS:
        kind = "control"
    bar = None
    if math.isfinite(row.value):
        low, high = min(axis), max(axis)
        ends = [x if math.isfinite(x) else row.value for x in (row.low, row.high)]
        bar = tuple(100 * (x - low) / ((high - low) or 1.0) for x in (row.value, *ends))
    number = words.number(row.value, row.low, row.high) if math.isfinite(row.value) else "–"
    interval = words.interval(row.value, row.low, row.high) if math.isfinite(row.value) else ""
    return Line(row, run, kind, number, interval, bar)  # type: ignore[arg-type]


def _same(row: Row) -> tuple[str, ...]:
    """What rows must share to stand on one axis."""
    return row.law, row.task, row.metric, row.unit


def _order(line: Line) -> tuple[Any, ...]:
    row = line.row
    value = row.value if math.isfinite(row.value) else math.inf
    if row.higher_is_better and math.isfinite(value):
        value = -value
    law = (words.rank(words.LAWS, row.law), row.law, not row.headline)
    metric = (words.rank(words.METRICS, row.metric), row.metric)
    group = (*law, *metric, row.task, row.split, row.readout or "")
    return (*group, value)


def _ranked(names: set[str], known: dict[str, str]) -> list[str]:
    return sorted(names, key=lambda name: (words.rank(known, name), name))
