"""An agent that plans with several models at once, and keeps away from what they disagree about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from vidworld.core.errors import UserError
from vidworld.core.records import fingerprint
from vidworld.planning.agents import Imagination, Observed, PlannerAgent
from vidworld.planning.planners import CandidateActions, Costs, Score
from vidworld.planning.protocol import PlanningProtocol


@dataclass(frozen=True)
class Ensemble(Imagination):
    """The mean of what its members say that a candidate costs, and `caution` standard deviations of that over them.

    Members that learned the same from the same clips disagree where they did not learn it: the penalty is on what the
    models do not know, and not on what nobody can. Source: ensembles of dynamics, as in PETS (arXiv 1805.12114), with
    the penalty of pessimistic planners, as in MOPO (arXiv 2005.13239).
    """

    members: Sequence[Imagination]
    protocol: PlanningProtocol

    def score(self, seen: Observed, state: Any) -> Score:
        """Raises ModelFailure: a member fails."""
        scores = [member.score(seen, state) for member in self.members]

        def cost(actions: CandidateActions) -> Costs:
            costs = torch.stack([score(actions) for score in scores])
            mean: Costs = costs.mean(dim=0)
            if self.protocol.caution:
                apart = costs.var(dim=0, correction=0).clamp_min(1e-12).sqrt()  # a root of 0 has no gradient
                mean = mean + self.protocol.caution * apart
            return mean

        return cost

    def flops(self, seen: Observed, scored: int, calls: int) -> float:
        return sum(member.flops(seen, scored, calls) for member in self.members)


def ensembles_of(
    named: Mapping[str, Sequence[str]], planners: Mapping[str, PlannerAgent], protocol: PlanningProtocol
) -> list[PlannerAgent]:
    """An agent for each ensemble whose members are all among these planners.

    Raises UserError: by `cost: model`, where each member's costs are distances in a space of its own.
    """
    if named and protocol.cost == "model":
        raise UserError(
            f"ensembles: {', '.join(named)}: costs of cost: model are of each member's own space, and have no mean; "
            "cost: state or cost: reward would do"
        )
    found = []
    for name, members in named.items():
        if all(member in planners for member in members):
            agents = [planners[member] for member in members]
            together = Ensemble([agent.imagination for agent in agents], protocol)
            made_from = fingerprint("ensemble", [agent.made_from for agent in agents])
            found.append(replace(agents[0], name=name, made_from=made_from, imagination=together))
    return found
