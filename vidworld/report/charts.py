"""Geometry, labels and colours of the report's pictures: numbers to percentages and paths; the template draws.

Across, everything is in percent of the plot's width, so that a picture is as wide as its place while its
text keeps its size; colours are classes, so that a picture follows the page into the dark.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vidworld.analysis.labels import Models, estimate, model_label, model_rank, number, rank
from vidworld.analysis.records import Curve, Labels, Quadruplet, Series, SurprisePair

MAX_POINTS = 240
"""Points of a training curve: more than a screen shows."""
LARGEST, SMALLEST = 1e100, 1e-100
"""A number that is larger is not drawn, nor is a smaller one on a logarithmic axis: nothing that is measured is."""
DASHES = 4
HUES = 8
"""Colours of models; style.css has as many, `hue0` and so on."""
REFERENCE_COLOURS = ("truth", "reconstruction", "copy_last", "constant_velocity")
"""References that have a colour of their own; everything else is a control and grey."""


@dataclass(frozen=True)
class Legend:
    """What the names in a results.json are called and which colour they have, the same in every picture."""

    models: Models = field(default_factory=dict)
    labels: Labels = field(default_factory=Labels)

    def label(self, name: str) -> str:
        return model_label(name, self.models)

    def rank(self, name: str) -> int:
        return model_rank(name, self.models)

    def color(self, name: str) -> str:
        """The class of its colour."""
        if name in self.models:
            return f"hue{list(self.models).index(name) % HUES}"
        return name if name in REFERENCE_COLOURS else "control"

    def hue(self, number: int) -> str:
        """The colour of a line that belongs to no model: those after the models'."""
        return f"hue{(len(self.models) + number) % HUES}"

    def law(self, name: str) -> str:
        """What a law says; empty where the results do not tell."""
        return self.labels.laws.get(name, "")

    def law_rank(self, name: str) -> int:
        return rank(self.labels.laws, name)


class Tick(NamedTuple):
    at: float  # percent from the axis's start
    label: str


class Axis(NamedTuple):
    """A scale and its ticks; `percent` puts a value on it."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    log: bool = False

    def percent(self, value: float) -> float:
        """Where the value lies, in percent of the axis; beyond an end it stays at that end."""
        low, high, x = self.low, self.high, value
        if self.log:
            low, high, x = math.log10(low), math.log10(high), math.log10(max(x, low))
        return round(100 * min(1.0, max(0.0, (x - low) / (high - low))), 2) if high > low else 0.0


def as_number(value: Any) -> float | None:
    """A number of a log as one that can be drawn; None for anything else."""
    return float(value) if isinstance(value, int | float) and abs(value) <= LARGEST else None


def _drawn(value: float, log: bool) -> bool:
    """Whether an axis of this kind has a place for the value."""
    return abs(value) <= LARGEST and (not log or value >= SMALLEST)


def linear_axis(values: Sequence[float], zero: bool = False, tight: bool = False) -> Axis:
    """A linear axis over these values with about four round ticks; with `zero` it includes 0.

    It ends on ticks, or where the values do if `tight`; then whole values (chunks, frames, steps) have whole ticks.
    What cannot be drawn counts for nothing.
    """
    values = [value for value in values if _drawn(value, log=False)] or [0.0]
    low, high = min(values), max(values)
    low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
    size = max(abs(low), abs(high))
    if high - low <= 1e-9 * size or size < 1e-300:
        low, high, tight = (low - size / 2, low + size / 2, False) if size >= 1e-300 else (0.0, 1.0, False)
    whole = tight and all(value == round(value) for value in values)
    step = _round_step((high - low) / 4, (1.0, 2.0, 5.0, 10.0) if whole else (1.0, 2.0, 2.5, 5.0, 10.0))
    step = max(step, 1.0) if whole else step
    if tight:
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    else:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        low, high = first * step, last * step
    axis = Axis(low, high, ())
    ticks = tuple(Tick(axis.percent(i * step), _tick_label(i * step, step)) for i in range(first, last + 1))
    return Axis(low, high, ticks)


def share_axis() -> Axis:
    """The axis of shares and accuracies: 0 to 1, the same in every picture."""
    return Axis(0.0, 1.0, tuple(Tick(100 * x, f"{x:g}") for x in (0.0, 0.25, 0.5, 0.75, 1.0)))


def log_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis over the positive ones of these values, with ticks at 1, 2 and 5, or at powers of ten only."""
    values = [value for value in values if _drawn(value, log=True)] or [1.0]
    low, high = math.log10(min(values)), math.log10(max(values))
    low, high = (low - 0.1, high + 0.1) if high - low < 0.2 else (low - 0.02, high + 0.02)
    axis = Axis(10**low, 10**high, (), log=True)
    mantissas = (1, 2, 5) if high - low < 2.2 else (1,)
    marks = [m * 10.0**e for e in range(math.floor(low), math.ceil(high) + 1) for m in mantissas]
    ticks = tuple(Tick(axis.percent(x), f"{x:g}") for x in marks if axis.low <= x <= axis.high)
    return Axis(axis.low, axis.high, ticks, log=True)


class Line(NamedTuple):
    """One line of a chart: `path` and `band` are SVG path data in a box of 100 x 100."""

    label: str
    color: str
    dash: int
    path: str
    band: str


class Chart(NamedTuple):
    curve: Curve
    x_axis: Axis
    y_axis: Axis
    lines: tuple[Line, ...]
    chance: float | None  # percent from the top
    table: tuple[tuple[str, tuple[str, ...]], ...]
    shaded: tuple[tuple[float, float], ...]  # left and width, percent


def line_chart(curve: Curve, legend: Legend | None = None, *, log_x: bool = False, log_y: bool = False) -> Chart | None:
    """The curve as lines with bands, without what cannot be drawn; None where nothing is left.

    A quantity called accuracy or AUROC has its chance line at one half.
    """
    legend = legend or Legend()
    x_values = [x for series in curve.series for x, _ in _points(series, series.y, log_x)]
    y_values = [y for s in curve.series for part in (s.y, s.low, s.high) for _, y in _points(s, part, log_x)]
    if not x_values:
        return None
    share = any(word in curve.y_label.lower() for word in ("accuracy", "auroc"))
    log_y = log_y and min(y_values) >= SMALLEST and max(y_values) / min(y_values) > 10
    y_axis = log_axis(y_values) if log_y else linear_axis([*y_values, 0.5, 1.0] if share else y_values)
    x_axis = log_axis(x_values) if log_x else linear_axis(x_values, tight=True)
    used: Counter[str] = Counter()
    lines = []
    for i, series in enumerate(curve.series):
        color = legend.hue(i) if series.model is None else legend.color(series.model)
        lines.append(_line(series, color, used[color] % DASHES, x_axis, y_axis))
        used[color] += 1
    return Chart(
        curve=curve, x_axis=x_axis, y_axis=y_axis, lines=tuple(line for line in lines if line.path),
        chance=100 - y_axis.percent(0.5) if share else None,
        table=tuple((f"{x:g}", tuple(_cell(series, x) for series in curve.series)) for x in sorted(set(x_values))),
        shaded=tuple((x_axis.percent(a), x_axis.percent(b) - x_axis.percent(a)) for a, b in curve.shaded),
    )  # fmt: skip


def line_charts(curves: Iterable[Curve], legend: Legend, **logs: bool) -> list[Chart]:
    """The curves that have a finite value, drawn as `line_chart` does."""
    return [chart for curve in curves if (chart := line_chart(curve, legend, **logs))]


class Segment(NamedTuple):
    """Surprise at one chunk."""

    left: float
    width: float
    possible: float  # percent from the top, as is impossible
    impossible: float
    possible_text: str
    impossible_text: str


class SurprisePanel(NamedTuple):
    """One model's surprise over a quadruplet's chunks, aligned with the frames above it; SVG path data."""

    label: str
    color: str
    possible: str
    impossible: str
    between: str
    segments: tuple[Segment, ...]


def surprise_panel(quadruplet: Quadruplet, pair: SurprisePair, label: str, color: str) -> SurprisePanel | None:
    """Steps over the horizon's chunks from 0 to the largest surprise; None without any complete chunk."""
    width = 100 / max(1, quadruplet.chunk_start + len(pair.possible))
    both = enumerate(zip(pair.possible, pair.impossible, strict=False), quadruplet.chunk_start)
    values = [(i, a, b) for i, (a, b) in both if _drawn(a, log=False) and _drawn(b, log=False)]
    if not values:
        return None
    axis = Axis(min(0.0, *(min(a, b) for _, a, b in values)), max(max(a, b) for _, a, b in values) or 1.0, ())
    segments = tuple(
        Segment(i * width, width, 100 - axis.percent(a), 100 - axis.percent(b), number(a), number(b))
        for i, a, b in values
    )
    possible = [point for s in segments for point in ((s.left, s.possible), (s.left + s.width, s.possible))]
    impossible = [(x, y) for s in segments for x, y in ((s.left, s.impossible), (s.left + s.width, s.impossible))]
    between = f"{_path([*possible, *impossible[::-1]])} Z"
    return SurprisePanel(label, color, _path(possible), _path(impossible), between, segments)


def thin(points: list[tuple[float, float]], most: int = MAX_POINTS) -> list[tuple[float, float]]:
    """The points, averaged in equal runs where there are more than `most`."""
    run = math.ceil(len(points) / most)
    groups = [points[i : i + run] for i in range(0, len(points), max(run, 1))]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _points(series: Series, values: Sequence[float] | None, log_x: bool) -> list[tuple[float, float]]:
    both = zip(series.x, values or [], strict=False)
    return [(x, y) for x, y in both if _drawn(x, log_x) and _drawn(y, log=False)]


def _line(series: Series, color: str, dash: int, x_axis: Axis, y_axis: Axis) -> Line:
    path, low, high = (
        [(x_axis.percent(x), 100 - y_axis.percent(y)) for x, y in _points(series, values, x_axis.log)]
        for values in (series.y, series.low, series.high)
    )
    band = f"{_path([*low, *high[::-1]])} Z" if low and high else ""
    return Line(series.label, color, dash, _path(path), band)


def _cell(series: Series, x: float) -> str:
    if x not in series.x:
        return ""
    i = series.x.index(x)
    parts = [part[i] if part and i < len(part) else None for part in (series.y, series.low, series.high)]
    return estimate(*(part if part is None or _drawn(part, log=False) else None for part in parts))


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.2f},{y:.2f}" for x, y in points) if points else ""


def _round_step(step: float, mantissas: Sequence[float]) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in mantissas if m * power >= step * (1 - 1e-9))


def _tick_label(value: float, step: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if f"{step:.1e}".startswith("2.5") else 0)
    return f"{value + 0.0:.{decimals}f}".replace("-", "−")
