"""The study's cells, what is run again and what is not, and that a training that fails is a result."""

import fcntl
import json
import subprocess
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from scripts import ROOT, run

from vidworld.analysis.study import read_study, write_result
from vidworld.core.errors import UserError
from vidworld.core.records import write_json
from vidworld.evaluation import study as module
from vidworld.evaluation.physics import CHANGES_NO_VALUE
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.evaluation.study import (
    MEASURED_BY,
    MEASURED_LATER,
    Study,
    StudyConfig,
    StudyPoint,
    cells,
    run_study,
    versions_of,
)

ROW = {
    "model": "model", "task": "surprise", "law": "collision", "split": "id", "metric": "surprise_accuracy",
    "value": 0.9, "low": 0.8, "high": 1.0, "n": 4, "unit": "", "higher_is_better": True, "floor": 0.5, "ceiling": 1.0,
    "seed": 0, "readout": None, "headline": True,
}  # fmt: skip


COLLAPSING = "collapsing"  # a folder in which trainings fail


def config_of(folder: Path, **changed: Any) -> StudyConfig:
    points = (StudyPoint(budget=4e12, seeds=2), StudyPoint(budget=2e12, seeds=1))
    given = {"nuisance": (0,), "families": ("regression", "jepa"), "points": points} | changed
    return StudyConfig(out=folder / "out", results=folder / "results", configs=ROOT / "configs" / "demo", **given)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would have been run: trainings leave a budget, evaluations a result."""
    seen: list[list[str]] = []

    def pretend(command: list[str], seen_of: Any, may_fail: bool = False) -> str:
        seen.append(command)
        given = dict(part.split("=", 1) for part in command if "=" in part)
        out = Path(given["out"])
        (out / "model").mkdir(parents=True, exist_ok=True)
        if "run_physics" in command[1]:
            labels = {"laws": {}, "metrics": {}}
            model = {"label": "", "family": "jepa", "spec": ""}
            content = {"schema": 2, "provenance": {}, "models": {"model": model}, "compare": [], "labels": labels}
            write_json(out / "results.json", content | {"results": [ROW, ROW | {"model": "truth"}]})
        elif may_fail and COLLAPSING in out.parts:
            return "collapsed"
        else:
            write_json(out / "model" / "budget.json", {"training_flops": 1e12, "seconds": 2.0})
        return ""

    monkeypatch.setattr(module, "run_command", pretend)
    monkeypatch.setattr(module, "flops_of", lambda config, *_: (1e9, 1e12 / 300 * (config.family == "jepa")))
    monkeypatch.setattr(
        module, "read_budget", lambda folder: json.loads((folder / "model" / "budget.json").read_text())
    )
    return seen


def test_cells_are_the_cheapest_first_and_every_family_before_a_second_seed(tmp_path: Path) -> None:
    found = [(cell.budget, cell.seed, cell.family) for cell in cells(config_of(tmp_path))]
    assert found == [
        *((2e12, 0, "regression"), (2e12, 0, "jepa"), (4e12, 0, "regression"), (4e12, 0, "jepa")),
        *((4e12, 1, "regression"), (4e12, 1, "jepa")),
    ]


def test_each_run_is_kept_as_it_ends_and_none_is_run_twice(tmp_path: Path, commands: list[list[str]]) -> None:
    config = config_of(tmp_path)
    assert run_study(config) == 6
    results = read_study(tmp_path / "results")
    assert [(r.budget, r.family, r.seed) for r in results][:2] == [(2e12, "jepa", 0), (2e12, "regression", 0)]
    jepa, regression = results[:2]
    assert regression.steps == 2000
    assert jepa.steps == 1000  # the decoder's FLOPs are a part of its budget
    assert jepa.training_flops == 2e12
    assert [row.value for row in jepa.rows] == [0.9]  # the model's alone
    assert jepa.provenance["command"]
    commands.clear()
    assert run_study(config) == 0
    assert commands == []
    (tmp_path / "results" / "jepa_2.0e12_nuisance0_seed0.json").unlink()
    assert run_study(config) == 1
    assert {"out" in part for command in commands for part in command if part.startswith("out=")} == {True}


def test_what_changed_is_run_again(tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    run_study(config_of(tmp_path))
    study = Study(config_of(tmp_path, clips=8))
    assert {study.state(cell) for cell in study.cells} == {"outdated: made by other settings"}
    study = Study(config_of(tmp_path, evaluation=("clips=3",)))
    assert {study.state(cell) for cell in study.cells} == {"outdated: made by other settings"}
    today = versions_of("jepa") | {"law collision": 99, "metric restitution_error": 99}
    monkeypatch.setattr(module, "versions_of", lambda family: today)
    study = Study(config_of(tmp_path))
    assert study.state(study.cells[1]) == "outdated: law collision changed"


def test_the_model_is_measured_alone_but_for_the_oracle_that_says_what_is_decided(tmp_path: Path) -> None:
    config = config_of(tmp_path, nuisance=(0, 1))
    for cell in cells(config):
        evaluation = Study(config).evaluation(cell)
        assert not evaluation.controls
        assert evaluation.oracle == (cell.nuisance == 0)


def test_a_study_of_another_form_of_a_network_has_other_settings_and_its_trainings_are_told(
    tmp_path: Path, commands: list[list[str]]
) -> None:
    usual = config_of(tmp_path, families=("diffusion",))
    other = replace(usual, training=("model.prediction=sample",), results=tmp_path / "other")
    cell = cells(usual)[0]
    assert Study(usual).settings(cell) == Study(replace(usual, training=("model.prediction=edm",))).settings(cell)
    assert Study(usual).settings(cell) != Study(other).settings(cell)
    wider = replace(usual, training=("model.width=64", "seed=9"))  # what a cell decides stays
    assert Study(wider).settings(cell) == Study(usual).settings(cell)
    run_study(other)
    told = [command for command in commands if "train_world_model" in command[1]]
    assert len(told) == 3 and all("model.prediction=sample" in command for command in told)
    assert not any("model.prediction=sample" in c for c in commands if "train_world_model" not in c[1])


@pytest.mark.parametrize("key", ["clips=3", "shape.num_frames=24", "shape.height_px=32", "mixed_precision=bf16"])
def test_a_study_that_measures_otherwise_has_other_settings(tmp_path: Path, key: str) -> None:
    usual = config_of(tmp_path)
    cell = cells(usual)[0]
    assert Study(replace(usual, evaluation=(*usual.evaluation, key))).settings(cell) != Study(usual).settings(cell)


def test_every_key_of_an_evaluation_is_known_to_change_numbers_or_not() -> None:
    """`nuisance` is a cell's own; the others change what is measured beside a model, or what is shown."""
    neither = {"nuisance", "chunk_frames", "compare", "tried", "shown", "oracle", "controls"}
    keys = {field.name for field in fields(PhysicsConfig)}
    assert keys == {*MEASURED_BY, *MEASURED_LATER, *CHANGES_NO_VALUE} | neither
    assert not {*MEASURED_BY, *MEASURED_LATER} & {*CHANGES_NO_VALUE, *neither}


def test_a_decoder_has_the_share_of_a_budget_that_it_is_given(tmp_path: Path, commands: list[list[str]]) -> None:
    usual = config_of(tmp_path)
    shared = replace(usual, decoder_share=0.25, results=tmp_path / "shared")
    jepa, regression = (next(c for c in cells(usual) if c.family == name) for name in ("jepa", "regression"))
    assert Study(shared).settings(jepa) != Study(usual).settings(jepa)
    assert Study(shared).settings(regression) == Study(usual).settings(regression)
    run_study(shared)
    for result in read_study(tmp_path / "shared"):
        if result.family == "jepa":
            assert result.steps * 1e9 == pytest.approx(0.75 * result.budget)
    decoders = [dict(part.split("=", 1) for part in command if "=" in part) for command in commands]
    steps = [int(each["steps"]) for each in decoders if Path(each["out"]).name.startswith("probe_jepa")]
    assert steps == [round(0.25 * budget / (1e12 / 300)) for budget in (2e12, 4e12, 4e12)]


def test_a_training_that_fails_is_a_result(tmp_path: Path, commands: list[list[str]]) -> None:
    config = config_of(tmp_path / COLLAPSING, points=(StudyPoint(budget=4e12, seeds=1),))
    assert run_study(config) == 2
    assert [(r.failed, r.rows) for r in read_study(config.results)] == [("collapsed", [])] * 2
    assert run_study(config) == 0


def test_shares_have_each_run_once(tmp_path: Path, commands: list[list[str]]) -> None:
    assert run_study(config_of(tmp_path), (0, 2)) + run_study(config_of(tmp_path), (0, 1)) == 6


def test_processes_do_not_measure_in_one_folder(tmp_path: Path, commands: list[list[str]]) -> None:
    config = config_of(tmp_path)
    taken = tmp_path / "out" / "nuisance0" / "physics_0"
    taken.mkdir(parents=True)
    with (taken / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run_study(config, pattern="jepa_2*") == 1
    run_study(config, pattern="regression_2*")
    measured = [part for command in commands if "run_physics" in command[1] for part in command if part[:4] == "out="]
    assert [Path(part).name for part in measured] == ["physics_1", "physics_0"]


def test_what_another_process_runs_is_left_to_it(tmp_path: Path, commands: list[list[str]]) -> None:
    config = config_of(tmp_path)
    cell = Study(config).cells[0]
    lock = Study(config).folder(cell, f"{cell.name}.lock")
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run_study(config) == 5
    assert run_study(config) == 1


def test_a_run_that_another_process_finished_in_the_meantime_is_not_run_again(
    tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path / COLLAPSING, points=(StudyPoint(budget=4e12, seeds=1),))
    alone = Study.run_alone

    def late(study: Study, cell: Any, bar: Any) -> bool:
        monkeypatch.setattr(Study, "run_alone", alone)
        run_study(config)  # another process is faster; its trainings fail
        return alone(study, cell, bar)

    monkeypatch.setattr(Study, "run_alone", late)
    assert run_study(config) == 0


def test_the_list_names_every_run_of_the_projects_study(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    given = ["--config", ROOT / "configs" / "study.yaml", f"results={tmp_path}", f"configs={ROOT / 'configs' / 'demo'}"]
    assert run("eval/run_study.py", *given, "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * 2 * (5 * 3 + 5)
    assert lines[0] == "regression_3.0e12_nuisance0_seed0: to do"
    assert run("eval/run_study.py", *given, "--cells", "nothing") == 2
    assert "no run of the study is named 'nothing'; --list shows all" in capsys.readouterr().err
    shown = [run("eval/run_study.py", *given, "--list", "--cells", "jepa_*", "--share", f"{i}/2") for i in range(2)]
    named = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert shown == [0, 0] and named and all(name.startswith("jepa_") for name in named)
    assert len(set(named)) == len(named)
    assert run("eval/run_study.py", *given, "--share", "2/2") == 2


def test_the_page_has_curves_skills_predictions_and_what_is_old(
    tmp_path: Path, commands: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(tmp_path)
    run_study(config)
    given = [f"{key}={getattr(config, key)}" for key in ("out", "results", "configs")]
    points = "points=[{budget: 2e12}, {budget: 4e12}]"
    study = ROOT / "configs" / "study.yaml"
    assert run("eval/run_study.py", "--config", study, *given, points, "--predict", "4e12") == 2
    assert "predictions come before" in capsys.readouterr().err
    assert run("eval/run_study.py", "--config", study, *given, points, "--predict", "8e12") == 0
    (old,) = (r for r in read_study(config.results) if (r.budget, r.family) == (2e12, "jepa"))
    path = config.results / "jepa_2.0e12_nuisance0_seed0.json"
    write_result(path, replace(old, versions={"law collision": 99}))
    assert run("eval/make_study.py", config.results) == 0
    page = (config.results / "study.html").read_text(encoding="utf-8")
    assert "no family is named better" in page
    assert "Surprise accuracy, collision, id, nuisance 0" in page
    assert "not run yet" in page
    assert "law collision" in page
    assert subprocess.run(["grep", "-c", "<svg", config.results / "study.html"], check=True, capture_output=True)


@pytest.mark.parametrize(
    "change",
    [{"family": "regresion"}, {"family": "jepa"}, {"budget": 5e12}, {"seed": 7}, {"nuisance": 1}, {"width": 3}],
)
def test_a_result_of_another_run_is_not_taken_for_this(
    change: dict[str, Any], tmp_path: Path, commands: list[list[str]]
) -> None:
    config = config_of(tmp_path)
    run_study(config)
    path = config.results / "regression_2.0e12_nuisance0_seed0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    study = Study(config)
    (cell,) = (cell for cell in study.cells if cell.name == path.stem)
    with pytest.raises(UserError, match=r"regression_2\.0e12_nuisance0_seed0\.json: holds .*; name it so, or remove"):
        study.state(cell)
