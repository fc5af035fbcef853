"""The study's numbers: over runs, skills and where they come, findings from five runs on, predictions, versions."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidworld.analysis.statistics import interval_over_runs, welch
from vidworld.analysis.study import (
    StudyResult,
    StudyRow,
    by_place,
    curve_of,
    findings,
    has_skill,
    outdated,
    over_runs,
    predictions,
    read_study,
    skills,
    write_result,
)
from vidworld.core.errors import UserError
from vidworld.report.charts import Legend
from vidworld.report.study_page import verdict

ROW = StudyRow(
    "surprise", "collision", "id", "surprise_accuracy", None, 0.9, 0.85, 0.95, 200, "", True, 0.5, 1.0, True
)  # fmt: skip


def result(family: str, budget: float, seed: int, value: float, **changed: object) -> StudyResult:
    made = StudyResult(
        family, budget, 128, seed, 0, 100, budget * 1.01, 60.0, "made", {"metric surprise_accuracy": 1}, {}, "",
        [replace(ROW, value=value)],
    )  # fmt: skip
    return replace(made, **changed)


def test_an_interval_over_runs_is_students_made_wider_for_skew() -> None:
    values = np.array([0.7, 0.8, 0.9])
    found = interval_over_runs(values)
    students = 4.303 * 0.1 / math.sqrt(3)
    assert found.value == pytest.approx(0.8)
    assert found.high - 0.8 == pytest.approx(2 * students, rel=1e-3)  # 1 + SKEW / 3 runs
    assert found.n == 3


def test_welch_agrees_with_scipy() -> None:
    from scipy.stats import ttest_ind

    generator = np.random.default_rng(0)
    first, second = generator.normal(0, 1, 5), generator.normal(1, 3, 8)
    assert welch(first, second) == pytest.approx(float(ttest_ind(first, second, equal_var=False).pvalue))
    assert math.isnan(welch(first, second[:1]))


def test_one_run_has_the_interval_of_its_clips_and_several_that_of_runs() -> None:
    (cells,) = by_place(
        [result("jepa", 1.0, 0, 0.9), result("jepa", 2.0, 0, 0.7), result("jepa", 2.0, 1, 0.8)]
    ).values()
    alone, two = over_runs(cells["jepa", 1.0]), over_runs(cells["jepa", 2.0])
    assert (alone.low, alone.high) == (0.85, 0.95)
    assert two.value == pytest.approx(0.75)
    assert two.high - two.low > 0.2


def test_an_interval_over_runs_stays_where_its_metric_can_be() -> None:
    share, error = (
        [
            (one, replace(ROW, value=value, unit=unit))
            for one, value in ((result("jepa", 1.0, 0, 0), low), (result("jepa", 1.0, 1, 0), high))
        ]
        for unit, low, high in (("share", 0.7, 0.9), ("units/s", 0.1, 0.9))
    )
    assert (over_runs(share).low, over_runs(share).high) == (0.0, 1.0)
    assert over_runs(error).low == 0.0 and over_runs(error).high > 1.0


@given(st.floats(0, 1))
def test_a_skill_is_three_quarters_of_the_way(value: float) -> None:
    assert has_skill(replace(ROW, value=value)) == (value >= 0.875)
    assert not has_skill(replace(ROW, value=value, floor=None))
    falling = replace(ROW, floor=4.0, ceiling=0.0, higher_is_better=False, value=value * 4)
    assert has_skill(falling) == (value <= 0.25)


def test_a_skill_comes_where_half_of_the_runs_have_it_and_keep_it() -> None:
    seen = {1.0: (0.9, 0.9), 2.0: (0.6, 0.6), 3.0: (0.9, 0.6), 4.0: (1.0, 1.0)}
    results = [
        result("jepa", budget, seed, value) for budget, values in seen.items() for seed, value in enumerate(values)
    ]
    (skill,) = skills(results)
    assert skill.shares == [(1.0, 2, 2), (2.0, 0, 2), (3.0, 1, 2), (4.0, 2, 2)]
    assert skill.comes_at == 3.0
    lost = [*results, *(result("jepa", 4.0, seed, 0.0, failed="collapsed", rows=[]) for seed in (2, 3, 4))]
    assert skills(lost)[0].shares[-1] == (4.0, 2, 5)
    assert skills(lost)[0].comes_at is None


@pytest.mark.parametrize("runs", [3, 5])
def test_a_family_is_named_better_from_five_runs_on(runs: int) -> None:
    results = [result("jepa", 1.0, seed, 0.9 + seed / 100) for seed in range(runs)]
    results += [result("diffusion", 1.0, seed, 0.6 + seed / 100) for seed in range(runs)]
    (finding,) = findings(results, 1.0)
    assert finding.families == ("diffusion", "jepa")
    assert finding.p_value < 0.001 if runs == 5 else math.isnan(finding.p_value)  # what nobody is named by is no test
    assert finding.better == ("jepa" if runs == 5 else None)


def test_predictions_go_on_in_the_logarithm_and_stay_between_floor_and_ceiling() -> None:
    results = [result("jepa", 10.0**power, 0, 0.6 + 0.1 * power) for power in range(3)]
    (near,) = predictions(results, 1000.0)
    assert near.value == pytest.approx(0.9)
    assert near.from_budgets == [1.0, 10.0, 100.0]
    assert predictions(results, 1e9)[0].value == 1.0
    assert predictions(results[:1], 10.0) == []


def test_what_has_another_version_today_is_named() -> None:
    old = result("jepa", 1.0, 0, 0.9)
    assert outdated(old, {"metric surprise_accuracy": 1, "law collision": 3}) == []
    assert outdated(old, {"metric surprise_accuracy": 2}) == ["metric surprise_accuracy"]


def test_a_curve_is_drawn_over_what_was_spent() -> None:
    ((place, cells),) = by_place([result("jepa", 1e12, 0, 0.7), result("diffusion", 1e12, 0, 0.8)]).items()
    curve = curve_of(place, cells)
    assert [series.model for series in curve.series] == ["diffusion", "jepa"]
    assert curve.series[0].x == [1.01e12]
    assert curve.note == "floor 0.5, ceiling 1"


def test_a_result_is_read_as_it_was_written_to_five_digits(tmp_path: Path) -> None:
    rows = [replace(ROW, value=0.123456789, floor=None), replace(ROW, law="momentum", high=math.nan, n=3)]
    made = result("jepa", 1e12, 0, 0.9, provenance={"cores": 2}, rows=rows)
    path = tmp_path / "jepa_1.0e12_nuisance0_seed0.json"
    write_result(path, made)
    (read,) = read_study(tmp_path)
    assert replace(read, rows=[]) == replace(made, rows=[])
    assert read.rows[0] == replace(rows[0], value=0.12346)
    assert math.isnan(read.rows[1].high)
    write_result(path, replace(made, rows=[]))
    assert read_study(tmp_path)[0].rows == []
    (tmp_path / "b_seed1.json").write_text("[]")
    with pytest.raises(UserError, match=r"b_seed1\.json: is no result of the study"):
        read_study(tmp_path)


def test_runs_at_two_levels_of_nuisance_are_not_added_up_to_a_familys() -> None:
    results = [result("jepa", 1.0, seed, 0.9, nuisance=level) for level in (0, 1) for seed in range(3)]
    said = verdict(results, Legend())
    assert "jepa 3 at nuisance 0, jepa 3 at nuisance 1" in said[0].replace("JEPA", "jepa").replace("Jepa", "jepa")
    assert "no family is named better" in said[1]
    many = [result("jepa", 1.0, seed, 0.9) for seed in range(5)]
    assert not any("checkpoints" in line for line in verdict(many, Legend()))


def test_a_smaller_budget_with_five_runs_a_side_names_families_and_the_largest_without_them_does_not() -> None:
    def of(budget: float, seeds: int) -> list[StudyResult]:
        values = {"jepa": 0.9, "regression": 0.6}
        return [result(name, budget, seed, at + 0.001 * seed) for name, at in values.items() for seed in range(seeds)]

    said = " ".join(verdict(of(1.0, 5) + of(2.0, 1), Legend())[1:])
    assert "no family is named better" in said and "At 2 FLOPs" not in said
    assert "5 runs a side or more, JEPA is better than Regression on: surprise accuracy (1 of 1)." in said
    equal = [result(name, 1.0, seed, 0.9 + 0.01 * seed) for name in ("jepa", "regression") for seed in range(5)]
    assert verdict(equal, Legend())[-1].startswith("At 1 FLOPs no headline number tells two families apart")
    assert len(verdict(of(1.0, 4), Legend())) == 2


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_there_is_no_skill_where_the_floor_is_as_good_as_the_ceiling(higher_is_better: bool) -> None:
    (row,) = result("jepa", 1.0, 0, 0.9).rows
    worse, better = (0.2, 0.8) if higher_is_better else (0.8, 0.2)
    aim = replace(row, higher_is_better=higher_is_better, value=better)
    assert has_skill(replace(aim, floor=worse, ceiling=better))
    assert not has_skill(replace(aim, floor=better, ceiling=worse))
    assert not has_skill(replace(aim, value=worse, floor=better, ceiling=worse))
    assert skills([result("jepa", 1.0, 0, 0.9)]) != []
    turned = replace(row, floor=row.ceiling, ceiling=row.floor)
    assert skills([result("jepa", 1.0, 0, 0.9, rows=[turned])]) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"budget": math.inf}, "budget"),
        ({"budget": -1.0}, "budget"),
        ({"training_flops": 0.0}, "training_flops"),
        ({"training_flops": 1e308}, "training_flops"),
        ({"seed": -1}, "seed"),
        ({"steps": "many"}, "steps"),
        ({"family": 3}, "family"),
    ],
)
def test_a_field_that_cannot_be_is_named(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "jepa_1.0e12_nuisance0_seed0.json"
    write_result(path, result("jepa", 1e12, 0, 0.9))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=rf"seed0\.json: is no result of the study \({said}: "):
        read_study(tmp_path)


def test_a_copy_is_no_further_training(tmp_path: Path) -> None:
    made = result("jepa", 1e12, 0, 0.9)
    write_result(tmp_path / f"{made.name}.json", made)
    write_result(tmp_path / "jepa_1.0e12_nuisance0_seed1.json", made)
    with pytest.raises(UserError, match=r"seed1\.json: holds jepa_1\.0e12_nuisance0_seed0; name it so, or remove it"):
        read_study(tmp_path)
    (tmp_path / "jepa_1.0e12_nuisance0_seed1.json").unlink()
    write_result(tmp_path / f"{made.name}.json", replace(made, rows=[*made.rows, *made.rows]))
    with pytest.raises(UserError, match="has two rows of"):
        read_study(tmp_path)
