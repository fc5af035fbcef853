"""Planners on a world of which the best actions are known: a point that moves by its action."""

import pytest
import torch

from vidworld.core.counter_rng import clip_streams
from vidworld.core.errors import UserError
from vidworld.planning import PLANNERS
from vidworld.planning.planners import cem, gradient, random_shooting, warm_start
from vidworld.planning.protocol import PlanningProtocol

GOALS = torch.tensor([[1.5, -1.0], [-2.0, 0.5], [0.2, 2.4]], dtype=torch.float64)
STREAMS = clip_streams("planners", range(3), torch.device("cpu"))


def search(**changes):
    return PlanningProtocol(environment="two_room", **changes)


def distance(goals):
    """What is left to the goal after three blocks of which each moves the point by its action."""
    return lambda actions: (actions.sum(dim=2) - goals[:, None]).norm(dim=-1)


def plan_of(name, goals=GOALS, streams=STREAMS, **changes):
    start = torch.zeros(len(goals), 3, 2, dtype=torch.float64)
    return PLANNERS[name](distance(goals), streams, start, search(**changes))


@pytest.mark.parametrize(
    ("name", "near"), [("random_shooting", 0.6), ("cem", 0.15), ("mppi", 0.15), ("gradient", 0.15)]
)
def test_every_planner_reaches(name, near):
    iterations = 60 if name == "gradient" else 6
    plan = plan_of(name, iterations=iterations)
    assert plan.actions.shape == (3, 3, 2) and plan.actions.abs().max() <= 1
    assert (plan.cost < near).all()
    torch.testing.assert_close(distance(GOALS)(plan.actions[:, None])[:, 0], plan.cost)
    assert (plan.scored, plan.calls) == (64 * iterations, iterations)


def test_cem_beats_random_shooting_with_as_many_candidates():
    ends = {name: plan_of(name, candidates=16, elites=4).cost.mean() for name in ("cem", "random_shooting")}
    assert ends["cem"] < 0.5 * ends["random_shooting"]


@pytest.mark.parametrize("name", ["random_shooting", "cem", "mppi", "gradient"])
def test_a_plan_does_not_depend_on_its_batch(name):
    together = plan_of(name)
    for i in range(3):
        alone = plan_of(name, GOALS[i : i + 1], STREAMS[i : i + 1])
        torch.testing.assert_close(alone.actions[0], together.actions[i], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["random_shooting", "cem", "mppi"])
def test_what_is_no_number_is_never_chosen(name):
    def score(actions):
        costs = distance(GOALS)(actions)
        return torch.where(actions[:, :, 0, 0] > 0, torch.nan, costs)

    start = torch.zeros(3, 3, 2, dtype=torch.float64)
    plan = PLANNERS[name](score, STREAMS, start, search())
    assert plan.actions.isfinite().all() and plan.cost.isfinite().all()
    assert (plan.actions[:, 0, 0] <= 0).all()


@pytest.mark.parametrize("name", ["random_shooting", "cem", "mppi"])
def test_costs_that_are_no_numbers_at_all_leave_finite_actions(name):
    start = torch.zeros(3, 3, 2, dtype=torch.float64)
    plan = PLANNERS[name](lambda a: torch.full(a.shape[:2], torch.nan), STREAMS, start, search())
    assert plan.actions.isfinite().all() and (plan.cost == torch.inf).all()


def test_the_mean_of_the_elites_is_chosen_where_a_protocol_says_so():
    best, mean = plan_of("cem"), plan_of("cem", chosen="mean")
    assert not torch.equal(best.actions, mean.actions)
    assert (distance(GOALS)(mean.actions[:, None]) < 0.3).all()


def test_a_warm_start_is_a_candidate():
    best = GOALS[:, None].expand(-1, 3, -1) / 3
    for planner in (random_shooting, cem):
        plan = planner(distance(GOALS), STREAMS, best, search(iterations=1))
        torch.testing.assert_close(plan.actions, best)


def test_what_is_left_of_a_plan_is_followed_by_rest():
    plan = torch.arange(6, dtype=torch.float64).view(1, 3, 2)
    assert warm_start(plan, 1).tolist() == [[[2, 3], [4, 5], [0, 0]]]
    assert warm_start(plan, 5).tolist() == [[[0, 0]] * 3]


def test_a_cost_without_gradient_is_one_line():
    start = torch.zeros(3, 3, 2, dtype=torch.float64)
    with pytest.raises(UserError, match="no gradient in the actions; planner: cem"):
        gradient(lambda a: distance(GOALS)(a).detach(), STREAMS, start, search())


def test_an_unknown_planner_is_one_line():
    with pytest.raises(UserError, match="no planner 'cen'; did you mean cem"):
        PLANNERS.check(["cen"])
