"""What planning came to: an episode a line of episodes.csv, an agent a row of planning.json."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import Field
from pydantic.dataclasses import dataclass

from vidworld.analysis.labels import model_label, title
from vidworld.analysis.records import STRICT, Curve, Model, Number, Series, read_as
from vidworld.analysis.statistics import Interval, share_interval
from vidworld.core.errors import UserError
from vidworld.core.records import read_json

PLANNING_SCHEMA: Final = 1
BLIND = "_goal_blind"
"""What follows an agent's name where it plans for another episode's goal."""
GUESSING = "simulator_guessing"
"""The planner on a simulator that guesses what cannot be seen now: what physics reaches without memory."""
_AGENTS = {
    "simulator": "True simulator (ceiling)",
    GUESSING: "Simulator that guesses what is hidden",
    "cloned": "Behaviour cloning",
    "random": "Random actions",
    "no_op": "No action",
}


@plain_dataclass(frozen=True)
class EpisodeResult:
    """One episode of one agent: a line of episodes.csv."""

    environment: str
    protocol: str
    """The hash of the protocol."""
    agent: str
    number: int
    """The start is a function of environment, split, seed and this."""
    ever: bool
    """The goal was reached in some frame."""
    end: bool
    """It was reached in the last one."""
    blocks: int
    """Blocks of actions until it was; -1 where it never was."""
    cost: float
    """The environment's cost of the last frame's true places (world units)."""
    plans: int
    scored: int
    """Candidates that were imagined, over all plans."""
    calls: int
    """Batches that they were imagined in."""
    flops: float
    """Floating-point operations of all of its plans, by torch's counter."""
    seconds: float
    """Of choosing actions; of a batch of episodes its share."""
    failed: str = ""
    """Why the episode ended before its time: it counts, as not solved."""


@dataclass(frozen=True, config=STRICT)
class Outcomes:
    """How many episodes came to something, and Wilson's interval of the share."""

    count: int
    value: Number
    low: Number
    high: Number

    @staticmethod
    def of(count: int, episodes: int) -> "Outcomes":
        found: Interval = share_interval(count, episodes)
        return Outcomes(count, found.value, found.low, found.high)


@dataclass(frozen=True, config=STRICT)
class PlanningRow:
    """An agent under one protocol in one environment."""

    environment: str
    protocol: str
    protocol_name: str
    """The name of its file."""
    agent: str
    candidates: int
    episodes: int
    excluded: int
    """Starts that were met on the way and are solved without an action."""
    failed: int
    rule: str
    """Which of the two is the protocol's: `ever` or `end`."""
    ever: Outcomes
    end: Outcomes
    blocks: Number
    """Mean over the episodes that were solved."""
    cost: Number
    """Mean cost of the last frame, world units."""
    flops: Number
    """A plan."""
    seconds: Number
    """A plan."""
    scored: Number
    """Candidates a plan."""

    @property
    def success(self) -> Outcomes:
        """By the protocol's rule."""
        return self.ever if self.rule == "ever" else self.end


@dataclass(frozen=True, config=STRICT)
class ActionCheck:
    """What offline checks say of a model in one environment, before it plans (planning/checks.py)."""

    environment: str
    model: str
    clips: int
    error_true: Number
    """Squared error of its rollouts under the actions that were done."""
    error_shuffled: Number
    """The same under another clip's actions."""
    factor: Number
    """The second over the first: 1 for a model that ignores its actions."""
    factor_low: Number
    """Lower end of the interval."""
    rank: Number
    """Mean share of random actions that fit what happened better than the true ones: 0 at best, 0.5 by chance."""
    rank_low: Number
    rank_high: Number
    top: Number
    """Share of clips in which the true actions fit best."""
    ignores: bool
    """Whether nothing shows that its futures depend on actions."""


@dataclass(frozen=True, config=STRICT)
class Landscape:
    """How badly each first action explains what truly came of one of them, from one start (planning/landscapes.py)."""

    environment: str
    agent: str
    """A model, or `simulator`."""
    number: int
    """Of the episode that starts so."""
    energy: list[list[Number]]
    """A row for each action along y, a column for each along x, evenly from -1 to 1."""
    action: list[Number]
    """What was done, x and y."""
    lowest: list[Number]
    """The action of least energy."""
    rank: Number
    """Share of these actions that explain what came better than the true one."""


@dataclass(frozen=True, config=STRICT)
class PlanningVideo:
    """An episode as it went, what was imagined of it, and the goal: an MP4 below the folder of planning.json."""

    environment: str
    protocol: str
    agent: str
    number: int
    solved: bool
    file: str


@dataclass(frozen=True, config=STRICT)
class FamilyRow:
    """All trainings of a family under one protocol in one environment."""

    environment: str
    protocol: str
    family: str
    agents: list[str]
    value: Number
    """Mean success, and where the family's lies: episodes and trainings are both chance."""
    low: Number
    high: Number
    flops: Number
    """A plan."""


@dataclass(frozen=True, config=STRICT)
class FamilyPair:
    """How much more the first family reaches than the second in the same episodes."""

    environment: str
    protocol: str
    first: str
    second: str
    value: Number
    low: Number
    high: Number
    p_value: Number
    """Corrected (Holm) for the pairs of one environment and protocol."""


@dataclass(frozen=True, config=STRICT)
class PlanningResults:
    """planning.json"""

    schema: int
    provenance: dict[str, Any]
    protocols: dict[str, dict[str, Any]]
    """Every key of each protocol, by its hash."""
    rows: list[PlanningRow]
    models: dict[str, Model] = Field(default_factory=dict)
    """Those of the configuration, in its order."""
    environments: dict[str, str] = Field(default_factory=dict)
    """What each is called on pages."""
    checks: list[ActionCheck] = Field(default_factory=list)
    videos: list[PlanningVideo] = Field(default_factory=list)
    landscapes: list[Landscape] = Field(default_factory=list)
    families: list[FamilyRow] = Field(default_factory=list)
    """Where one has several trainings (analysis/planning_checkpoints.py)."""
    pairs: list[FamilyPair] = Field(default_factory=list)
    failures: list[str] = Field(default_factory=list)
    """A line for each agent whose row is missing."""


def row_of_agent(
    episodes: Sequence[EpisodeResult], protocol_name: str, candidates: int, excluded: int, rule: str
) -> PlanningRow:
    """The row of all episodes of one agent under one protocol."""
    first, n = episodes[0], len(episodes)
    plans = sum(each.plans for each in episodes)
    solved = [each.blocks for each in episodes if each.ever]

    def a_plan(totals: Iterable[float]) -> float:
        return sum(totals) / plans if plans else math.nan

    known = [each.cost for each in episodes if math.isfinite(each.cost)]
    return PlanningRow(
        environment=first.environment, protocol=first.protocol, protocol_name=protocol_name, agent=first.agent,
        candidates=candidates, episodes=n, excluded=excluded, failed=sum(bool(each.failed) for each in episodes),
        rule=rule, ever=Outcomes.of(sum(each.ever for each in episodes), n),
        end=Outcomes.of(sum(each.end for each in episodes), n),
        blocks=sum(solved) / len(solved) if solved else math.nan,
        cost=sum(known) / len(known) if known else math.nan, flops=a_plan(float(each.flops) for each in episodes),
        seconds=a_plan(float(each.seconds) for each in episodes),
        scored=a_plan(float(each.scored) for each in episodes),
    )  # fmt: skip


def failed_episode(like: EpisodeResult, why: str) -> EpisodeResult:
    """The same episode as one that failed: it counts, and not as solved."""
    return replace(like, ever=False, end=False, blocks=-1, failed=why)


def read_planning(path: Path) -> PlanningResults:
    """What a planning.json holds. Raises UserError: there is none, or it is of another schema."""
    content = read_json(path)
    found = content.get("schema") if isinstance(content, dict) else None
    if found != PLANNING_SCHEMA:
        raise UserError(f"{path}: is of schema {found}, not {PLANNING_SCHEMA}; run eval/run_planning.py again")
    return read_as(PlanningResults, path)


def agent_label(name: str, models: Mapping[str, Model]) -> str:
    """What an agent is called."""
    if name.endswith(BLIND):
        return f"{agent_label(name.removesuffix(BLIND), models)}, goal-blind"
    return _AGENTS.get(name) or model_label(name, models)


def row_label(row: PlanningRow, results: PlanningResults) -> str:
    """What the row's agent is called, with its sampling steps where it was measured at several."""
    return agent_label(row.agent, results.models) + _steps(row, results)


def success_over_compute(results: PlanningResults) -> list[Curve]:
    """A curve an environment: success over the floating-point operations of a plan, all agents on one axis.

    A line is a family, where there are several trainings of it, or an agent, at one number of sampling steps. Agents
    that have no such cost are drawn across, at their largest number of candidates.
    """
    curves = []
    several = {agent for row in results.families if len(row.agents) > 1 for agent in row.agents}
    for environment in dict.fromkeys(row.environment for row in results.rows):
        rows = [row for row in results.rows if row.environment == environment and row.agent not in several]
        lines: dict[tuple[str, str, str], list[tuple[float, float, float, float]]] = defaultdict(list)
        across: dict[str, PlanningRow] = {}
        for row in rows:
            if row.flops > 0:
                own = (row.flops, row.success.value, row.success.low, row.success.high)
                lines[row_label(row, results), row.agent, row.protocol_name].append(own)
            elif row.agent not in across or row.candidates > across[row.agent].candidates:
                across[row.agent] = row
        for family in (each for each in results.families if each.environment == environment and len(each.agents) > 1):
            row = next(r for r in results.rows if (r.agent, r.protocol) == (family.agents[0], family.protocol))
            label = f"{title(family.family)}, {len(family.agents)} trainings{_steps(row, results)}"
            own = (family.flops, family.value, family.low, family.high)
            lines[label, row.agent, row.protocol_name].append(own)
        if max((len(points) for points in lines.values()), default=0) < 2:
            continue
        spent = [point[0] for points in lines.values() for point in points]
        protocols = {protocol for _, _, protocol in lines}
        series = []
        for (label, agent, protocol), points in lines.items():
            x, y, low, high = (list(each) for each in zip(*sorted(points), strict=True))
            series.append(Series(label + (f", {protocol}" if len(protocols) > 1 else ""), x, y, low, high, agent))
        for agent, row in across.items():  # bands of what lies across would hide the others
            ends, height = [min(spent), max(spent)], [row.success.value] * 2
            series.append(Series(agent_label(agent, results.models), ends, height, model=agent))
        name = f"Success over planner compute, {results.environments.get(environment, environment)}"
        curves.append(Curve(name, "FLOPs a plan", "success", series))
    return curves


def _steps(row: PlanningRow, results: PlanningResults) -> str:
    steps = {
        results.protocols.get(each.protocol, {}).get("sampling_steps")
        for each in results.rows
        if each.agent == row.agent and each.environment == row.environment
    }
    own = results.protocols.get(row.protocol, {}).get("sampling_steps")
    return f", {own} {'step' if own == 1 else 'steps'}" if len(steps) > 1 else ""
