"""Work units: how clips are divided, and which values are measured again."""

import json
from types import SimpleNamespace

import pytest
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st

from vidworld.analysis.records import Value
from vidworld.core.errors import UserError
from vidworld.evaluation import TASKS
from vidworld.evaluation.task import Setup, Unit, applied, measure, pieces, units_of_tasks
from vidworld.metrics import Metric


@given(st.integers(0, 300), st.integers(1, 40))
def test_pieces_are_about_equal_and_hold_each_number_once(count, most):
    found = pieces(count, most)
    assert [number for piece in found for number in piece] == list(range(count))
    assert all(len(piece) <= most for piece in found)
    assert len({len(piece) for piece in found[:-1]}) <= 1


@pytest.fixture
def calls():
    return []


@pytest.fixture
def unit(tmp_path, calls):
    """A unit of two metrics whose values tell how often it was measured."""

    def made(made_from="a", **versions):
        def measured():
            calls.append(made_from)
            for metric in ("speed", "place"):
                yield Value("m", None, "t", "l", "id", metric, "px", "clip", float(len(calls)), 0)

        return Unit(tmp_path, "batch", "m", made_from, {"speed": 1, "place": 1} | versions, measured)

    return made


def values(unit):
    return {value.metric: value.value for value in measure([unit], Accelerator(cpu=True), "test").values}


def test_what_was_measured_from_the_same_is_not_measured_again(unit, calls):
    assert values(unit()) == values(unit()) == {"speed": 1.0, "place": 1.0}
    assert calls == ["a"]


def test_another_model_or_data_makes_all_values_stale(unit, calls):
    values(unit())
    assert values(unit("b")) == {"speed": 2.0, "place": 2.0}
    assert calls == ["a", "b"]


def test_a_mended_metric_makes_its_values_stale_and_no_others(unit):
    values(unit())
    assert values(unit(place=2)) == {"speed": 1.0, "place": 2.0}
    assert values(unit(place=2)) == {"speed": 1.0, "place": 2.0}


def test_a_metric_that_is_added_is_measured_alone_and_one_that_is_dropped_is_not_reported(unit):
    values(unit())
    fewer = unit()
    fewer.metrics.pop("speed")
    assert values(fewer) == {"place": 1.0}


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record.pop("values"),
        lambda record: record.pop("metrics"),
        lambda record: record.update(metrics=["speed"]),
        lambda record: record["values"].pop(),
        lambda record: record["values"][0].pop(),
        lambda record: record["values"][0].append(1),
        lambda record: record["values"][0].__setitem__(-2, "fast"),
        lambda record: record.update(values=None),
    ],
)
def test_a_damaged_file_is_measured_again(unit, calls, damage):
    first = unit()
    values(first)
    record = json.loads(first.path.read_text())
    damage(record)
    first.path.write_text(json.dumps(record))
    assert values(first) == {"speed": 2.0, "place": 2.0} and calls == ["a", "a"]


@pytest.mark.parametrize("content", ["", "no JSON", "[]", json.dumps({"made_from": "a"})[:-3]])
def test_a_file_that_is_cut_off_is_measured_again(unit, content):
    first = unit()
    first.path.write_text(content)
    assert values(first) == {"speed": 1.0, "place": 1.0}


def test_numbers_come_back_to_the_last_bit(tmp_path):
    number = 0.1 + 0.2
    unit = Unit(tmp_path, "b", "m", "a", {"x": 1}, lambda: [Value("m", None, "t", "l", "id", "x", "", "c", number, 0)])
    assert [value.value for value in measure([unit], Accelerator(cpu=True), "test").values] == [number]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda given: 1 / 0, "failed with ZeroDivisionError: division by zero"),
        (lambda given: 3.0, r"gave numbers of shape \(\), where \(2,\) is wanted"),
        (lambda given: ["fast", "slow"], "failed with ValueError: could not convert string to float: 'fast'"),
        (lambda given: None, r"gave numbers of shape \(\)"),
    ],
)
def test_somebody_elses_metric_that_fails_is_one_line(function, said):
    metric = Metric("theirs", "motion", "px", False, function)
    with pytest.raises(UserError, match=rf"^metric theirs: {said}"):
        applied(metric, 2, None)


@pytest.mark.parametrize(
    ("units", "said"),
    [(lambda setup: None, "failed with TypeError"), (lambda setup: [5], "gave a int"), (lambda setup: 1 / 0, "failed")],
)
def test_somebody_elses_task_that_fails_is_one_line(units, said, monkeypatch):
    monkeypatch.setitem(TASKS._loaded, "theirs", SimpleNamespace(units=units))
    with pytest.raises(UserError, match=f"^task theirs: {said}"):
        list(units_of_tasks(["theirs"], object.__new__(Setup)))
