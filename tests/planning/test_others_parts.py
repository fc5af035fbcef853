"""Planners and environments of others: what they do wrong costs their own episodes or rows, with a line."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from acting import SIDE, PointEnvironment, point_evaluator

from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import load
from vidworld.core.errors import UserError
from vidworld.core.locks import alone
from vidworld.core.registry import Registry
from vidworld.evaluation.evaluator import ModelFailure
from vidworld.evaluation.task import measure
from vidworld.planning import PLANNERS
from vidworld.planning.agents import PlannerAgent, SimulatorImagination
from vidworld.planning.episodes import Arena, play
from vidworld.planning.planners import Plan, random_shooting
from vidworld.planning.protocol import PlanningProtocol, completed
from vidworld.planning.run import plan
from vidworld.planning.schema import PlanningConfig
from vidworld.planning.tasks import tasks_of, that_begins
from vidworld.planning.units import PlanningUnit
from vidworld.report.planning_page import planning_summary
from vidworld.simulation.environments import ENVIRONMENTS

SHAPE = ClipShape(num_frames=16, height_px=SIDE, width_px=SIDE)


@pytest.fixture
def given(monkeypatch):
    """A protocol in the world of the point."""
    monkeypatch.setitem(ENVIRONMENTS._places, "point", "acting:POINT")
    small = PlanningProtocol(environment="point", candidates=8, elites=2, iterations=1, horizon_blocks=2, episodes=3)
    return completed(small, PointEnvironment())


def agent(protocol, environment):
    imagination = SimulatorImagination(environment, protocol)
    return PlannerAgent(protocol, 2, "mine", sees_state=True, imagination=imagination)


def _changed(**parts):
    return lambda *given: random_shooting(*given)._replace(**parts)


def _cut(score, streams, start, search):
    found = random_shooting(score, streams, start, search)
    return found._replace(actions=found.actions[:, :1])


@pytest.mark.parametrize(
    ("planner", "says"),
    [
        (lambda *_: 1 / 0, "planner odd failed with ZeroDivisionError: division by zero"),
        (lambda *_: sys.exit(0), r"planner odd failed with Left: it called sys.exit\(0\)"),
        (lambda *_: None, "planner odd failed with AttributeError"),
        (lambda: None, "planner odd failed with TypeError"),
        (_changed(actions=torch.zeros(3, 2, 4)), r"gave actions of shape \(3, 2, 4\).*\(3, 2 or more, 2\)"),
        (_changed(actions=torch.zeros(1, 2, 2)), r"gave actions of shape \(1, 2, 2\)"),
        (_changed(actions=torch.zeros(3, 2, 2, dtype=torch.complex64)), "complex64"),
        (_changed(scored=None), "planner odd failed with TypeError"),
        (lambda *given: SimpleNamespace(actions=random_shooting(*given).actions), "planner odd failed with Attribute"),
        (_cut, r"gave actions of shape \(3, 1, 2\)"),
    ],
)
def test_a_planner_of_others_that_gives_no_plan_loses_its_row(given, monkeypatch, planner, says):
    monkeypatch.setitem(PLANNERS._places, "odd", "somebody:odd")
    monkeypatch.setitem(PLANNERS._loaded, "odd", planner)
    own = replace(given, planner="odd", execute_blocks=2)
    with pytest.raises(ModelFailure, match=says):
        play(Arena(PointEnvironment(), own, SHAPE), agent(own, PointEnvironment()), range(3))


def test_a_plan_with_a_gradient_is_a_plan(given, monkeypatch):
    monkeypatch.setitem(PLANNERS._places, "odd", "somebody:odd")
    actions = torch.zeros(3, 2, 2, dtype=torch.float64, requires_grad=True)
    monkeypatch.setitem(PLANNERS._loaded, "odd", lambda *_: Plan(actions, torch.zeros(3), 1, 1))
    found = play(Arena(PointEnvironment(), replace(given, planner="odd"), SHAPE), agent(given, PointEnvironment()), [0])
    assert not found[0].failed


class Rewarding(PointEnvironment):
    """Its second episode's reward is no number."""

    def reward(self, state):
        found = super().reward(state)
        found[1:2] = torch.nan
        return found


class Leaving(PointEnvironment):
    """It ends the process."""

    def step(self, state, action):
        sys.exit(0)


class Closed(PointEnvironment):
    """None of its episodes can begin."""

    def target(self, state):
        raise OSError("the map is missing")


def test_a_reward_that_is_no_number_is_a_failure(given):
    found = play(Arena(Rewarding(), given, SHAPE), agent(given, PointEnvironment()), range(3))
    assert [each.failed for each in found] == ["", "point gave a reward of nan", ""]
    assert not found[1].ever


def test_an_environment_that_ends_the_process_has_died(given):
    (found,) = play(Arena(Leaving(), given, SHAPE), agent(given, PointEnvironment()), [0])
    assert "point died: Left: it called sys.exit(0)" in found.failed


def test_an_environment_in_which_nothing_can_begin_is_named():
    assert isinstance(that_begins(PointEnvironment()), PointEnvironment)
    with pytest.raises(UserError, match=r"point: no episode can begin there \(OSError: the map is missing\)"):
        that_begins(Closed())


@pytest.fixture
def config(tmp_path, given):
    text = "environment: point\nepisodes: 3\ncandidates: 4\nelites: 2\niterations: 1\nhorizon_blocks: 2\n"
    (tmp_path / "small.yaml").write_text(text)
    (tmp_path / "again.yaml").write_text(f"# the same\n{text}")
    (tmp_path / "planning.yaml").write_text(
        f"out: {tmp_path / 'out'}\nprotocols: ['{tmp_path / 'small.yaml'}']\ncontrols: [simulator, random]\n"
        f"size_px: {SIDE}\nchecks: 0\nshown: 0\nmixed_precision: 'no'\n"
    )
    return load(PlanningConfig, tmp_path / "planning.yaml")


def test_what_is_named_twice_is_played_once(config, tmp_path):
    once = plan(config)
    both = (tmp_path / "small.yaml", tmp_path / "again.yaml")
    twice = plan(replace(config, protocols=both, environments=("point", "point")), (4, 4))
    assert [row.episodes for row in twice.rows] == [row.episodes for row in once.rows] == [3] * len(once.rows)
    assert [row.ever for row in twice.rows] == [row.ever for row in once.rows]


def test_protocols_that_differ_in_sampling_steps_keep_all_of_their_rows(config, tmp_path):
    few, more = tmp_path / "few.yaml", tmp_path / "more.yaml"
    text = (tmp_path / "small.yaml").read_text()
    few.write_text(f"{text}sampling_steps: 2\n")
    more.write_text(f"{text}sampling_steps: 4\n")
    found = tasks_of(replace(config, protocols=(few, more)), steps=(2, 4))
    assert [(task.name, task.protocol.sampling_steps, task.of_samplers) for task in found] == [
        ("few", 2, False),
        ("more", 4, False),
    ]


def test_two_runs_do_not_plan_in_one_folder(config):
    with alone(config.out / "lock"), pytest.raises(UserError, match="another run is planning there"):
        plan(config)
    assert plan(config).rows


def test_failed_episodes_are_said(config, monkeypatch):
    monkeypatch.setattr(
        "acting.PointEnvironment.reward", lambda self, state: torch.full((len(state.place),), torch.nan)
    )
    said = planning_summary(plan(config))
    assert "point, simulator: 3 of 3 episodes failed; episodes.csv says why" in said


def test_who_fails_in_one_place_is_measured_in_others(tmp_path):
    def fails():
        raise ModelFailure("mine", "takes two actions")

    units = [
        PlanningUnit(tmp_path, name, "mine", "all", int, work, name) for name, work in (("a", fails), ("b", lambda: []))
    ]
    found = measure(units, point_evaluator().accelerator, "planning")
    assert found.failures == {"mine in a": "mine: takes two actions (in a)"}
    assert not units[1].stale and units[0].stale


def test_a_part_whose_package_is_gone_is_named():
    parts: Registry[object] = Registry("planner", "vidworld.nothing", {})
    parts.__dict__["_places"] = {"theirs": "gone_module:plan"}
    with pytest.raises(UserError, match="planner theirs: gone_module:plan cannot be loaded"):
        parts["theirs"]
