"""Planners: from a cost of actions to actions, pure functions over a batch of episodes.

A planner proposes candidates (sequences of actions, one a block), learns what each costs, all in one batch, and goes on
from there. What is drawn at random follows from an episode's own stream, so that its plan does not depend on its batch.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vidworld.core.counter_rng import Draws, mix
from vidworld.core.errors import UserError
from vidworld.planning.protocol import PlanningProtocol

CandidateActions = Float[Tensor, "clip candidate block action"]
"""Actions in [-1, 1] for each block of the horizon."""
Blocks = Float[Tensor, "clip block action"]
Costs = Float[Tensor, "clip candidate"]
Streams = Int[Tensor, " clip"]
Score = Callable[[CandidateActions], Costs]
"""What each candidate costs; lower is better, and what is no number is worse than anything."""


class Plan(NamedTuple):
    """What was chosen of each episode's candidates."""

    actions: Blocks
    cost: Float[Tensor, " clip"]
    scored: int  # candidates that were scored of each episode
    calls: int  # batches that they were scored in


class Planner(Protocol):
    """`start` is where the search begins: zero, or what is left of the plan before."""

    def __call__(self, score: Score, streams: Streams, start: Blocks, search: PlanningProtocol) -> Plan: ...


def random_shooting(score: Score, streams: Streams, start: Blocks, search: PlanningProtocol) -> Plan:
    """The best of all candidates, drawn evenly from [-1, 1], and of where the search began.

    It scores as many as the planners that iterate: `iterations` times `candidates`.
    """
    best = _Best(start)
    for iteration in range(search.iterations):
        tried = 2 * _uniform(streams, iteration, search.candidates, start) - 1
        best.see(tried if iteration else _with_first(tried, start), score)
    return best.plan


def cem(score: Score, streams: Streams, start: Blocks, search: PlanningProtocol) -> Plan:
    """The cross-entropy method (Rubinstein 1999): normal candidates, whose mean and deviation become the elites'.

    The first candidate is the mean itself. `chosen` is the best candidate of all iterations, or the last mean, which
    is not scored itself (stable-worldmodel returns that).
    """

    def fitted(elite: CandidateActions, costs: Costs) -> tuple[Blocks, Blocks]:
        mean = elite.mean(dim=1)
        return mean, elite.std(dim=1, correction=0) if elite.shape[1] > 1 else torch.zeros_like(mean)

    return _by_elites(score, streams, start, search, fitted)


def mppi(score: Score, streams: Streams, start: Blocks, search: PlanningProtocol) -> Plan:
    """Model predictive path integral control (Williams et al. 2017), iterated, with elites (as TD-MPC2 has it).

    Mean and deviation become those of the elites, weighted by exp(-cost / temperature); `temperature` is in standard
    deviations of the elites' costs, so that it means the same in any cost.
    """

    def fitted(elite: CandidateActions, costs: Costs) -> tuple[Blocks, Blocks]:
        finite = costs.isfinite()
        known = torch.where(finite, costs, costs[:, :1].nan_to_num(0.0, 0.0, 0.0))
        scale = known.std(dim=1, keepdim=True, correction=0).clamp_min(1e-12) * search.temperature
        weight = torch.where(finite, torch.exp((known[:, :1] - known) / scale), 0.0)
        weight = torch.where(finite.any(dim=1, keepdim=True), weight, 1.0)  # all candidates failed: none is better
        weight = (weight / weight.sum(dim=1, keepdim=True))[..., None, None].to(elite)
        mean = (weight * elite).sum(dim=1)
        return mean, (weight * (elite - mean[:, None]).square()).sum(dim=1).sqrt()

    return _by_elites(score, streams, start, search, fitted)


def _by_elites(
    score: Score,
    streams: Streams,
    start: Blocks,
    search: PlanningProtocol,
    fitted: Callable[[CandidateActions, Costs], tuple[Blocks, Blocks]],
) -> Plan:
    """Normal candidates, whose mean and deviation become those that are fitted to the elites, the best first."""
    elites = min(search.elites, search.candidates)
    mean, deviation, best = start, torch.full_like(start, search.noise), _Best(start)
    for iteration in range(search.iterations):
        tried = _about(mean, deviation, streams, iteration, search.candidates)
        costs, chosen = best.see(tried, score).topk(elites, dim=1, largest=False)
        mean, spread = fitted(tried.gather(1, chosen[..., None, None].expand(-1, -1, *start.shape[1:])), costs)
        deviation = spread.clamp_min(search.least_noise)
    return best.plan if search.chosen == "best" else best.plan._replace(actions=mean)


def gradient(score: Score, streams: Streams, start: Blocks, search: PlanningProtocol) -> Plan:
    """Adam on every candidate's own cost, from where the search begins and normal candidates about it.

    Raises UserError: the cost has no gradient.
    """
    deviation, best = torch.full_like(start, search.noise), _Best(start)
    tried = _about(start, deviation, streams, 0, search.candidates)
    first, second = torch.zeros_like(tried), torch.zeros_like(tried)
    for iteration in range(1, search.iterations + 1):
        with torch.enable_grad():
            asked = tried.detach().requires_grad_()
            costs = best.see(asked, score, keep_graph=True)
            if not costs.requires_grad:
                raise UserError("its cost has no gradient in the actions; planner: cem and planner: mppi need none")
            (slope,) = torch.autograd.grad(costs.nan_to_num(0.0, 0.0, 0.0).sum(), asked)
        slope = slope.nan_to_num(0.0, 0.0, 0.0)
        first, second = first.lerp(slope, 0.1), second.lerp(slope.square(), 0.001)
        step = (first / (1 - 0.9**iteration)) / ((second / (1 - 0.999**iteration)).sqrt() + 1e-8)
        tried = (tried - search.step_size * step).clamp(-1, 1).detach()
    return best.plan


class _Best:
    """The best candidate so far of each episode."""

    def __init__(self, start: Blocks) -> None:
        cost = torch.full((len(start),), math.inf, dtype=torch.float64, device=start.device)
        self.plan = Plan(start, cost, 0, 0)

    def see(self, tried: CandidateActions, score: Score, keep_graph: bool = False) -> Costs:
        """Their costs, infinite where they are no number."""
        costs = score(tried)
        costs = torch.where(costs.isnan(), math.inf, costs.double())
        least, number = costs.detach().min(dim=1)
        found = tried.detach()[torch.arange(len(tried), device=tried.device), number]
        better = least < self.plan.cost
        actions = torch.where(better[:, None, None], found, self.plan.actions)
        scored, calls = self.plan.scored + tried.shape[1], self.plan.calls + 1
        self.plan = Plan(actions, torch.where(better, least, self.plan.cost), scored, calls)
        return costs if keep_graph else costs.detach()


def _uniform(streams: Streams, iteration: int, count: int, like: Blocks) -> CandidateActions:
    draws = Draws(mix(streams ^ iteration))
    return draws.uniform(count=count * like[0].numel()).view(-1, count, *like.shape[1:]).to(like)


def _about(mean: Blocks, deviation: Blocks, streams: Streams, iteration: int, count: int) -> CandidateActions:
    """Normal candidates, cut to [-1, 1]; the first is the mean itself."""
    draws = Draws(mix(streams ^ iteration))
    noise = draws.normal(count * mean[0].numel()).view(-1, count, *mean.shape[1:]).to(mean)
    return _with_first((mean[:, None] + deviation[:, None] * noise).clamp(-1, 1), mean)


def _with_first(tried: CandidateActions, first: Blocks) -> CandidateActions:
    return torch.cat((first[:, None], tried[:, 1:]), dim=1)


def warm_start(plan: Blocks, executed: int) -> Blocks:
    """What is left of a plan of which so many blocks were executed; then rest (zero)."""
    left = plan[:, executed:]
    return torch.cat((left, torch.zeros_like(plan[:, : plan.shape[1] - left.shape[1]])), dim=1)
