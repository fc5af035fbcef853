"""What several trainings of each family reach together: only these let a sentence speak of families."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from vidworld.analysis.planning import EpisodeResult, FamilyPair, FamilyRow, PlanningRow
from vidworld.analysis.records import Model
from vidworld.analysis.statistics import Values, holm, interval, paired_difference

TRAININGS = 3
"""Of a family, from which on a sentence is about it; of fewer, about these checkpoints."""


class _Trainings(NamedTuple):
    agents: list[str]
    solved: Values  # a row a training, a column an episode


def family_results(
    episodes: Sequence[EpisodeResult], rows: Sequence[PlanningRow], models: Mapping[str, Model]
) -> tuple[list[FamilyRow], list[FamilyPair]]:
    """A row for each family, environment and protocol, and every pair of families that have `TRAININGS` or more.

    Empty where no family has two trainings.
    """
    solved: dict[tuple[str, str, str], dict[int, bool]] = defaultdict(dict)
    rules = {row.protocol: row.rule for row in rows}
    for each in episodes:
        key = (each.environment, each.protocol, each.agent)
        solved[key][each.number] = each.ever if rules[each.protocol] == "ever" else each.end
    found: list[FamilyRow] = []
    pairs: list[FamilyPair] = []
    for environment, protocol in dict.fromkeys((row.environment, row.protocol) for row in rows):
        here = {row.agent: row for row in rows if (row.environment, row.protocol) == (environment, protocol)}
        families: dict[str, _Trainings] = {}
        for family in dict.fromkeys(model.family for model in models.values()):
            agents = [name for name in models if models[name].family == family and name in here]
            if agents:
                by_number = [solved[environment, protocol, agent] for agent in agents]
                values = [[float(each[number]) for number in sorted(each)] for each in by_number]
                families[family] = _Trainings(agents, np.asarray(values))
        if all(len(each.agents) < 2 for each in families.values()):
            continue
        for family, each in families.items():
            over, flops = interval(each.solved, bounds=(0.0, 1.0)), [here[agent].flops for agent in each.agents]
            place = (environment, protocol, family)
            found.append(FamilyRow(*place, each.agents, over.value, over.low, over.high, sum(flops) / len(flops)))
        pairs += _pairs(environment, protocol, {k: v for k, v in families.items() if len(v.agents) >= TRAININGS})
    return found, pairs


def _pairs(environment: str, protocol: str, families: Mapping[str, _Trainings]) -> list[FamilyPair]:
    differences = {
        pair: paired_difference(families[pair[0]].solved, families[pair[1]].solved, bounds=(0.0, 1.0))
        for pair in combinations(families, 2)
    }
    corrected = holm({"/".join(pair): each.p_value for pair, each in differences.items()})
    return [
        FamilyPair(environment, protocol, *pair, each.value, each.low, each.high, corrected["/".join(pair)])
        for pair, each in differences.items()
    ]
