"""The page of a calibration: a curve for each injected error and metric, and what needs no training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidworld.analysis import labels as words
from vidworld.analysis.cues import CueTable, cue_table
from vidworld.analysis.records import BaselineRow, Calibration, CalibrationRow, Curve, Series
from vidworld.report import charts as plots
from vidworld.report.page import save_page
from vidworld.report.tables import limits_table


def write_page(path: Path, calibration: Calibration) -> Path:
    """The page's path, after writing it."""
    rows = calibration.results
    curves = dict.fromkeys((row.fault, row.metric) for row in rows)
    drawn = [_curve([row for row in rows if (row.fault, row.metric) == curve]) for curve in curves]
    tables = {
        "Detection limits": limits_table(rows),
        "Models that need no training, by tracker": _baselines(calibration.baselines),
        "What cues tell of each law without physics": _cues(cue_table()),
    }
    return save_page(path, "calibration.html", charts_drawn=plots.line_charts(drawn, plots.Legend()), tables=tables)


def _curve(rows: Sequence[CalibrationRow]) -> Curve:
    """One metric under one injected error: a line for each readout."""
    first, lines, limits = rows[0], [], []
    for readout in dict.fromkeys(row.readout for row in rows):
        mine = [row for row in rows if row.readout == readout]
        x, y, low, high = ([getattr(row, name) for row in mine] for name in ("size", "value", "low", "high"))
        label = words.READOUT_LABELS[readout]
        lines.append(Series(label, x, y, low, high))
        limits += [f"{words.detection_limit_text(r.detection_limit, r.fault_unit)} by {label}" for r in mine[:1]]
    name, x_label = f"{words.title(first.metric)} under {first.fault}", f"{first.fault}, {first.fault_unit}"
    return Curve(name, x_label, first.unit, lines, f"Detection limit: {', '.join(limits)}.")


def _baselines(rows: Sequence[BaselineRow]) -> dict[str, Any]:
    models = list(dict.fromkeys(row.model for row in rows))
    found = {(row.task, row.metric, row.model): row for row in rows}
    cells = []
    for task, metric in dict.fromkeys((row.task, row.metric) for row in rows if row.n):
        mine = [found[task, metric, model] for model in models]
        numbers = [f"{r.value:.3g} ({r.low:.3g} to {r.high:.3g})" for r in mine]
        cells.append((words.title(metric), task, mine[0].unit, *numbers, str(mine[0].n)))
    heads = ("Metric", "Task", "Unit", *(words.model_label(model, {}) for model in models), "n")
    return {"heads": heads, "rows": cells}


def _cues(table: CueTable) -> dict[str, Any]:
    """The accuracy of every cue on every law: of its layouts' and that of all, the one that is farthest from chance."""
    cues = dict.fromkeys(each.cue for law in table.laws.values() for each in law.accuracies)
    cells = []
    for cue in cues:
        found = [[each for each in law.accuracies if each.cue == cue] for law in table.laws.values()]
        farthest = [max(mine, key=lambda each: abs(each.value - 0.5), default=None) for mine in found]
        cells.append((cue, *("–" if each is None else f"{each.value:.2f}" for each in farthest)))
    return {"heads": ("Cue", *map(words.title, table.laws)), "rows": cells}
