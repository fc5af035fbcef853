"""Planning from a configuration to planning.json: rows, budgets, what is not done twice, failures, the page."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import acting
import pytest
from acting import SIDE

from vidworld.analysis.planning import read_planning
from vidworld.analysis.planning_curves import success_over_compute
from vidworld.core.config import load
from vidworld.core.errors import UserError
from vidworld.planning.run import plan
from vidworld.planning.schema import PlanningConfig
from vidworld.report.planning_page import planning_summary, write_planning_page
from vidworld.simulation.environments import ENVIRONMENTS

PROTOCOL = "environment: point\nepisodes: 6\ncandidates: 12\nelites: 3\niterations: 2\nhorizon_blocks: 3\ncost: model\n"


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A small configuration in the world of the point."""
    monkeypatch.setitem(ENVIRONMENTS._places, "point", "acting:POINT")
    (tmp_path / "small.yaml").write_text(PROTOCOL)
    (tmp_path / "planning.yaml").write_text(
        f"out: {tmp_path / 'out'}\nprotocols: ['{tmp_path / 'small.yaml'}']\n"
        "models: {mine: 'python:acting.PointWorld'}"
        f"\nsize_px: {SIDE}\nchecks: 0\nshown: 1\nepisodes_at_once: 4\nmixed_precision: 'no'\n"
    )
    return load(PlanningConfig, tmp_path / "planning.yaml")


def rows(config):
    return {row.agent: row for row in read_planning(config.out / "planning.json").rows}


def test_every_agent_has_a_row_and_every_episode_a_line(config):
    plan(config)
    found = rows(config)
    assert list(found) == ["mine", "copy_last", "simulator", "simulator_goal_blind", "random", "no_op"]
    assert found["mine"].ever.count == found["simulator"].ever.count == 6
    assert found["no_op"].ever.count == found["copy_last"].ever.count == 0
    assert found["no_op"].ever.high < found["mine"].ever.low
    assert len({row.protocol for row in found.values()}) == 1
    assert found["mine"].scored == 24 and found["no_op"].scored == 0
    assert {row.excluded for row in found.values()} != {0}
    with (config.out / "episodes.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6 * len(found)
    (video,) = (f for f in read_planning(config.out / "planning.json").videos if f.agent == "mine")
    assert (config.out / video.file).stat().st_size > 500 and video.solved
    (keys,) = read_planning(config.out / "planning.json").protocols.values()
    assert keys["candidates"] == 12 and keys["context_frames"] == 8 and keys["budget_blocks"] == 6


@pytest.mark.thorough
def test_what_is_done_is_not_done_again(config, monkeypatch):
    plan(config)
    before = {path: path.stat().st_mtime_ns for path in (config.out / "units").iterdir()}
    first = json.loads((config.out / "planning.json").read_text())["rows"]
    plan(config)
    assert {path: path.stat().st_mtime_ns for path in (config.out / "units").iterdir()} == before
    assert json.loads((config.out / "planning.json").read_text())["rows"] == first
    video = next((config.out / "media").iterdir())
    video.unlink()
    plan(config)
    assert video.exists()
    monkeypatch.setattr(acting.PointEnvironment, "version", 2)
    plan(config)
    assert all((path.stat().st_mtime_ns != time) for path, time in before.items())


@pytest.mark.thorough
def test_budgets_give_success_over_compute(config, monkeypatch):
    from vidworld.planning.imagination import ModelImagination

    monkeypatch.setattr(ModelImagination, "flops", lambda self, seen, scored, calls: 1e6 * scored)
    results = plan(replace(config, shown=0), (2, 6, 12))
    mine = [row for row in results.rows if row.agent == "mine"]
    assert [(row.candidates, row.flops) for row in mine] == [(2, 4e6), (6, 12e6), (12, 24e6)]
    assert len({row.protocol for row in mine}) == 3
    (curve,) = success_over_compute(results)
    assert curve.series[0].x == [4e6, 12e6, 24e6] and curve.series[0].model == "mine"
    across = next(series for series in curve.series if series.model == "simulator")
    assert across.x == [4e6, 24e6] and across.y == [1.0, 1.0]
    assert success_over_compute(replace(results, rows=mine[:1])) == []
    page = write_planning_page(config.out, config.out / "planning.html").read_text()
    assert "Success over planner compute" in page and "True simulator (ceiling)" in page


def test_each_of_several_planners_has_a_row_and_the_same_episodes(config):
    results = plan(replace(config, shown=0, checks=0), planners=("mppi", "random_shooting"))
    mine = [row for row in results.rows if row.agent == "mine"]
    assert [row.protocol_name.split("_", 1)[1] for row in mine] == ["mppi", "random_shooting"]
    assert [each["planner"] for each in results.protocols.values()] == ["mppi", "random_shooting"]
    assert len({row.excluded for row in mine}) == 1
    page = write_planning_page(config.out, config.out / "planning.html").read_text()
    assert "mppi" in page and "random_shooting" in page


def test_the_page_shows_rows_videos_and_failures(config):
    with pytest.raises(UserError, match=r"deaf: predict takes no actions.*; its rows are left out"):
        plan(replace(config, models={**config.models, "deaf": "python:acting.BrokenWorld"}))
    results = read_planning(config.out / "planning.json")
    assert "deaf" not in rows(config) and len(results.failures) == 1
    page = write_planning_page(config.out, config.out / "planning.html").read_text()
    assert page.count("<video") == len(results.videos) == 2
    assert "mine" in page and "Copy last" in page and "True simulator (ceiling), goal-blind" in page
    assert "predict takes no actions" in page and "horizon_blocks" in page
    assert "planning on the true simulator reaches 1.00" in page
    said = planning_summary(results).splitlines()
    assert len(said) == 1 + len(results.rows) and said[0].startswith("environment")


def test_goal_blind_models_and_fewer_controls(config):
    plan(replace(config, controls=("no_op",), goal_blind=("mine",), shown=0))
    found = rows(config)
    assert list(found) == ["mine", "mine_goal_blind", "no_op"]
    assert found["mine_goal_blind"].ever.count < found["mine"].ever.count


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("goal_blind=[others]", "goal_blind: there is no agent 'others'"),
        ("models.random=python:acting.PointWorld", "a model cannot be named 'random'"),
        ("environments=[pointt]", "there is no environment 'pointt'; did you mean point"),
        ("controls=[oracle]", "controls"),
        ("protocols=[]", "protocols names no file"),
    ],
)
def test_what_cannot_be_is_one_line(config, given, said):
    with pytest.raises(UserError, match=said):
        load(PlanningConfig, config.out.parent / "planning.yaml", [given])


def test_a_goal_without_picture_is_one_line(config, monkeypatch):
    monkeypatch.setattr(acting.PointEnvironment, "goal_picture", lambda self, state, shape=None: None)
    with pytest.raises(UserError, match=r"small\.yaml: cost: model, and point has no picture of its goal"):
        plan(config)


def test_a_cost_that_is_never_a_number_ends_its_row(config):
    with pytest.raises(
        UserError, match=r"no: cost gave no number for any candidate \(in point\); its rows are left out"
    ):
        plan(replace(config, models={"no": "python:numberless_world.NoNumber"}, shown=0))
    assert "no" not in rows(config) and "random" in rows(config)


def test_somebody_has_to_plan(config):
    with pytest.raises(ValueError, match="models and controls name nobody who plans"):
        replace(config, models={}, controls=(), goal_blind=())


def test_probes_of_models_that_are_left_out_are_left_alone(config):
    results = plan(replace(config, probes={"jepa": Path("nowhere")}, rewards={}, shown=0))
    assert "mine" in {row.agent for row in results.rows}


def test_places_need_a_probe(config):
    path = config.protocols[0]
    path.write_text(PROTOCOL.replace("cost: model", "cost: state"))
    with pytest.raises(UserError, match="mine: cost: state reads places by a probe"):
        plan(config)
    plan(replace(config, models={}, shown=0))
    assert list(rows(config)) == ["simulator", "simulator_goal_blind", "random", "no_op"]


def test_results_of_another_schema_are_one_line(tmp_path):
    (tmp_path / "planning.json").write_text('{"schema": 0}')
    with pytest.raises(UserError, match="is of schema 0, not 1"):
        read_planning(tmp_path / "planning.json")


def test_a_planner_by_gradient_needs_one(config):
    path = config.protocols[0]
    path.write_text(PROTOCOL + "planner: gradient\n")
    with pytest.raises(UserError, match="mine: its cost has no gradient in the actions; planner: cem"):
        plan(replace(config, shown=0))
    assert list(rows(config)) == ["simulator", "simulator_goal_blind", "random", "no_op"]
    assert rows(config)["simulator"].ever.count >= 4


def test_a_model_that_shows_nothing_plans_by_its_own_cost(config, monkeypatch):
    own = replace(config, models={"own": "python:acting.PointCost"}, controls=("no_op",), goal_blind=("own",), checks=4)
    results = plan(own)
    assert rows(config)["own"].ever.count == 6 and rows(config)["own_goal_blind"].ever.count < 6
    assert not results.checks and not results.landscapes and len(results.videos) == 1
    monkeypatch.setattr(acting.PointCost, "gives", 0)
    with pytest.raises(UserError, match=r"own: cost gave no tensor of shape \(4, 12\) \(clip, candidate\)"):
        plan(replace(own, out=config.out.parent / "other", shown=0, checks=0))
