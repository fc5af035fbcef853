"""Pictures: what is larger lies further, and chunks lie below their frames."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidworld.analysis.records import Curve, Model, Quadruplet, Series, SurprisePair
from vidworld.report import charts as plots
from vidworld.report.charts import Legend

LEGEND = Legend({name: Model(name, name, name) for name in ("jepa", "diffusion", "mine")})
numbers = st.floats(-1e6, 1e6)
places = st.lists(numbers, min_size=2, max_size=8)


def make_curve(**lines: list[float]) -> Curve:
    series = [
        Series(label, [float(i) for i in range(len(y))], y, model=label if label in LEGEND.models else None)
        for label, y in lines.items()
    ]
    return Curve(name="a curve", x_label="x", y_label="error", series=series)


@settings(max_examples=40)
@given(places, st.booleans())
def test_a_linear_axis_holds_and_orders_its_values(values: list[float], zero: bool) -> None:
    axis = plots.linear_axis(values, zero=zero)
    slack = 1e-9 * (axis.high - axis.low)
    assert axis.low - slack <= min(values)
    assert max(values) <= axis.high + slack
    assert not zero or axis.low <= 0 <= axis.high
    percents = [axis.percent(value) for value in sorted(values)]
    assert percents == sorted(percents)
    assert 3 <= len(axis.ticks) <= 9
    assert [tick.at for tick in axis.ticks] == sorted({tick.at for tick in axis.ticks})


@settings(max_examples=40)
@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8))
def test_a_logarithmic_axis_holds_and_orders_its_values(values: list[float]) -> None:
    axis = plots.log_axis(values)
    percents = [axis.percent(value) for value in sorted(values)]
    assert percents == sorted(percents)
    assert all(0 <= tick.at <= 100 for tick in axis.ticks)


def test_ticks_lie_where_they_say() -> None:
    axis = plots.linear_axis([0.0, 0.23])
    assert [(tick.at, tick.label) for tick in axis.ticks] == [
        (0.0, "0.0"),
        (33.33, "0.1"),
        (66.67, "0.2"),
        (100.0, "0.3"),
    ]
    assert [tick.label for tick in plots.share_axis().ticks] == ["0", "0.25", "0.5", "0.75", "1"]


def test_beyond_the_axis_is_its_end() -> None:
    assert plots.share_axis().percent(1.4) == 100
    assert plots.share_axis().percent(-3.0) == 0


@settings(max_examples=40)
@given(places)
def test_a_tight_axis_ends_where_its_values_do(values: list[float]) -> None:
    axis = plots.linear_axis(values, tight=True)
    size = max(map(abs, values))
    if max(values) - min(values) > 1e-6 * size and size >= 1e-300:  # what is smaller is nothing
        assert (axis.low, axis.high) == (min(values), max(values))
    assert all(0 <= tick.at <= 100 for tick in axis.ticks)


def test_whole_values_have_whole_ticks() -> None:
    ticks = plots.linear_axis([1.0, 2.0, 3.0], tight=True).ticks
    assert [(tick.at, tick.label) for tick in ticks] == [(0, "1"), (50, "2"), (100, "3")]


def test_a_model_keeps_its_colour_and_other_lines_get_those_after() -> None:
    curve = make_curve(diffusion=[2, 3], jepa=[1, 2], permanence=[3, 4], momentum=[4, 5])
    chart = plots.line_chart(curve, LEGEND)
    assert chart
    assert [line.color for line in chart.lines] == ["hue1", "hue0", "hue5", "hue6"]


def test_lines_of_one_colour_differ_in_dash() -> None:
    series = [Series(f"jepa, {split}", [0, 1], [1, 2], model="jepa") for split in ("id", "ood")]
    chart = plots.line_chart(Curve("a curve", "x", "error", series), LEGEND)
    assert chart
    assert [line.dash for line in chart.lines] == [0, 1]


def test_what_is_missing_is_skipped_and_nothing_is_no_chart() -> None:
    chart = plots.line_chart(make_curve(a=[1.0, math.nan, 3.0]))
    assert chart
    assert chart.lines[0].path.count(",") == 2
    assert chart.table[1:] == (("2", ("3.00",)),)
    assert plots.line_chart(make_curve(a=[math.nan])) is None
    assert plots.line_chart(make_curve()) is None


def test_an_accuracy_has_its_chance_line_and_a_band() -> None:
    series = Series(label="jepa", x=[1, 2, 3], y=[0.6, 0.7, 0.8], low=[0.5, 0.6, 0.7], high=[0.7, 0.8, 0.9])
    chart = plots.line_chart(Curve(name="a", x_label="chunks", y_label="surprise accuracy", series=[series]))
    assert chart
    assert chart.chance == 100 - chart.y_axis.percent(0.5)
    assert chart.lines[0].band.endswith("Z")
    assert chart.table[0] == ("1", ("0.60 [0.50, 0.70]",))
    assert [tick.label for tick in chart.x_axis.ticks] == ["1", "2", "3"]


def test_surprise_lies_below_its_chunks() -> None:
    shown = Quadruplet(law="a", identity="b", frames={}, frames_per_chunk=4, chunk_start=2)
    panel = plots.surprise_panel(shown, SurprisePair([0.2, 0.5], [0.2, 1.0]), "JEPA", "hue0")
    assert panel
    assert [(s.left, s.width) for s in panel.segments] == [(50.0, 25.0), (75.0, 25.0)]
    assert [s.impossible for s in panel.segments] == [80.0, 0.0]
    assert [s.possible for s in panel.segments] == [80.0, 50.0]
    assert panel.possible == "M50.00,80.00 L75.00,80.00 L75.00,50.00 L100.00,50.00"


def test_surprise_without_a_whole_chunk_has_no_panel() -> None:
    shown = Quadruplet(law="a", identity="b", frames={}, frames_per_chunk=4, chunk_start=2)
    assert plots.surprise_panel(shown, SurprisePair([math.nan], [1.0]), "JEPA", "hue0") is None


def test_thinning_keeps_the_mean_and_the_order() -> None:
    points = [(float(i), float(i % 2)) for i in range(1000)]
    thinned = plots.thin(points, most=100)
    assert len(thinned) == 100
    assert [y for _, y in thinned] == pytest.approx([0.5] * 100)
    assert thinned == sorted(thinned)
    assert plots.thin(points[:5], most=100) == points[:5]


EDGES = [math.nan, math.inf, -math.inf, 0.0, -1.0, 1e308, -1e308, 5e-324, 1.0]


@pytest.mark.parametrize("value", EDGES)
def test_an_axis_takes_any_number(value: float) -> None:
    for values in ([value], [value, 2.0], [-1e308, value, 1e308]):
        axes = [plots.log_axis(values), *(plots.linear_axis(values, zero, tight) for zero, tight in ZERO_TIGHT)]
        for axis in axes:
            assert math.isfinite(axis.low) and math.isfinite(axis.high) and axis.low < axis.high
            assert all(0 <= axis.percent(each) <= 100 for each in EDGES)


ZERO_TIGHT = [(False, False), (True, False), (False, True), (True, True)]


@pytest.mark.parametrize("log", [False, True])
def test_a_chart_leaves_out_what_cannot_be_drawn(log: bool) -> None:
    x = [2.0, 4.0, *EDGES]
    odd = Series("odd", x, [1.0, 20.0, *[3.0] * len(EDGES)], low=[0.5, -1e308], high=[1e308, 30.0, *EDGES])
    chart = plots.line_chart(Curve("a", "x", "y", [odd], shaded=[(math.nan, math.inf)]), log_x=log, log_y=log)
    assert chart
    drawn = {"2", "4", "1"} if log else {"2", "4", "1", "0", "-1", "4.94066e-324"}
    assert {x for x, _ in chart.table} == drawn
    assert chart.lines[0].path.count(",") == len(drawn) and "nan" not in str(chart.lines)
    odd = Series("odd", [float(i) for i in range(len(EDGES))], EDGES)
    values = plots.line_chart(Curve("a", "x", "y", [odd]))
    assert values and values.lines[0].path.count(",") == 4
    assert plots.line_chart(Curve("a", "x", "y", [Series("odd", [math.nan], [1.0])])) is None


def test_lines_of_unequal_length_have_empty_cells() -> None:
    series = [Series("long", [0, 1], [1, 2]), Series("short", [0, 1], [1], low=[0.5], high=[])]
    chart = plots.line_chart(Curve("a", "x", "y", series))
    assert chart and chart.table == (("0", ("1.00", "1.00")), ("1", ("2.00", "–")))


@pytest.mark.parametrize("value", EDGES)
def test_any_surprise_has_a_panel_or_none(value: float) -> None:
    shown = Quadruplet(law="a", identity="b", frames={}, frames_per_chunk=4, chunk_start=0)
    for pair in (SurprisePair([value], [value]), SurprisePair([value, -1e308], [1.0, 1e308]), SurprisePair([], [])):
        assert "nan" not in str(plots.surprise_panel(shown, pair, "JEPA", "hue0"))
