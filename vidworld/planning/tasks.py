"""What is planned: each protocol in each environment at each number of candidates, and the rows that come of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from vidworld.analysis.planning import EpisodeResult, PlanningRow, row_of_agent
from vidworld.core.config import load
from vidworld.core.errors import UserError
from vidworld.planning.agents import EnvironmentDied, of_environment
from vidworld.planning.episodes import Starts, starts_of
from vidworld.planning.heads import OF_ANY_PLACE, environments_of
from vidworld.planning.protocol import PlanningProtocol, completed
from vidworld.planning.schema import PlanningConfig
from vidworld.simulation.environments import environment_named, known_environments
from vidworld.simulation.environments.environment import Environment
from vidworld.simulation.environments.of_gymnasium import GymnasiumEnvironment


@dataclass(frozen=True)
class PlanningTask:
    """One protocol in one environment, at one number of candidates."""

    name: str
    """Of the protocol's file; with the planner's, where several are asked for."""
    protocol: PlanningProtocol
    environment: Environment[Any]
    first: bool
    """Whether it is the one that videos are made of."""
    of_samplers: bool = False
    """Whether it is only for models that sample in steps, whose number differs from the protocol's file."""

    @cached_property
    def starts(self) -> Starts:
        return starts_of(self.environment, self.protocol)


def tasks_of(
    config: PlanningConfig, budgets: Sequence[int] = (), steps: Sequence[int] = (), planners: Sequence[str] = ()
) -> list[PlanningTask]:
    """Every protocol in each of its environments, with these planners, at these budgets and sampling steps.

    By reward in those of several environments that a head knows.

    Raises UserError: a file or an environment cannot be used.
    """
    found, shown = [], set()
    known: dict[str, Environment[Any]] = {}
    for path in config.protocols:
        protocol = load(PlanningProtocol, path)
        names = [*known_environments(config.environments or (protocol.environment,))]
        heads = [*config.rewards.values(), *filter(None, [config.reward])]
        if protocol.cost == "reward" and len(names) > 1 and heads:
            learnt = environments_of(heads)
            names = [name for name in names if {name, OF_ANY_PLACE} & set(learnt)] or names
        for name in names:
            if name not in known:
                known[name] = that_begins(environment_named(name, config.size_px))
            environment = known[name]
            own = completed(replace(protocol, environment=name), environment)
            if own.cost != "reward" and isinstance(environment, GymnasiumEnvironment):
                raise UserError(f"{path}: cost: {own.cost}, and {name} has rewards alone; cost: reward would do")
            if own.cost == "model" and environment.goal_picture(environment.any_start()) is None:
                raise UserError(f"{path}: cost: model, and {name} has no picture of its goal; cost: state would do")
            by_name = {f"{path.stem}_{planner}": replace(own, planner=planner) for planner in planners}
            every = [
                (called, each)
                for called, planned in (by_name or {path.stem: own}).items()
                for each in [planned.with_candidates(count) for count in budgets] or [planned]
            ]
            _, largest = max(every, key=lambda each: each[1].candidates)
            for called, each in every:
                found.append(PlanningTask(called, each, environment, name not in shown and each is largest))
                others = [replace(each, sampling_steps=count) for count in steps if count != each.sampling_steps]
                found += [PlanningTask(called, other, environment, False, True) for other in others]
            shown.add(name)
    once: dict[tuple[str, str], PlanningTask] = {}  # what is named twice is played once, by all if by all once
    for task in sorted(found, key=lambda task: task.of_samplers):
        once.setdefault((task.environment.name, task.protocol.hash), task)
    return [task for task in found if task is once[task.environment.name, task.protocol.hash]]


def that_begins(environment: Environment[Any]) -> Environment[Any]:
    """The environment, if its episodes can begin. Raises UserError: what an agent is given of one cannot be made."""
    try:
        with of_environment():
            start = environment.any_start()
            environment.target(start), environment.goal_picture(start)
            if not isinstance(environment, GymnasiumEnvironment):
                environment.mistaken(start)
    except EnvironmentDied as death:
        if isinstance(death.__cause__, UserError):
            raise death.__cause__ from death
        raise UserError(f"{environment.name}: no episode can begin there ({death})") from death
    return environment


def first_of_each(tasks: Sequence[PlanningTask]) -> list[PlanningTask]:
    """The first task in each environment."""
    return list({task.environment.name: task for task in reversed(tasks)}.values())[::-1]


def planning_rows(episodes: Sequence[EpisodeResult], tasks: Sequence[PlanningTask]) -> list[PlanningRow]:
    """A row for each agent and task, in the order of the units."""
    by_name = {(task.environment.name, task.protocol.hash): task for task in tasks}
    groups: dict[tuple[str, str, str], list[EpisodeResult]] = {}
    for episode in episodes:
        groups.setdefault((episode.environment, episode.protocol, episode.agent), []).append(episode)
    rows = []
    for (environment, protocol, _), group in groups.items():
        task = by_name[environment, protocol]
        of = (task.name, task.protocol.candidates, task.starts.excluded, task.protocol.success, task.environment.judges)
        rows.append(row_of_agent(group, *of))
    return rows
