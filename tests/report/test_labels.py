"""Numbers for a reader: enough digits for their interval, and no more."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidworld.analysis import labels as words
from vidworld.analysis.records import Model


@pytest.mark.parametrize(
    ("value", "low", "high", "text", "bounds"),
    [
        (0.934, 0.9, 0.956, "0.93", "[0.90, 0.96]"),
        (1.0, 1.0, 1.0, "1.00", "[1.00, 1.00]"),
        (0.01, 0.009, 0.011, "0.010", "[0.009, 0.011]"),
        (0.016, 0.011, 0.021, "0.016", "[0.011, 0.021]"),
        (0.99, 0.981, 1.0, "0.99", "[0.98, 1.00]"),
        (-0.17, -0.24, -0.1, "−0.17", "[−0.24, −0.10]"),
        (12.34, 10.1, 14.5, "12.3", "[10.1, 14.5]"),
        (812.0, 700.0, 900.0, "812", "[700, 900]"),
        (0.0124, None, None, "0.012", ""),
        (0.0, None, None, "0.00", ""),
        (None, None, None, "–", ""),
        (math.nan, math.nan, math.nan, "–", ""),
        (0.5, math.nan, 0.7, "0.50", ""),
        (1.31e15, None, None, "1.31 × 10¹⁵", ""),
        (-2.5e-7, None, None, "−2.50 × 10⁻⁷", ""),
        (1.0, -1e308, 1e308, "1.00", "[−1.00 × 10³⁰⁸, 1.00 × 10³⁰⁸]"),
        (2e7, 1e7, 3e7, "2.00 × 10⁷", "[1.00 × 10⁷, 3.00 × 10⁷]"),
        (1e-9, 0.0, 2e-9, "1.00 × 10⁻⁹", "[0, 2.00 × 10⁻⁹]"),
    ],
)
def test_digits_fit_the_interval(
    value: float | None, low: float | None, high: float | None, text: str, bounds: str
) -> None:
    assert words.number(value, low, high) == text
    assert words.interval_text(value, low, high) == bounds


@given(st.floats(0.001, 9e4), st.floats(0.001, 1.0))
def test_a_rounded_number_stays_in_its_interval(value: float, relative: float) -> None:
    half = value * relative
    shown = float(words.number(value, value - half, value + half))
    assert abs(shown - value) <= max(half, 0.005)


@given(st.floats(-1e300, 1e300))
def test_any_number_has_a_short_text(value: float) -> None:
    assert len(words.number(value)) <= 14


def test_names_become_headings() -> None:
    assert words.title("contact_time_error") == "Contact time error"
    assert words.title("physics_iq_mse") == "Physics IQ MSE"


def test_labels_come_from_the_models_and_references() -> None:
    models = {"mine": Model("My model", "python", "python:my.Model")}
    labels = [words.model_label(n, models) for n in ("mine", "untrained_mine", "blind", "some_other")]
    assert labels == ["My model", "Untrained My model", "Blind (0.50 by construction)", "Some other"]
    kinds = [words.kind_of(n) for n in ("mine", "untrained_mine", "copy_last", "constant_velocity", "truth")]
    assert kinds == ["model", "control", "control", "baseline", "ceiling"]
    assert sorted(["blind", "mine", "x", "truth"], key=lambda n: words.model_rank(n, models)) == [
        *("mine", "truth", "blind", "x")
    ]


def test_settings_read_well() -> None:
    assert words.setting([0, 1, 2]) == "0, 1, 2"
    assert words.setting({"torch": "2.13", "av": None}) == "torch 2.13, av –"
    assert words.setting(True) == "yes"
    assert words.setting(2000.0) == "2\u202f000"
    assert words.setting(3e-4) == "0.0003"


def test_times_and_chances() -> None:
    assert [words.duration(s) for s in (42.0, 600.0, 9000.0)] == ["42 s", "10 min", "2.5 h"]
    assert [words.p_text(p) for p in (1e-9, 0.031, None)] == ["p < 0.001", "p = 0.031", ""]
