"""Planning by a learned reward, and the agent that was cloned."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from acting import CHUNK, SIDE, STEP, PointEnvironment, PointModel, PointProbe, point_evaluator

from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import load
from vidworld.core.errors import UserError
from vidworld.models.files import FORMAT
from vidworld.planning.agents import PlannerAgent, over_trajectory
from vidworld.planning.episodes import Arena, play, starts_of
from vidworld.planning.heads import ClonedAgent, load_head
from vidworld.planning.imagination import ModelImagination
from vidworld.planning.protocol import PlanningProtocol, completed
from vidworld.simulation.environments import ENVIRONMENTS

ENVIRONMENT = PointEnvironment()
SHAPE = ClipShape(height_px=SIDE, width_px=SIDE)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setitem(ENVIRONMENTS._places, "point", "acting:POINT")


def protocol(**changes):
    usual = PlanningProtocol(environment="point", episodes=12, candidates=16, iterations=3, elites=4, horizon_blocks=3)
    return completed(replace(usual, **changes), ENVIRONMENT)


def reached(agent, given):
    return play(Arena(ENVIRONMENT, given, SHAPE), agent, starts_of(ENVIRONMENT, given).numbers)


def brings(embeddings, goal):
    """What each chunk of `PointModel` brings: minus the distance from the goal at its end."""
    return -(embeddings[:, :, 0, 0, -2:] - goal).norm(dim=-1, keepdim=True)


def test_an_agent_that_plans_by_return_reaches_what_is_rewarded():
    given = protocol(cost="reward", discount=0.9)
    imagined = ModelImagination("m", PointModel(), point_evaluator(), None, ENVIRONMENT, given, brings)
    assert sum(each.ever for each in reached(PlannerAgent(given, 2, "m", imagination=imagined), given)) >= 11
    against = ModelImagination("m", PointModel(), point_evaluator(), None, ENVIRONMENT, given, lambda *a: -brings(*a))
    assert sum(each.ever for each in reached(PlannerAgent(given, 2, "m", imagination=against), given)) <= 1
    with pytest.raises(UserError, match=r"m: cost: reward takes a trained head; name one .* rewards\.m=FOLDER"):
        ModelImagination("m", PointModel(), point_evaluator(), PointProbe(), ENVIRONMENT, given)


def test_a_later_chunk_counts_less_by_the_discount():
    costs = torch.tensor([[1.0, 10.0, 100.0]])
    assert over_trajectory(costs, protocol(cost="reward", discount=0.1)).item() == pytest.approx(1.0)
    assert over_trajectory(costs, protocol()).item() == pytest.approx(37.0)
    assert over_trajectory(costs, protocol(cost_over="last", discount=0.1)).item() == 100.0


def test_a_discount_of_one_leaves_the_hashes_of_protocols_as_they_were():
    path = Path(__file__).parents[2] / "configs" / "protocols" / "quick.yaml"
    assert completed(load(PlanningProtocol, path), ENVIRONMENTS["two_room"]).hash == "9111f599aef5"
    assert protocol(discount=0.9).hash != protocol().hash == protocol(discount=1.0).hash


def test_a_cloned_agent_does_what_its_head_says_and_nothing_is_imagined():
    class Head:
        chunks = 1

        def __call__(self, tokens, goal):
            here = PointProbe().locate(tokens, torch.zeros(len(tokens), 1, 3))[:, -1:, 0]
            return (goal - here) / (CHUNK * STEP)

    given = protocol(execute_blocks=2, budget_blocks=8)
    agent = ClonedAgent(given, 2, head=Head(), evaluator=point_evaluator())
    found = reached(agent, given)
    assert sum(each.ever for each in found) >= 10 and not any(each.failed for each in found)
    assert {each.scored for each in found} == {0} and all(each.seconds > 0 for each in found)


def test_a_head_of_another_kind_is_one_line(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "budget.json").write_text(f'{{"format": {FORMAT}, "predicts": "action"}}')
    with pytest.raises(UserError, match="predicts action, where a head is needed that predicts reward"):
        load_head(tmp_path, "reward", "point", point_evaluator())
