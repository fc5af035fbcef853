"""The way from floor to ceiling, and the clips that the oracle's context does not decide."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidworld.analysis.ceiling import by_decision, reached
from vidworld.analysis.records import Value
from vidworld.analysis.results import rows_from_clips

numbers = st.floats(-100, 100, allow_subnormal=False)


@pytest.mark.parametrize(
    ("value", "floor", "ceiling", "higher_is_better", "share"),
    [
        (2.5, 2.5, 0.5, False, 0.0),
        (0.5, 2.5, 0.5, False, 1.0),
        (1.0, 2.5, 0.5, False, 0.75),
        (3.5, 2.5, 0.5, False, -0.5),
        (0.9, 0.5, 1.0, True, 0.8),
        (1.1, 0.0, 1.0, None, 0.9),
        (0.9, 0.0, 1.0, None, 0.9),
        (0.3, 0.2, 0.2, False, math.nan),
        (0.3, None, 0.2, False, math.nan),
        (0.3, 0.2, math.nan, True, math.nan),
    ],
)
def test_the_way_by_hand(value, floor, ceiling, higher_is_better, share):
    assert reached(value, floor, ceiling, higher_is_better) == pytest.approx(share, nan_ok=True)


@given(numbers, numbers, numbers)
def test_a_metric_turned_round_has_come_as_far(value, floor, ceiling):
    one = reached(value, floor, ceiling, False)
    assert reached(-value, -floor, -ceiling, True) == pytest.approx(one, nan_ok=True)


def values(model, metric, numbers, task="bounce", readout="pixels", split="id"):
    named = [(f"{task}/{split}/0/{i}", number) for i, number in enumerate(numbers)]
    return [Value(model, readout, task, "prediction", split, metric, "units", name, x, 0) for name, x in named]


SPREADS = [0.0, 0.3, 0.0, 0.1]
MEASURED = [
    *values("oracle", "determinism_spread", SPREADS),
    *values("oracle", "determinism_spread", [0.0] * 4, readout="probe"),
    *values("mine", "energy_score", [1.0, 2.0, 3.0, 6.0]),
    *values("truth", "energy_score", [0.1, 0.1, 0.1, 0.1]),
    *values("oracle", "energy_score", [0.2, 0.4, 0.2, 0.4]),
    *values("mine", "energy_score", [9.0] * 4, split="ood"),
    *values("oracle", "determinism_spread", [0.0] * 4, task="uniform"),
    *values("mine", "energy_score", [1.0] * 4, task="uniform"),
]


def test_clips_are_split_by_what_the_oracle_leaves_open():
    again = by_decision(MEASURED)
    assert {value.split for value in again} == {"decided", "undecided"}
    mine = [(v.split, v.identity[-1]) for v in again if (v.model, v.metric) == ("mine", "energy_score")]
    assert mine == [("decided", "0"), ("undecided", "1"), ("decided", "2"), ("undecided", "3")]
    assert {value.task for value in again} == {"bounce"}  # of `uniform` every clip is decided: nothing to tell apart
    assert by_decision([value for value in MEASURED if value.metric != "determinism_spread"]) == []


def test_they_have_rows_of_their_own_and_the_oracle_is_the_ceiling():
    rows = {(r.model, r.task, r.split, r.metric): r for r in rows_from_clips(MEASURED) if r.readout == "pixels"}
    found = {split: rows["mine", "bounce", split, "energy_score"] for split in ("id", "decided", "undecided")}
    assert {split: (row.value, row.ceiling, row.n) for split, row in found.items()} == {
        "id": (3.0, pytest.approx(0.3), 4),
        "decided": (2.0, pytest.approx(0.2), 2),
        "undecided": (4.0, pytest.approx(0.4), 2),
    }
    assert {split: row.headline for split, row in found.items()} == {"id": True, "decided": False, "undecided": False}
    alone = rows_from_clips(values("mine", "energy_score", [1.0]) + values("truth", "energy_score", [0.1]))
    assert {row.ceiling for row in alone} == {0.1}  # the truth, where no oracle was measured
