"""Files of results: what was measured, written and read back, and what is wrong with them."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from known_values import JEPA_AND_DIFFUSION, LAW, MODELS, clip_values, of_three_laws, write

from vidworld.analysis import results
from vidworld.analysis.records import Comparison, Value, read_as, read_results
from vidworld.analysis.results import read_per_clip
from vidworld.analysis.results import verdicts as verdicts_of
from vidworld.core.errors import UserError
from vidworld.core.records import write_csv
from vidworld.metrics import METRICS


@pytest.fixture
def values():
    return of_three_laws()


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


def test_one_number_for_all_videos_claims_no_certainty(tmp_path):
    score = Value("jepa", None, "physics_iq", "motion", "test", "physics_iq_score", "percent", "all", 40.0, 0)
    write(tmp_path, [score])
    (row,) = read_results(tmp_path / "results.json").results
    assert row.value == 40.0 and math.isnan(row.low) and math.isnan(row.high)


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
