"""What planning came to: an episode a line of episodes.csv, an agent a row of planning.json."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from vidworld.analysis.labels import model_label
from vidworld.analysis.records import STRICT, Bounds95, Model, Number, read_as
from vidworld.analysis.statistics import interval, share_interval
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
    returned: float
    """What all frames after the context brought together; of our environments minus the costs of their true places."""
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
        found = share_interval(count, episodes)
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
    returned: Bounds95 | None = None
    """Mean of what an episode brought; None in results of an older version."""
    judged: bool = True
    """Whether the environment says when its goal is reached; else nobody knows success (NaN)."""

    @property
    def success(self) -> Outcomes:
        """By the protocol's rule."""
        return self.ever if self.rule == "ever" else self.end

    @property
    def outcome(self) -> Outcomes | Bounds95:
        """What agents are compared by: success, or the return where nobody says when a goal is reached."""
        return self.success if self.judged or self.returned is None else self.returned


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
    hears: str = ""
    """In what other order or sign its own actions fit better than as they were done, beyond chance: "a chunk late"."""


@dataclass(frozen=True, config=STRICT)
class Landscape:
    """How badly each first action explains what truly came of one of them, from one start (planning/checks.py)."""

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
    episodes: Sequence[EpisodeResult], protocol: str, candidates: int, excluded: int, rule: str, judged: bool = True
) -> PlanningRow:
    """The row of all episodes of one agent under one protocol of this name; judged: whether their success is known."""
    first, n = episodes[0], len(episodes)
    plans = sum(each.plans for each in episodes)
    solved = [each.blocks for each in episodes if each.ever]

    def a_plan(name: str) -> float:
        return float(sum(getattr(each, name) for each in episodes)) / plans if plans else math.nan

    def share(reached: Sequence[bool]) -> Outcomes:
        return Outcomes.of(sum(reached), n) if judged else Outcomes(0, math.nan, math.nan, math.nan)

    known = [each.cost for each in episodes if math.isfinite(each.cost)]
    mean = interval(np.array([[each.returned for each in episodes]]))
    return PlanningRow(
        environment=first.environment, protocol=first.protocol, protocol_name=protocol, agent=first.agent,
        candidates=candidates, episodes=n, excluded=excluded, failed=sum(bool(each.failed) for each in episodes),
        rule=rule, ever=share([each.ever for each in episodes]), end=share([each.end for each in episodes]),
        blocks=sum(solved) / len(solved) if solved else math.nan,
        cost=sum(known) / len(known) if known else math.nan, flops=a_plan("flops"), seconds=a_plan("seconds"),
        scored=a_plan("scored"), returned=Bounds95(mean.value, mean.low, mean.high), judged=judged,
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
