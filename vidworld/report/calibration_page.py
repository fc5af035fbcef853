"""The page of a calibration: a curve for each fault and metric, and what needs no training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidworld.analysis import labels as words
from vidworld.analysis.records import FUTURE_ONLY, READOUTS, BaselineRow, CalibrationRow, ControlRow
from vidworld.core.records import write_text
from vidworld.report import charts as plots
from vidworld.report.files import Curve, Series
from vidworld.report.page import environment


def write_page(
    path: Path,
    rows: Sequence[CalibrationRow],
    baselines: Sequence[BaselineRow],
    controls: Sequence[ControlRow],
) -> Path:
    """The page's path, after writing it."""
    curves = dict.fromkeys((row.fault, row.metric) for row in rows)
    charts = [_chart([row for row in rows if (row.fault, row.metric) == curve]) for curve in curves]
    tables = (
        ("Detection limits", _limits(rows)),
        ("Worlds that need no training, by pixels", _baselines(baselines)),
        ("Scorers that know no physics", _controls(controls)),
    )
    template = environment().get_template("calibration.html")
    write_text(path, template.render(charts_drawn=[chart for chart in charts if chart], tables=dict(tables)))
    return path


def _chart(rows: Sequence[CalibrationRow]) -> plots.Chart | None:
    """One metric under one fault: a line for each read-out."""
    first, lines = rows[0], []
    for readout in READOUTS:
        mine = [row for row in rows if row.readout == readout]
        lines.append(
            Series(
                label=readout,
                x=[row.size for row in mine],
                y=[row.value for row in mine],
                low=[row.low for row in mine],
                high=[row.high for row in mine],
            )
        )
    limits = {row.readout: words.detection_limit(row.detection_limit, row.fault_unit) for row in rows}
    said = ", ".join(f"{limit} by {readout}" for readout, limit in limits.items())
    curve = Curve(
        name=f"{words.title(first.metric)} under {first.fault}",
        x_label=f"{first.fault}, {first.fault_unit}",
        y_label=first.unit,
        series=lines,
        note=f"Detection limit: {said}.",
    )
    return plots.line_chart(curve)


def _limits(rows: Sequence[CalibrationRow]) -> dict[str, Any]:
    """Floor, limit and whether the curve rises throughout."""
    found = {(row.fault, row.metric, row.readout): row for row in rows}
    cells = [
        (
            row.law,
            words.title(row.metric),
            f"{row.fault}, {row.task}",
            row.readout,
            f"{row.noise_floor:.3g} {row.unit}",
            words.detection_limit(row.detection_limit, row.fault_unit),
            f"{row.monotone:.2f}",
            str(row.n),
        )
        for row in found.values()
    ]
    heads = ("Law", "Metric", "Fault, task", "Read-out", "Noise floor", "Detection limit", "Spearman", "n")
    return {"heads": heads, "rows": cells}


def _baselines(rows: Sequence[BaselineRow]) -> dict[str, Any]:
    worlds = list(dict.fromkeys(row.world for row in rows))
    found = {(row.task, row.metric, row.world): row for row in rows}
    cells = []
    for task, metric in dict.fromkeys((row.task, row.metric) for row in rows if row.n):
        mine = [found[task, metric, world] for world in worlds]
        numbers = [f"{r.value:.3g} ({r.low:.3g} to {r.high:.3g})" for r in mine]
        cells.append((words.title(metric), task, mine[0].unit, *numbers, str(mine[0].n)))
    return {"heads": ("Metric", "Task", "Unit", *(words.world_label(w) for w in worlds), "n"), "rows": cells}


def _controls(rows: Sequence[ControlRow]) -> dict[str, Any]:
    """Accuracies over the mean and the maximum of the chunks."""
    scorers = list(dict.fromkeys(row.scorer for row in rows))
    found = {(r.law, r.form, r.scorer, r.aggregation): r.value for r in rows}
    cells = []
    for law, form in dict.fromkeys((r.law, r.form) for r in rows):
        both = [(found[law, form, s, "mean"], found[law, form, s, "max"]) for s in scorers]
        cells.append((law, words.title(form), *(f"{mean:.3f} / {most:.3f}" for mean, most in both)))
    heads = [words.title(s) + (" (future only)" if s in FUTURE_ONLY else "") for s in scorers]
    return {"heads": ("Law", "Form", *heads), "rows": cells}
