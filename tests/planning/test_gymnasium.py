"""Planning in any environment of Gymnasium: by return, with the floors and the ceiling beside."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from acting import PointModel, point_evaluator

from vidworld.analysis.planning import read_planning
from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import load
from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import ModelFailure
from vidworld.planning.agents import NoOpAgent, PlannerAgent, ReplayedImagination
from vidworld.planning.episodes import Arena, play, starts_of
from vidworld.planning.imagination import ModelImagination
from vidworld.planning.protocol import PlanningProtocol, completed
from vidworld.planning.run import plan
from vidworld.planning.schema import PlanningConfig
from vidworld.report.planning_page import planning_summary, sentences, write_planning_page
from vidworld.simulation.environments import by_id, environment_named
from vidworld.simulation.environments.by_id import made_with
from vidworld.simulation.environments.of_gymnasium import GymnasiumsEpisode

SIDE = 16
SHAPE = ClipShape(height_px=SIDE, width_px=SIDE)
PROTOCOL = (
    "environment: gym_worlds:Reached-v0\nepisodes: 4\ncandidates: 8\nelites: 3\niterations: 2\nhorizon_blocks: 2\n"
    "cost: reward\n"
)


@pytest.fixture
def config(tmp_path):
    """The ceiling and the floors in a world that says when its goal is reached, and in one that does not."""
    (tmp_path / "small.yaml").write_text(PROTOCOL)
    (tmp_path / "planning.yaml").write_text(
        f"out: {tmp_path / 'out'}\nprotocols: ['{tmp_path / 'small.yaml'}']\ncontrols: [simulator, random, no_op]\n"
        "environments: ['gym_worlds:Reached-v0', 'gym_worlds:Rewarded-v0']\ngoal_blind: []\n"
        f"size_px: {SIDE}\nshown: 1\nmixed_precision: 'no'\n"
    )
    return load(PlanningConfig, tmp_path / "planning.yaml")


def small(name):
    environment = environment_named(f"gym_worlds:{name}", SIDE)
    usual = PlanningProtocol(environment="gym_worlds:Reached-v0", episodes=6, candidates=8, elites=3, cost="reward")
    return environment, completed(replace(usual, environment=environment.name, horizon_blocks=2), environment)


@pytest.mark.thorough
def test_the_simulator_brings_most_and_success_is_known_where_it_is_said(config):
    results = plan(config)
    judged, unjudged = (
        {row.agent: row for row in results.rows if row.environment == f"gym_worlds:{name}-v0"}
        for name in ("Reached", "Rewarded")
    )
    assert list(judged) == list(unjudged) == ["simulator", "random", "no_op"]
    assert judged["simulator"].success.value == 1.0 and judged["no_op"].success.value == 0.0
    for rows in (judged, unjudged):
        assert rows["simulator"].returned.value > rows["random"].returned.value + 50
        assert rows["no_op"].returned.low < rows["no_op"].returned.value < rows["no_op"].returned.high
    assert unjudged["simulator"].success.value != unjudged["simulator"].success.value  # nobody knows
    assert unjudged["simulator"].outcome is unjudged["simulator"].returned
    assert (config.out / results.videos[0].file).exists()
    again = read_planning(config.out / "planning.json")
    assert [row.returned for row in again.rows] == [row.returned for row in results.rows]
    assert "a return of" in sentences(again)[1] and "return" in planning_summary(again)
    assert "Return" in write_planning_page(config.out, config.out / "planning.html").read_text()


def test_a_death_costs_its_episode_and_a_bad_action_its_own():
    environment, protocol = small("Mortal-v0")
    found = play(Arena(environment, protocol, SHAPE), NoOpAgent(protocol, 2), range(6))
    dead = [each for each in found if each.failed]
    assert 0 < len(dead) < 6 and {each.failed for each in dead} == {
        "gym_worlds:Mortal-v0 died: RuntimeError: no more memory"
    }
    assert all(each.returned != each.returned for each in dead)
    alone = play(Arena(environment, protocol, SHAPE), NoOpAgent(protocol, 2), [found[0].number])[0]
    assert repr(alone) == repr(replace(found[0], seconds=alone.seconds))


def test_a_step_without_end_costs_its_episode(monkeypatch):
    environment, protocol = small("Stuck-v0")
    monkeypatch.setattr(by_id, "LONGEST_S", 0.3)
    found = play(Arena(environment, protocol, SHAPE), NoOpAgent(protocol, 2), range(3))
    lost = [each.failed for each in found if each.failed]
    assert 0 < len(lost) < 3
    assert set(lost) == {"gym_worlds:Stuck-v0 died: TimeoutError: gym_worlds:Stuck-v0 took over 0.3 s"}


@pytest.mark.thorough
def test_starts_that_die_are_episodes_that_fail(config, tmp_path):
    (tmp_path / "small.yaml").write_text(PROTOCOL.replace("Reached", "Mortal").replace("episodes: 4", "episodes: 6"))
    results = plan(replace(config, environments=(), controls=("simulator", "no_op"), shown=6))
    assert [row.episodes for row in results.rows] == [6, 6]
    assert 0 < results.rows[0].failed == results.rows[1].failed < 6
    assert len(results.videos) == 6 - results.rows[0].failed


@pytest.mark.parametrize("name", ["Fickle-v0", "Drifting-v0"])
def test_what_goes_another_way_foretells_nothing(name):
    environment, protocol = small(name)
    agent = PlannerAgent(
        protocol, 2, "simulator", sees_state=True, imagination=ReplayedImagination(environment, protocol)
    )
    with pytest.raises(ModelFailure, match="simulator: an episode that is played again goes another way"):
        play(Arena(environment, protocol, SHAPE), agent, starts_of(environment, protocol).numbers)


def test_a_head_is_told_what_is_done_where_there_is_no_goal():
    environment, protocol = small("Rewarded-v0")
    told = []

    def brings(embeddings, of):
        told.append(of)
        return of.sum(dim=-1, keepdim=True)

    imagined = ModelImagination("m", PointModel(), point_evaluator(), None, environment, protocol, brings)
    agent = PlannerAgent(protocol, 2, "m", imagination=imagined)
    found = play(Arena(environment, protocol, SHAPE), agent, [0])[0]
    assert found.failed == "" and {each.shape[1:] for each in told} == {torch.Size([2, 8])}
    assert found.returned > play(Arena(environment, protocol, SHAPE), NoOpAgent(protocol, 2), [0])[0].returned + 50


def test_only_rewards_can_be_planned_by(config, tmp_path):
    (tmp_path / "small.yaml").write_text(PROTOCOL.replace("cost: reward", "cost: state"))
    with pytest.raises(UserError, match="cost: state, and gym_worlds:Reached-v0 has rewards alone; cost: reward would"):
        plan(config)


def test_a_world_of_no_package_is_known_by_its_source(tmp_path, monkeypatch):
    source = "import gymnasium\nfrom gym_worlds import Square\ngymnasium.register('Own-v0', Square)\n"
    (tmp_path / "own_world.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    before = made_with("own_world:Own-v0")
    assert "own_world " in before and "gym_worlds " in before and "gymnasium " in before
    (tmp_path / "own_world.py").write_text(source + "# reward: another\n")
    assert made_with("own_world:Own-v0") != before


@pytest.mark.parametrize(("said", "solved"), [(1.0, True), (True, True), (0, False), (np.nan, False), (None, False)])
def test_a_success_that_is_no_number_is_none(said, solved):
    assert GymnasiumsEpisode.solved.fget(SimpleNamespace(info={"is_success": said})) is solved
