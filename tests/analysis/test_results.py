"""Rows, verdicts and files, from values of clips whose answer is known."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from vidworld.analysis import results
from vidworld.analysis.records import Comparison, Model, Value, read_as, read_results
from vidworld.analysis.results import read_per_clip, rows_from_clips, write_results
from vidworld.analysis.results import verdicts as verdicts_of
from vidworld.core.errors import UserError
from vidworld.core.records import write_csv
from vidworld.metrics import METRICS
from vidworld.simulation.quadruplets import layout_of

LAW = "uniform motion"
JEPA_AND_DIFFUSION = ("jepa", "diffusion")
MODELS = {
    "jepa": Model("JEPA", "jepa", "runs/jepa"),
    "diffusion": Model("Diffusion", "diffusion", "runs/diffusion"),
    "mine": Model("My model", "python", "python:my.Model"),
}


def verdicts(values, *pairs):
    """The primary verdicts, of the one pair where none is named."""
    return verdicts_of(values, pairs or [JEPA_AND_DIFFUSION], MODELS)[0]


def write(folder, values, comparison=None, seed=0):
    return write_results(folder, values, MODELS, [JEPA_AND_DIFFUSION], comparison or Comparison(), seed)


def quad_values(model, law, accuracies, seed=0, split="id"):
    return [
        Value(model, None, "surprise", law, split, "surprise_accuracy", "share", f"{law}/{i}", float(a), seed)
        for i, a in enumerate(accuracies)
    ]


def clip_values(model, errors, readout="pixels", seed=0):
    return [
        Value(model, readout, "uniform", LAW, "id", "velocity_error", "units/s", f"u/{i}", float(e), seed)
        for i, e in enumerate(errors)
    ]


def share(chance, n=200, seed=0):
    return np.random.default_rng(seed).binomial(2, chance, n) / 2


def both(law, jepa, diffusion):
    return [*quad_values("jepa", law, share(jepa)), *quad_values("diffusion", law, share(diffusion, seed=1))]


@pytest.fixture
def values():
    return [
        *quad_values("jepa", "permanence", share(0.95)),
        *quad_values("diffusion", "permanence", share(0.6, seed=1)),
        *quad_values("blind", "permanence", [0.5] * 200),
        *quad_values("copy_last", "permanence", share(0.5, seed=2)),
        *quad_values("truth", "permanence", [1.0] * 200),
        *quad_values("jepa", "collision", share(0.8)),
        *quad_values("diffusion", "collision", share(0.6, seed=1)),
        *quad_values("untrained_jepa", "collision", [1.0] * 150 + [0.0] * 50),
        *clip_values("jepa", np.linspace(0.4, 0.6, 100)),
        *clip_values("diffusion", np.linspace(0.6, 0.4, 100)),
        *clip_values("copy_last", np.linspace(1.9, 2.1, 100)),
        *clip_values("truth", np.full(100, 0.01)),
    ]


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


def test_files_say_what_was_measured(values, tmp_path):
    rows = write(tmp_path, values, Comparison(controlled={"jepa vs diffusion": True}), seed=5)
    assert read_per_clip(tmp_path / "per_clip.csv") == values
    assert list(read_results(tmp_path / "results.json").results) == rows
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["schema"] == 2 and content["provenance"]["seed"] == 5
    assert set(content["results"][0]) == {
        "model", "task", "law", "split", "metric", "value", "low", "high", "n", "unit", "higher_is_better",
        "floor", "ceiling", "seed", "readout", "headline",
    }  # fmt: skip
    comparison = json.loads((tmp_path / "comparison.json").read_text())
    assert comparison["controlled"] == {"jepa vs diffusion": True} and comparison["verdicts"][0]["statement"]
    with (tmp_path / "per_clip.csv").open() as file:
        assert next(csv.reader(file)) == [
            "model", "readout", "task", "law", "split", "metric", "unit", "identity", "value", "seed",
        ]  # fmt: skip


def test_the_file_that_says_from_what_is_written_after_what(values, tmp_path, monkeypatch):
    """What is killed in between says of neither old nor new rows that they are of the new models."""

    def full(path, content):
        raise UserError(f"{path}: no space")

    monkeypatch.setattr(results, "write_json", full)
    with pytest.raises(UserError, match=r"results\.json: no space"):
        write(tmp_path, values, Comparison(inputs="new"))
    assert not (tmp_path / "comparison.json").exists()


def test_what_was_not_measured_is_null_and_comes_back(tmp_path):
    write(tmp_path, clip_values("jepa", [np.nan, np.nan]))
    assert json.loads((tmp_path / "results.json").read_text())["results"][0]["value"] is None
    assert math.isnan(read_results(tmp_path / "results.json").results[0].value)


def edited(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(schema=1), "is of schema 1, not 2; run the evaluation"),
        (lambda c: c["results"][0].update(n="many"), r"results\.0\.n"),
        (lambda c: c["results"][1].pop("metric"), r"results\.1\.metric"),
        (lambda c: c["results"][0].update(valeu=1), "valeu"),
        (lambda c: c.update(results={}), "results: "),
        (lambda c: c.update(results=[]), "has no results"),
    ],
)
def test_results_that_are_wrong_are_said(values, tmp_path, change, said):
    write(tmp_path, values)
    with pytest.raises(UserError, match=said):
        read_results(edited(tmp_path / "results.json", change))


def test_per_clip_tables_that_are_wrong_are_said(values, tmp_path):
    path = tmp_path / "per_clip.csv"
    write_csv(path, Value, values[:2])
    text = path.read_text()
    path.write_text(text.replace("surprise_accuracy,share,permanence/1,1.0", "surprise_accuracy,share,permanence/1,x"))
    with pytest.raises(UserError, match="line 3"):
        read_per_clip(path)
    path.write_text(text.replace("model,", "planet,", 1))
    with pytest.raises(UserError, match="columns"):
        read_per_clip(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_per_clip(tmp_path / "none.csv")


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
        Value("jepa", None, "intphys", "collision", "test", metric, unit, f"film{i}", full * (i > 0), 0)
        for i in range(3)
    ]
    (row,) = rows_from_clips(values)
    assert 0 <= row.low < row.value < row.high <= highest


def test_one_number_for_all_films_claims_no_certainty(tmp_path):
    score = Value("jepa", None, "physics_iq", "motion", "test", "physics_iq_score", "percent", "all", 40.0, 0)
    write(tmp_path, [score])
    (row,) = read_results(tmp_path / "results.json").results
    assert row.value == 40.0 and math.isnan(row.low) and math.isnan(row.high)


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


def test_results_say_what_their_names_mean(values, tmp_path):
    write(tmp_path, values)
    results = read_results(tmp_path / "results.json")
    assert results.models == MODELS and results.compare == (JEPA_AND_DIFFUSION,)
    assert results.labels.laws == {
        "permanence": "What is hidden is still there, and it is still that.",
        "collision": "How two discs part follows from how they met.",
        LAW: "Left alone, a thing keeps its velocity; thrown, it follows its parabola.",
    }
    assert list(results.labels.metrics) == ["velocity_error", "surprise_accuracy"]
    assert results.labels.metrics["velocity_error"] == METRICS["velocity_error"].description


def test_a_metric_that_nobody_registered_is_named(tmp_path):
    strange = replace(clip_values("jepa", [1.0])[0], metric="velocity_eror")
    with pytest.raises(UserError, match=r"no metric 'velocity_eror'; did you mean velocity_error"):
        write(tmp_path, [strange])


def test_what_is_written_is_read_into_the_same_records(values, tmp_path):
    given = Comparison(
        controlled={"jepa vs diffusion": False},
        differences={"jepa vs diffusion": ["steps differ: 1 and 2"]},
        noise_levels={"diffusion": [0.7, 1.0]},
        targets={"jepa": "frozen"},
    )
    write(tmp_path, values, given)
    found = read_as(Comparison, tmp_path / "comparison.json")
    primary, further = verdicts_of(values, [JEPA_AND_DIFFUSION], MODELS)
    assert [v.statement for v in found.verdicts] == [v.statement for v in primary]
    assert replace(found, verdicts=[], further_verdicts=[], notes=[], runs=1) == given
    assert found.runs == 1 and not further
