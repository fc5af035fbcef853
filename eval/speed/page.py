"""The page of a bench: rates beside peers and limits, and how time and memory grow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speed.bench import Growth, Row
from vidworld.analysis.records import Curve, Series
from vidworld.core.records import write_text
from vidworld.report import charts as plots
from vidworld.report.page import environment

PAGE = Path(__file__).with_name("bench.html")


def write_page(path: Path, rows: Sequence[Row], growth: Sequence[Growth], machine: str) -> Path:
    """The page's path, after writing it."""
    template = environment().from_string(PAGE.read_text(encoding="utf-8"))
    rates, memory = (_table([row for row in rows if row.higher_is_better == higher]) for higher in (True, False))
    charts = plots.line_charts(map(_curve, growth), plots.Legend())
    text = template.render(machine=machine, rates=rates, memory=memory, bars=_bars(rows), charts_drawn=charts)
    write_text(path, text)
    return path


def _table(rows: Sequence[Row]) -> dict[str, Any]:
    cells = [
        (
            row.name, f"{_number(row.ours)} {row.unit}", row.peer_name or "", _number(row.peer),
            "" if row.ratio is None else f"{row.ratio:.2f}", _number(row.limit),
            "" if row.share_of_limit is None else f"{row.share_of_limit:.0%}",
        )
        for row in rows
    ]  # fmt: skip
    heads = ("What", "vidworld", "Peer", "Peer's", "Ratio", "Limit", "Share of it")
    return {"heads": heads, "rows": cells}


def _number(value: float | None) -> str:
    """Four digits that count, in full."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _bars(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Ratios as bars on a scale of logarithms from a quarter to the largest; 1 is where both are equal."""
    compared = [row for row in rows if row.higher_is_better and row.ratio]
    if not compared:
        return []
    axis = plots.log_axis([0.25, 1.0, *(row.ratio or 1.0 for row in compared)])
    even = axis.percent(1.0)
    bars = []
    for row in compared:
        at = axis.percent(row.ratio or 1.0)
        place = {"left": min(at, even), "width": max(abs(at - even), 0.3), "even": even}
        bars.append(place | {"label": f"{row.name} / {row.peer_name}", "text": f"{row.ratio:.2f}"})
    return bars


def _curve(growth: Growth) -> Curve:
    """One curve, both axes named; the exponent is in the title."""
    title = f"{growth.what}, {growth.unit} by {growth.of}: power {growth.exponent:.2f}"
    series = Series(label=growth.what, x=[float(size) for size in growth.sizes], y=list(growth.values))
    return Curve(name=title, x_label=growth.of, y_label=growth.unit, series=[series])
