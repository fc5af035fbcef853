"""Offline checks against success over checkpoints, and families of several trainings."""

import math
from dataclasses import replace

import pytest

from vidworld.analysis.planning import ActionCheck, EpisodeResult, PlanningResults, row_of_agent
from vidworld.analysis.planning_checkpoints import check_correlations, family_results
from vidworld.analysis.planning_curves import success_over_compute
from vidworld.analysis.records import Model
from vidworld.analysis.statistics import rank_correlation
from vidworld.report.planning_page import correlation_lines, overview, sentences


def episode(agent, number, ever):
    return EpisodeResult("two_room", "abc", agent, number, ever, ever, 1, 0.0, 0.0, 1, 1, 1, 1e9, 0.1)


def results(solved, families=None):
    """Of agents that reach their goals in so many of 40 episodes; factor and rank follow."""
    models = {name: Model(name, (families or {}).get(name, "regression"), name) for name in solved}
    episodes = [episode(name, n, n < count) for name, count in solved.items() for n in range(40)]
    rows = [row_of_agent([e for e in episodes if e.agent == name], "quick", 16, 0, "ever") for name in solved]
    checks = [
        ActionCheck("two_room", name, 8, 1.0 + count, 2.0, 1.0 + count, 1.0, 0.5 - count / 100, 0.0, 1.0, 0.5, False)
        for name, count in solved.items()
    ]
    found, pairs = family_results(episodes, rows, models)
    return PlanningResults(1, {}, {}, rows, models, {}, checks, families=found, pairs=pairs)


def test_checks_that_order_checkpoints_as_success_does_over_several_files():
    every = [results({"a": 5, "b": 10, "c": 20}), results({"d": 25, "e": 30, "f": 35}), results({"a": 5})]
    factor, rank = check_correlations(every)
    assert (factor.check, factor.checkpoints, factor.rho) == ("factor", 6, 1.0)  # the same checkpoint counts once
    assert rank.rho == -1.0 and factor.p_value == rank.p_value < 0.02
    assert "factor by which other clips’ actions are worse: ρ 1.00 with success" in correlation_lines(every)[0]


def test_few_checkpoints_and_untrained_networks_say_nothing():
    some = results({"a": 5, "b": 10, "c": 20, "d": 30, "untrained_a": 3})
    few = replace(some, models={name: each for name, each in some.models.items() if name != "untrained_a"})
    assert [each.checkpoints for each in check_correlations([few])] == [4, 4]
    assert all(math.isnan(each.rho) for each in check_correlations([few]))
    assert correlation_lines([few]) == ["How these checks go with success is said from 5 checkpoints of a protocol on."]
    alike = results(dict.fromkeys("abcde", 7))
    assert (
        "all are alike"
        in correlation_lines(
            [
                replace(
                    alike,
                    checks=[
                        *alike.checks[:1],
                        *[replace(each, error_true=float(i)) for i, each in enumerate(alike.checks[1:])],
                    ],
                )
            ]
        )[0]
    )


def test_protocols_of_one_environment_are_compared_apart():
    found = results({"a": 30})
    first = found.rows[0]
    floor = row_of_agent([episode("random", n, n < 4) for n in range(40)], "quick", 16, 0, "ever")
    by_return = row_of_agent([episode("random", n, n < 40) for n in range(40)], "return", 16, 0, "ever")
    both = replace(found, rows=[first, floor, by_return])
    assert overview(both)["heads"] == ("Agent", "two_room, quick", "two_room, return")
    assert [row[1:] for row in overview(both)["rows"]] == [
        ("0.75 [0.60, 0.86]", "–"),
        ("0.10 [0.04, 0.23]", "1.00 [0.91, 1.00]"),
    ]
    (said,) = (line for line in sentences(both) if "above" in line)
    assert said.startswith("two_room, quick: a 0.75 [0.60, 0.86]: above the highest floor, random actions 0.10")


def test_spearman_with_ties():
    rho, p_value = rank_correlation([1.0, 2.0, 2.0, 4.0, 5.0], [1.0, 3.0, 2.0, 4.0, 5.0])
    assert rho == pytest.approx(0.9747, abs=1e-4) and 0.01 < p_value < 0.06
    assert math.isnan(rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])[0])


SOLVED = {"regression_0": 30, "regression_1": 32, "regression_2": 31, "jepa_0": 4, "jepa_1": 6, "jepa_2": 5}
OF = {name: name.partition("_")[0] for name in SOLVED}


def test_three_trainings_of_each_are_families():
    found = results(SOLVED, OF)
    regression, jepa = found.families
    assert regression.agents == ["regression_0", "regression_1", "regression_2"]
    assert regression.value == pytest.approx(31 / 40) and regression.low < 30 / 40 and jepa.high < regression.low
    (pair,) = found.pairs
    assert pair.low > 0.3 and pair.p_value < 0.01
    said = sentences(found)
    assert any("3 trainings a family or more: Regression 0.7" in line for line in said)
    assert any(line.startswith("Regression reaches more than JEPA") for line in said)


def test_two_trainings_are_no_family_and_one_is_no_row():
    two = {name: count for name, count in SOLVED.items() if not name.endswith("2")}
    found = results(two, OF)
    assert len(found.families) == 2 and not found.pairs
    assert not any("trainings a family" in line or "reaches more" in line for line in sentences(found))
    one = results({"regression_0": 30, "jepa_0": 5}, OF)
    assert not one.families and not one.pairs


def test_families_and_sampling_steps_are_lines_of_one_axis():
    few, many = results({"regression_0": 4, "regression_1": 8, "diffusion": 9}, {**OF, "diffusion": "diffusion"}), {}
    rows, families = list(few.rows), list(few.families)
    for protocol, scale in (("abc4", 4), ("abc8", 8)):
        rows += [replace(row, protocol=protocol, candidates=16 * scale, flops=row.flops * scale) for row in few.rows]
        families += [replace(row, protocol=protocol, flops=row.flops * scale) for row in few.families]
        many[protocol] = {"sampling_steps": 1}
    rows.append(replace(few.rows[2], protocol="steps", flops=4e9))
    keys = {"abc": {"sampling_steps": 1}, **many, "steps": {"sampling_steps": 4}}
    (curve,) = success_over_compute(replace(few, rows=rows, families=families, protocols=keys))
    found = {series.label: series for series in curve.series}
    assert list(found) == ["diffusion, 1 step", "diffusion, 4 steps", "Regression, 2 trainings"]
    assert found["Regression, 2 trainings"].x == found["diffusion, 1 step"].x == [1e9, 4e9, 8e9]
    assert found["Regression, 2 trainings"].y == [6 / 40] * 3 and found["diffusion, 4 steps"].x == [4e9]
    assert all(series.low and series.high for series in curve.series)
