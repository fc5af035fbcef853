"""Geometry of the report's pictures: numbers to percentages and paths; the template draws.

Across, everything is in percent of the plot's width, so that a picture is as wide as its place while its
text keeps its size; colours are classes, so that a picture follows the page into the dark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vidworld.analysis.labels import interval, number, world_label
from vidworld.report.files import Curve, Quad, Series, SurprisePair

PALETTE = ("diffusion", "jepa", "truth", "reconstruction", "copy_last", "constant_velocity")
"""Worlds that have a colour of their own; every other world is a control and grey."""
MOST_POINTS = 240
"""Points of a training curve: more than a screen shows."""
LABEL_GAP = 9.0
"""Least distance between the labels of two lines, in percent of the plot's height."""


def color_of(world: str) -> str:
    """The class of the world's colour, the same in every picture of the page."""
    return world if world in PALETTE else "control"


@dataclass(frozen=True)
class Tick:
    at: float  # percent from the axis's start
    label: str


@dataclass(frozen=True)
class Axis:
    """A scale and its ticks; `percent` puts a value on it."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    log: bool = False

    def percent(self, value: float) -> float:
        """Where the value lies, in percent of the axis; beyond an end it stays at that end."""
        low, high, x = (
            (math.log10(self.low), math.log10(self.high), math.log10(max(value, self.low)))
            if self.log
            else (self.low, self.high, value)
        )
        return round(100 * min(1.0, max(0.0, (x - low) / (high - low))), 2)


def linear_axis(values: Sequence[float], num_ticks: int = 4, zero: bool = False) -> Axis:
    """A linear axis over these values that ends on round numbers; with `zero` it includes 0."""
    low, high = min(values), max(values)
    low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
    size = max(abs(low), abs(high))
    if size < 1e-300:
        low, high = 0.0, 1.0
    elif high - low <= 1e-9 * size:
        low, high = low - size / 2, low + size / 2
    step = _round_step((high - low) / num_ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    low, high = first * step, last * step
    ticks = tuple(
        Tick(round(100 * (i - first) / (last - first), 2), _tick_label(i * step, step))
        for i in range(first, last + 1)
    )
    return Axis(low, high, ticks)


def share_axis() -> Axis:
    """The axis of shares and accuracies: 0 to 1, the same in every picture."""
    return Axis(0.0, 1.0, tuple(Tick(100 * x, f"{x:g}") for x in (0.0, 0.25, 0.5, 0.75, 1.0)))


def log_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis over these positive values, with ticks at 1, 2 and 5, or at powers of ten only."""
    low, high = math.log10(min(values)), math.log10(max(values))
    low, high = (low - 0.1, high + 0.1) if high - low < 0.2 else (low - 0.02, high + 0.02)
    mantissas = (1, 2, 5) if high - low < 2.2 else (1,)
    exponents = range(math.floor(low), math.ceil(high) + 1)
    marks = [m * 10.0**e for e in exponents for m in mantissas if low <= math.log10(m * 10.0**e) <= high]
    ticks = tuple(Tick(round(100 * (math.log10(x) - low) / (high - low), 2), f"{x:g}") for x in marks)
    return Axis(10**low, 10**high, ticks, log=True)


@dataclass(frozen=True)
class Line:
    """One line of a chart: `path` and `band` are SVG path data in a box of 100 x 100."""

    label: str
    color: str
    dash: int
    path: str
    band: str
    end: tuple[float, float]
    label_top: float


@dataclass(frozen=True)
class Chart:
    title: str
    x_label: str
    y_label: str
    x_axis: Axis
    y_axis: Axis
    lines: tuple[Line, ...]
    chance: float | None = None  # percent from the top
    note: str | None = None
    columns: tuple[str, ...] = ()
    table: tuple[tuple[str, tuple[str, ...]], ...] = ()
    shaded: tuple[tuple[float, float], ...] = ()  # left and width, percent


def line_chart(curve: Curve, *, log_y: bool = False) -> Chart | None:
    """The curve as lines with bands, labelled at their ends; None where it has no finite value.

    A quantity called accuracy or AUROC has its chance line at one half.
    """
    x_values = [
        x for series in curve.series for x, y in zip(series.x, series.y, strict=False) if y is not None
    ]
    y_values = [
        y for s in curve.series for part in (s.y, s.low or [], s.high or []) for y in part if y is not None
    ]
    if not x_values:
        return None
    share = any(word in curve.y_label.lower() for word in ("accuracy", "auroc"))
    log_y = log_y and min(y_values) > 0 and max(y_values) / min(y_values) > 10
    y_axis = log_axis(y_values) if log_y else linear_axis([*y_values, 0.5, 1.0] if share else y_values)
    x_axis = _tight_axis(x_values)
    colors: dict[str, int] = {}
    lines = []
    for i, series in enumerate(curve.series):
        color = series_color(series, i)
        lines.append(_line(series, color, colors.get(color, 0), x_axis, y_axis))
        colors[color] = colors.get(color, 0) + 1
    return Chart(
        curve.name,
        curve.x_label,
        curve.y_label,
        x_axis,
        y_axis,
        _spread_labels([line for line in lines if line.path]),
        100 - y_axis.percent(0.5) if share else None,
        curve.note,
        tuple(series.label for series in curve.series),
        tuple((f"{x:g}", tuple(_cell(series, x) for series in curve.series)) for x in sorted(set(x_values))),
        tuple((x_axis.percent(a), x_axis.percent(b) - x_axis.percent(a)) for a, b in curve.shaded),
    )


def series_color(series: Series, number: int) -> str:
    """The class of a line's colour: that of the world it names, else one of six others in turn."""
    label = series.label.lower()
    world = series.world or next((name for name in ("diffusion", "jepa") if name in label), None)
    return f"other{number % 6}" if world is None or "untrained" in label else color_of(world)


@dataclass(frozen=True)
class Segment:
    """Surprise at one chunk."""

    left: float
    width: float
    possible: float  # percent from the top, as is impossible
    impossible: float
    possible_text: str
    impossible_text: str


@dataclass(frozen=True)
class SurprisePanel:
    """One world's surprise over the chunks of a quad, aligned with the film strip above it; SVG path data."""

    label: str
    color: str
    possible: str
    impossible: str
    between: str
    segments: tuple[Segment, ...]


def surprise_panel(quad: Quad, world: str, pair: SurprisePair) -> SurprisePanel | None:
    """Steps over the horizon's chunks from 0 to the largest surprise; None without any complete chunk."""
    chunks = quad.chunk_start + len(pair.possible)
    width = 100 / chunks
    values = [
        (quad.chunk_start + i, a, b)
        for i, (a, b) in enumerate(zip(pair.possible, pair.impossible, strict=False))
        if a is not None and b is not None
    ]
    if not values:
        return None
    axis = Axis(min(0.0, *(min(a, b) for _, a, b in values)), max(max(a, b) for _, a, b in values) or 1.0, ())
    segments = tuple(
        Segment(i * width, width, 100 - axis.percent(a), 100 - axis.percent(b), number(a), number(b))
        for i, a, b in values
    )
    possible = _steps([(s.left, s.possible, s.width) for s in segments])
    impossible = _steps([(s.left, s.impossible, s.width) for s in segments])
    back = " L".join(impossible[1:].split(" L")[::-1])
    return SurprisePanel(
        world_label(world), color_of(world), possible, impossible, f"{possible} L{back} Z", segments
    )


def thin(points: list[tuple[float, float]], most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """The points, averaged in equal runs where there are more than `most`."""
    run = math.ceil(len(points) / most)
    groups = [points[i : i + run] for i in range(0, len(points), max(run, 1))]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _steps(segments: Sequence[tuple[float, float, float]]) -> str:
    return "M" + " L".join(f"{left:.2f},{y:.2f} L{left + width:.2f},{y:.2f}" for left, y, width in segments)


def _line(series: Series, color: str, dash: int, x_axis: Axis, y_axis: Axis) -> Line:
    def place(values: Sequence[float | None] | None) -> list[tuple[float, float]]:
        pairs = zip(series.x, values or [], strict=False)
        return [(x_axis.percent(x), round(100 - y_axis.percent(y), 2)) for x, y in pairs if y is not None]

    points, low, high = place(series.y), place(series.low), place(series.high)
    band = f"{_path(low)} L{_path(high[::-1])[1:]} Z" if low and high else ""
    end = points[-1] if points else (0.0, 0.0)
    return Line(series.label, color, dash % 4, _path(points), band, end, end[1])


def _cell(series: Series, x: float) -> str:
    """The series' value and interval at x as text; empty where it has none."""
    if x not in series.x:
        return ""
    i = series.x.index(x)
    low, high = (series.low or [])[i : i + 1] or [None], (series.high or [])[i : i + 1] or [None]
    return f"{number(series.y[i], low[0], high[0])} {interval(series.y[i], low[0], high[0])}".strip()


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.2f},{y:.2f}" for x, y in points) if points else ""


def _spread_labels(lines: list[Line]) -> tuple[Line, ...]:
    """The lines, their labels pushed apart just far enough to be read and kept inside the plot."""
    order = sorted(range(len(lines)), key=lambda i: lines[i].end[1])
    tops = [lines[i].end[1] for i in order]
    for i in range(1, len(tops)):
        tops[i] = max(tops[i], tops[i - 1] + LABEL_GAP)
    limit = 100.0
    for i in range(len(tops) - 1, -1, -1):
        tops[i] = min(tops[i], limit)
        limit = tops[i] - LABEL_GAP
    placed = dict(zip(order, tops, strict=True))
    return tuple(Line(**{**vars(line), "label_top": round(placed[i], 2)}) for i, line in enumerate(lines))


def _tight_axis(values: Sequence[float]) -> Axis:
    """An axis that ends where the values do, with round ticks inside."""
    round_axis = linear_axis(values)
    if min(values) == max(values):
        return round_axis
    settings = sorted(set(values))
    if len(settings) <= 8 and all(
        value == round(value) for value in settings
    ):  # chunks, frames, steps: no halves
        axis = Axis(settings[0], settings[-1], ())
        return Axis(axis.low, axis.high, tuple(Tick(axis.percent(x), f"{x:g}") for x in settings))
    axis = Axis(min(values), max(values), ())
    slack = 1e-9 * (axis.high - axis.low)
    ticks = []
    for tick in round_axis.ticks:
        value = round_axis.low + tick.at / 100 * (round_axis.high - round_axis.low)
        if axis.low - slack <= value <= axis.high + slack:
            ticks.append(Tick(axis.percent(value), tick.label))
    return Axis(axis.low, axis.high, tuple(ticks))


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= step * (1 - 1e-9))


def _tick_label(value: float, step: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if f"{step:.1e}".startswith("2.5") else 0)
    return f"{value + 0.0:.{decimals}f}".replace("-", "−")
