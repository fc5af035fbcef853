"""Several comparisons to one table, finished or not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from vidworld.analysis.records import Comparison, Model, Value
from vidworld.analysis.results import write_results
from vidworld.core.errors import UserError
from vidworld.evaluation.sweep import collect, members
from vidworld.models.files import FORMAT
from vidworld.report.page import write_report

MODELS = {name: Model(name, name, f"runs/{name}") for name in ("jepa", "diffusion", "regression")}
PAIRS = [("jepa", "diffusion"), ("jepa", "regression")]


def finished(folder, seed, jepa):
    """A comparison as an evaluation leaves it; the JEPA's accuracies have this mean."""
    drawn = np.random.default_rng(seed).binomial(1, jepa, 100)
    values = [
        Value(model, None, "surprise", "permanence", "id", "surprise_accuracy", "share", f"p/{i}", float(value), 0)
        for model, accuracies in (("jepa", drawn), *((m, [0.5] * 100) for m in ("diffusion", "regression", "blind")))
        for i, value in enumerate(accuracies)
    ]
    for model in MODELS:
        (folder / model / "model").mkdir(parents=True)
        budget = {"config": {"seed": seed}, "format": FORMAT}
        (folder / model / "model" / "budget.json").write_text(json.dumps(budget))
    (folder / "physics").mkdir()
    comparison = Comparison(
        controlled={"jepa vs diffusion": True, "jepa vs regression": False},
        differences={"jepa vs diffusion": [], "jepa vs regression": ["steps differ"]},
        notes=["of one seed"],
    )
    models = {name: replace(model, spec=f"{folder}/{name}") for name, model in MODELS.items()}
    write_results(folder / "physics", values, models, PAIRS, comparison, 0)


@pytest.fixture
def sweep(tmp_path):
    """Two seeds that are finished, one in the middle of a training, one that has not begun."""
    for seed, jepa in ((0, 0.9), (1, 0.8)):
        finished(tmp_path / f"seed_{seed}", seed, jepa)
    (tmp_path / "seed_2" / "tokenizer" / "model").mkdir(parents=True)
    (tmp_path / "seed_2" / "tokenizer" / "model" / "budget.json").write_text(json.dumps({"format": FORMAT}))
    (tmp_path / "seed_2" / "diffusion").mkdir()
    beat = {"step": 300, "steps": 1000, "time": "2026-11-22T20:00:00+00:00"}
    (tmp_path / "seed_2" / "diffusion" / "heartbeat.json").write_text(json.dumps(beat))
    (tmp_path / "seed_10").mkdir()
    return tmp_path


def test_half_finished_comparisons_are_in_the_table_and_marked(sweep):
    assert [member.value for member in members(sweep)] == ["0", "1", "2", "10"]
    table = collect(sweep).read_text()
    assert "- seed 2: trained: tokenizer; diffusion at step 300 of 1000 (2026-11-22T20:00:00+00:00)" in table
    assert "- seed 10: has not begun" in table
    assert "| seed 0 | seed 1 | all | seed 2 (unfinished) | seed 10 (unfinished) |" in table
    (line,) = [line for line in table.splitlines() if "| jepa |" in line]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    first, second, together = (float(cell.split()[0]) for cell in cells[5:8])
    assert together == pytest.approx((first + second) / 2, abs=0.006)
    assert cells[8:] == ["", ""]


def test_seeds_become_one_result_over_clips_and_runs_with_a_report(sweep):
    collect(sweep)
    comparison = json.loads((sweep / "physics" / "comparison.json").read_text())
    assert comparison["runs"] == 2
    assert any("Seed 2 is not in these numbers" in note for note in comparison["notes"])
    assert not any("of one seed" in note for note in comparison["notes"])
    rows = json.loads((sweep / "physics" / "results.json").read_text())["results"]
    assert comparison["controlled"] == {"jepa vs diffusion": True, "jepa vs regression": False}
    assert comparison["differences"]["jepa vs regression"] == ["seed 0: steps differ", "seed 1: steps differ"]
    assert [(v["second"], v["better"]) for v in comparison["verdicts"]] == [
        ("diffusion", "jepa"),
        ("regression", "jepa"),
    ]
    assert {row["n"] for row in rows if row["model"] in ("jepa", "diffusion", "regression")} == {100}
    assert {row["seed"] for row in rows} == {None}
    assert all(v["statement"].startswith("These checkpoints differ") for v in comparison["verdicts"])
    assert "Verdicts are about these checkpoints; about families from 5 trainings of each on." in comparison["notes"]
    assert "permanence" in write_report(sweep, None).read_text().lower()


def test_five_seeds_speak_of_families(tmp_path):
    for seed, jepa in enumerate((0.9, 0.86, 0.9, 0.88, 0.92)):
        finished(tmp_path / f"seed_{seed}", seed, jepa)
    collect(tmp_path)
    comparison = json.loads((tmp_path / "physics" / "comparison.json").read_text())
    assert not any("checkpoints" in note for note in comparison["notes"])
    verdict = comparison["verdicts"][0]
    assert verdict["runs"] == 5 and verdict["statement"].startswith("jepa is better than diffusion by")
    assert "runs of each would show" in verdict["power"] or "no more than clips explain" in verdict["power"]


def test_a_model_that_is_the_same_in_every_comparison_was_trained_once(tmp_path):
    for seed in range(5):
        finished(tmp_path / f"seed_{seed}", seed, 0.9)
        path = tmp_path / f"seed_{seed}" / "physics" / "results.json"
        results = json.loads(path.read_text())
        results["models"]["diffusion"]["spec"] = "diffusers:one/for/all"
        path.write_text(json.dumps(results))
    collect(tmp_path)
    comparison = json.loads((tmp_path / "physics" / "comparison.json").read_text())
    runs = {(v["first"], v["second"]): v["runs"] for v in comparison["verdicts"]}
    assert runs == {("jepa", "diffusion"): 1, ("jepa", "regression"): 5}
    assert comparison["verdicts"][0]["statement"].startswith("These checkpoints differ")


def test_a_sweep_over_a_width_is_a_table_that_pools_nothing(sweep):
    for folder in sweep.iterdir():
        folder.rename(folder.with_name(folder.name.replace("seed", "model.width")))
    table = collect(sweep).read_text()
    assert "| model.width 0 | model.width 1 | model.width 2 (unfinished) |" in table
    assert not (sweep / "physics").exists()


def test_what_is_no_sweep_is_said(sweep, tmp_path):
    with pytest.raises(UserError, match="holds no comparisons"):
        members(tmp_path / "nowhere")
    (sweep / "model.width_32").mkdir()
    with pytest.raises(UserError, match="several keys"):
        members(sweep)


def test_a_folder_that_is_named_by_another_seed_is_refused(sweep):
    (sweep / "seed_1").rename(sweep / "seed_7")
    with pytest.raises(UserError, match="trained with seed 1"):
        collect(sweep)
