"""What many checkpoints say together: families of several trainings, and whether offline checks predict success."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from vidworld.analysis.planning import EpisodeResult, FamilyPair, FamilyRow, PlanningResults, PlanningRow
from vidworld.analysis.records import Model
from vidworld.analysis.statistics import Values, holm, interval, paired_difference, rank_correlation

TRAININGS = 3
"""Of a family, from which on a sentence is about it; of fewer, about these checkpoints."""


class _Trainings(NamedTuple):
    agents: list[str]
    solved: Values  # a row a training, a column an episode


def family_results(
    episodes: Sequence[EpisodeResult], rows: Sequence[PlanningRow], models: Mapping[str, Model]
) -> tuple[list[FamilyRow], list[FamilyPair]]:
    """A row for each family, environment and protocol, and every pair of families that have `TRAININGS` or more.

    Empty where no family has two trainings; of environments that say nothing of success there are none.
    """
    solved: dict[tuple[str, str, str], dict[int, bool]] = defaultdict(dict)
    rules = {row.protocol: row.rule for row in rows}
    for each in episodes:
        key = (each.environment, each.protocol, each.agent)
        solved[key][each.number] = each.ever if rules[each.protocol] == "ever" else each.end
    found: list[FamilyRow] = []
    pairs: list[FamilyPair] = []
    for environment, protocol in dict.fromkeys((row.environment, row.protocol) for row in rows if row.judged):
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
        for family, trained in families.items():
            over, flops = interval(trained.solved, bounds=(0.0, 1.0)), [here[agent].flops for agent in trained.agents]
            place = (environment, protocol, family)
            found.append(FamilyRow(*place, trained.agents, over.value, over.low, over.high, sum(flops) / len(flops)))
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


FEWEST_CHECKPOINTS = 5
"""From which on a rank correlation is given: of four even the most extreme order is chance once in twelve."""


@dataclass(frozen=True)
class CheckCorrelation:
    """Whether an offline check orders checkpoints as success does, under one protocol in one environment."""

    environment: str
    protocol: str
    check: str
    """`factor` (higher should reach more) or `rank` (lower should)."""
    checkpoints: int
    rho: float
    """Spearman's; NaN under `FEWEST_CHECKPOINTS`, or where all are alike."""
    p_value: float


def check_correlations(every: Sequence[PlanningResults]) -> Iterator[CheckCorrelation]:
    """The rank correlation of each offline check with success, over all checkpoints of any number of planning.json.

    A model counts at its largest number of candidates. Untrained networks are no checkpoints, and one whose check has
    the very same numbers in two files is the same one.
    """
    found: dict[tuple[str, str], dict[tuple[float, float], tuple[float, float, float]]] = defaultdict(dict)
    for results in every:
        for check in results.checks:
            rows = [row for row in results.rows if (row.environment, row.agent) == (check.environment, check.model)]
            if rows and check.model in results.models:
                row = max(rows, key=lambda row: row.candidates)
                of_protocol = found[row.environment, row.protocol]
                of_protocol[check.error_true, check.factor] = check.factor, check.rank, row.outcome.value
    for (environment, protocol), points in found.items():
        *checks, success = zip(*points.values(), strict=True)
        for name, values in zip(("factor", "rank"), checks, strict=True):
            enough = len(points) >= FEWEST_CHECKPOINTS
            rho, p_value = rank_correlation(values, success) if enough else (math.nan, math.nan)
            yield CheckCorrelation(environment, protocol, name, len(points), rho, p_value)
