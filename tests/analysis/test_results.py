"""Rows and verdicts, from values of clips whose answer is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from known_values import LAW, both, clip_values, of_three_laws, quad_values, share, verdicts

from vidworld.analysis.records import Value
from vidworld.analysis.results import rows_from_clips
from vidworld.core.errors import UserError
from vidworld.simulation.quadruplets import layout_of


@pytest.fixture
def values():
    return of_three_laws()


def test_rows_have_interval_floor_and_ceiling(values):
    rows = {(row.model, row.law): row for row in rows_from_clips(values)}
    row = rows["jepa", "uniform motion"]
    assert (row.value, row.floor, row.ceiling) == pytest.approx((0.5, 2.0, 0.01))
    assert row.low < 0.5 < row.high and row.n == 100 and row.seed == 0 and row.readout == "pixels"
    assert row.higher_is_better is False and row.headline
    blind = rows["blind", "permanence"]
    assert blind.value == 0.5 and blind.low < 0.5 < blind.high
    assert rows["untrained_jepa", "collision"].floor is None


def test_a_law_that_a_control_reaches_has_no_headline(values):
    headline = {(row.model, row.law): row.headline for row in rows_from_clips(values)}
    assert headline["jepa", "permanence"] and not headline["jepa", "collision"]
    verdict = next(v for v in verdicts(values) if v.law == "collision")
    assert verdict.better is None and "Untrained JEPA reaches 0.75" in (verdict.withheld or "")
    assert "Untrained JEPA reaches 0.75" in verdict.statement


def test_a_control_on_another_split_withholds_that_split_only(values):
    values += quad_values("blind", "permanence", [1.0] * 200, split="ood")
    values += quad_values("jepa", "permanence", [1.0] * 200, split="ood")
    headline = {(r.model, r.split): r.headline for r in rows_from_clips(values) if r.law == "permanence"}
    assert headline["jepa", "id"] and not headline["jepa", "ood"]


def test_verdicts_follow_the_test(values):
    said = {verdict.law: verdict for verdict in verdicts(values)}
    assert said["permanence"].better == "jepa"
    assert said["permanence"].statement.startswith(
        "These checkpoints differ by surprise accuracy: JEPA's is better than Diffusion's (p < 0.01"
    )
    assert said["permanence"].difference == pytest.approx(0.35, abs=0.06)
    assert said["uniform motion"].better is None
    assert "data do not say" in said["uniform motion"].statement


def test_a_lower_error_is_better(values):
    better = [replace(v, value=v.value / 2) if v.model == "diffusion" and v.readout else v for v in values]
    verdict = next(v for v in verdicts(better) if v.law == "uniform motion")
    assert verdict.better == "diffusion" and verdict.difference > 0
    assert "Diffusion's is better than JEPA's" in verdict.statement


def other_form(form, law, jepa, diffusion):
    """The values of both models by another form of surprise."""
    found = [*quad_values("jepa", law, share(jepa, seed=3)), *quad_values("diffusion", law, share(diffusion, seed=4))]
    return [replace(value, metric=form) for value in found]


def test_a_verdict_says_what_other_forms_of_surprise_find(values):
    """The usual form finds the other model better, that within a quad none; the maximum was not measured."""
    values += other_form("surprise_accuracy_usual", "permanence", 0.5, 0.9)
    values += other_form("surprise_accuracy_within_quadruplet", "permanence", 0.5, 0.5)
    verdict = next(v for v in verdicts(values) if v.law == "permanence")
    assert verdict.better == "jepa"
    assert verdict.other_forms.endswith("differ: usual (Diffusion is better), within a quadruplet (undecided).")
    assert next(v for v in verdicts(values) if v.law == LAW).other_forms == ""


def test_other_forms_stand_under_the_correction_of_the_headline():
    """What is shown by the headline alone is not among four tests, and nor then is it by a form of the same values."""
    same = both("momentum", 0.795, 0.68)
    values = [*same, *(replace(v, metric="surprise_accuracy_maximum") for v in same)]
    values += other_form("surprise_accuracy_usual", "momentum", 0.9, 0.5)
    for law in ("permanence", "continuity", "solidity"):
        values += both(law, 0.7, 0.7)
    verdict = next(v for v in verdicts(values) if v.law == "momentum")
    assert verdicts(same)[0].p_value < 0.05 < verdict.p_value
    assert verdict.better is None and verdict.other_forms == (
        "Other forms of surprise, under the same correction, differ: usual (JEPA is better)."
    )


def test_auroc_is_among_the_other_forms(values):
    values += other_form("surprise_auroc", "permanence", 0.5, 0.9)
    verdict = next(v for v in verdicts(values) if v.law == "permanence")
    assert verdict.other_forms.endswith("differ: AUROC (Diffusion is better).")


def test_verdicts_do_not_follow_the_means():
    verdict = verdicts(both("momentum", 0.86, 0.8))[0]
    assert verdict.difference > 0 and verdict.better is None
    assert "would take about" in verdict.statement and "quadruplets" in verdict.statement


def test_many_laws_are_corrected():
    rng = np.random.default_rng(3)
    one = both("momentum", 0.75, 0.65)
    alone = verdicts(one)[0].p_value
    other = [
        value
        for law in ("permanence", "continuity", "solidity")
        for model in ("jepa", "diffusion")
        for value in quad_values(model, law, rng.binomial(2, 0.7, 200) / 2)
    ]
    together = next(v for v in verdicts(one + other) if v.law == "momentum")
    assert together.p_value > 1.5 * alone and "corrected for 4 tests" in together.statement


def test_seeds_are_runs_and_not_more_clips():
    many = [v for seed in range(3) for v in clip_values("jepa", np.linspace(0.4, 0.6, 50) + 0.1 * seed, seed=seed)]
    row = rows_from_clips(many)[0]
    assert row.n == 50 and row.seed is None and row.value == pytest.approx(0.6)
    assert row.high - row.low > 0.2  # runs 0.1 apart: Student's quantile for two degrees of freedom


def test_a_clip_measured_twice_is_said(values):
    with pytest.raises(UserError, match=r"permanence/0, seed 0: has two values"):
        rows_from_clips([*values, *quad_values("jepa", "permanence", [1.0])])


def test_a_control_that_is_right_in_one_layout_and_wrong_in_the_other_withholds_the_law(values):
    """Its mean is one half: opposite cues cancel in it, and not in a model that follows one of them."""
    right = [float(layout_of(f"solidity/id/0/{i}") == "meeting") for i in range(200)]
    for model, accuracies in (("copy_last", right), ("jepa", [0.9] * 200), ("diffusion", [0.5] * 200)):
        made = quad_values(model, "solidity", accuracies)
        values += [replace(value, identity=f"solidity/id/0/{i}") for i, value in enumerate(made)]
    verdict = next(v for v in verdicts(values) if v.law == "solidity")
    assert verdict.better is None
    assert "reaches 1.00 in the layout meeting" in (verdict.withheld or "")


@pytest.mark.parametrize(
    ("metric", "unit", "highest"),
    [
        ("relative_accuracy_score", "share", 1.0),
        ("physics_iq_spatial_iou", "share", 1.0),
        ("physics_iq_verified_score", "percent", 100.0),
        ("phyworld_error", "units/s", math.inf),
    ],
)
def test_intervals_of_benchmarks_stay_in_their_range(metric, unit, highest):
    full = min(highest, 100.0)
    values = [
        Value("jepa", None, "intphys", "collision", "test", metric, unit, f"video{i}", full * (i > 0), 0)
        for i in range(3)
    ]
    (row,) = rows_from_clips(values)
    assert 0 <= row.low < row.value < row.high <= highest


def test_any_pairs_of_models_are_tested_and_corrected_together():
    """The first is better than both others, which do not differ; all tests of the list count."""
    values = [
        *both("momentum", 0.9, 0.5),
        *quad_values("mine", "momentum", share(0.5, seed=2)),
        *quad_values("mine", "collision", share(0.7, seed=2)),  # that no other model was measured on
    ]
    found = verdicts(values, ("jepa", "diffusion"), ("mine", "jepa"), ("mine", "diffusion"))
    assert [(v.first, v.second, v.better) for v in found] == [
        ("jepa", "diffusion", "jepa"),
        ("mine", "jepa", "jepa"),
        ("mine", "diffusion", None),
    ]
    assert found[1].statement.endswith("JEPA's is better than My model's (p < 0.01, corrected for 3 tests).")
    assert found[2].statement.startswith(
        "The data do not say whether these checkpoints of My model and Diffusion differ"
    )
    assert all("corrected for 3 tests" in verdict.statement for verdict in found)
    (alone,) = verdicts(values, ("mine", "diffusion"))
    assert found[2].p_value >= alone.p_value and "corrected" not in alone.statement


def test_the_order_of_a_pair_only_turns_the_sign(values):
    there, back = verdicts(values), verdicts(values, ("diffusion", "jepa"))
    for one, other in zip(there, back, strict=True):
        assert one.difference == pytest.approx(-other.difference)
        assert (one.law, one.better) == (other.law, other.better)
