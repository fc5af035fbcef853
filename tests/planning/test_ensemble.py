"""Ensembles: the mean of several models' costs, and a penalty on disagreement."""

from dataclasses import dataclass, replace

import pytest
import torch
from acting import SIDE, PointEnvironment

from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.planning import PLANNERS
from vidworld.planning.agents import Goal, Imagination, Observed, PlannerAgent, SimulatorImagination
from vidworld.planning.ensemble import ensembles_of
from vidworld.planning.episodes import Arena, play
from vidworld.planning.protocol import PlanningProtocol, completed
from vidworld.planning.schema import PlanningConfig
from vidworld.simulation.environments import ENVIRONMENTS

SMALL = PlanningProtocol(environment="two_room", candidates=24, elites=4, iterations=3, horizon_blocks=3, episodes=1)
NOTHING = torch.zeros(8, 1)
SEEN = Observed(torch.zeros(8, 8, 3, 4, 4).byte(), torch.zeros(8, 8, 2), Goal(NOTHING, None), torch.arange(8))


@dataclass(frozen=True)
class Guess(Imagination):
    """Costs of a stretch of numbers that actions lead to; `outside` is what it makes of actions below zero."""

    outside: float

    def score(self, seen, state):
        def cost(actions):
            first = actions[:, :, 0, 0].double()
            return torch.where(first < 0, self.outside, (first - 0.5).abs())

        return cost

    def flops(self, seen, scored, calls):
        return 10.0 * scored


def chosen(protocol, *guesses):
    """The first action of an ensemble of these."""
    planners = {str(i): PlannerAgent(protocol, 2, str(i), imagination=Guess(each)) for i, each in enumerate(guesses)}
    (agent,) = ensembles_of({"all": tuple(planners)}, planners, protocol)
    streams, start = torch.arange(8), torch.zeros(8, 3, 2, dtype=torch.float64)
    plan = PLANNERS[protocol.planner](agent.imagination.score(SEEN, None), streams, start, protocol)
    return plan.actions[:, 0, 0], agent


@pytest.mark.parametrize("planner", ["cem", "random_shooting"])
def test_caution_keeps_away_from_what_members_disagree_about(planner):
    """Below zero one hopes and one fears, so that the mean promises more than the best that both know."""
    bold, careful = (replace(SMALL, planner=planner, caution=caution) for caution in (0.0, 1.0))
    assert (chosen(bold, -3.0, 1.0)[0] < 0).all()
    where = chosen(careful, -3.0, 1.0)[0]
    assert ((where - 0.5).abs() < 0.2).all()


def test_members_that_agree_have_no_penalty_and_have_a_gradient():
    careful = replace(SMALL, caution=5.0)
    alone, together = chosen(SMALL, 2.0, 2.0), chosen(careful, 2.0, 2.0)
    assert torch.allclose(alone[0], together[0], atol=1e-5)
    actions = torch.rand(8, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(together[1].imagination.score(SEEN, None)(actions).sum(), actions)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


def test_an_ensemble_costs_what_its_members_do_and_depends_on_each():
    _, agent = chosen(SMALL, 0.0, 1.0, 2.0)
    assert agent.name == "all" and agent.imagination.flops(SEEN, 7, 1) == 210.0
    planners = {name: PlannerAgent(SMALL, 2, name, made_from=name, imagination=Guess(0.0)) for name in "abc"}
    found = [ensembles_of({"all": each}, planners, SMALL)[0].made_from for each in ("ab", "ac")]
    assert found[0] != found[1]
    assert ensembles_of({"all": ("a", "gone")}, planners, SMALL) == []


def test_caution_is_in_the_hash_where_there_is_some():
    assert replace(SMALL, caution=0.0).hash == SMALL.hash != replace(SMALL, caution=1.0).hash
    with pytest.raises(UserError, match="own space"):
        ensembles_of({"all": ("a", "b")}, {}, replace(SMALL, cost="model"))


@pytest.mark.parametrize(
    ("ensembles", "said"),
    [
        ({"mine": ("mine", "other")}, "name of a model as well"),
        ({"all": ("mine",)}, "two models or more"),
        ({"all": ("mine", "mine")}, "each once"),
        ({"all": ("mine", "othr")}, "no model 'othr'; there are mine, other"),
        ({"random": ("mine", "other")}, "are taken"),
    ],
)
def test_an_ensemble_that_cannot_be_is_refused(tmp_path, ensembles, said):
    models = {"mine": "python:acting.PointWorld", "other": "python:acting.PointWorld"}
    with pytest.raises(ValueError, match=said):
        PlanningConfig(out=tmp_path, protocols=(tmp_path,), models=models, ensembles=ensembles)


def test_an_ensemble_of_the_truth_reaches_what_the_truth_does(monkeypatch):
    monkeypatch.setitem(ENVIRONMENTS._places, "point", "acting:POINT")
    environment = PointEnvironment()
    protocol = completed(replace(SMALL, caution=1.0), environment)
    truth = SimulatorImagination(environment, protocol)
    planners = {name: PlannerAgent(protocol, 2, name, sees_state=True, imagination=truth) for name in "ab"}
    (agent,) = ensembles_of({"all": ("a", "b")}, planners, protocol)
    arena = Arena(environment, protocol, ClipShape(num_frames=16, height_px=SIDE, width_px=SIDE))
    alone, together = (play(arena, each, [0, 1, 2]) for each in (planners["a"], agent))
    assert [each.ever for each in together] == [each.ever for each in alone] == [True] * 3
