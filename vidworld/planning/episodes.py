"""Episodes: agents act in an environment, a few episodes at a time, and what they reach is written down.

An episode's start is a function of environment, split, seed and number, so that all agents have the same ones. What an
episode comes to does not depend on those beside it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from vidworld.analysis.planning import EpisodeResult, failed_episode
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.core.errors import UserError
from vidworld.planning.agents import Agent, Decision, EnvironmentDied, Goal, Observed, of_environment
from vidworld.planning.planners import Blocks
from vidworld.planning.protocol import PlanningProtocol
from vidworld.planning.units import PlanningUnit
from vidworld.simulation.environments.environment import Environment

MOST_SOLVED = 10
"""Starts that are looked through for each episode, where most are solved without an action."""
STARTS_AT_ONCE = 50  # each of Gymnasium's has a renderer of its own
Watch = Callable[[Observed, Decision | None], None]
"""Is given what is seen at each decision; at the end, None for one."""


class Arena(NamedTuple):
    """Where episodes are played: an environment, by a protocol, in pictures of this size."""

    environment: Environment[Any]
    protocol: PlanningProtocol
    shape: ClipShape


class Starts(NamedTuple):
    """The episodes of a protocol."""

    numbers: list[int]
    excluded: int  # that were met on the way, and are solved without an action


def starts_of(environment: Environment[Any], protocol: PlanningProtocol) -> Starts:
    """The first episodes that are not solved before anybody acts, and how many were left out.

    Raises UserError: nearly all starts are solved.
    """
    if not protocol.exclude_solved or not environment.judges:
        return Starts(list(range(protocol.episodes)), 0)
    numbers: list[int] = []
    for first in range(0, MOST_SOLVED * protocol.episodes, protocol.episodes):
        some = list(range(first, first + protocol.episodes))
        solved = _solved_at_rest(environment, protocol, some)
        for number, done in zip(some, solved, strict=True):
            if not done:
                numbers.append(number)
            if len(numbers) == protocol.episodes:
                return Starts(numbers, number + 1 - len(numbers))
    raise UserError(
        f"{environment.name}: of {MOST_SOLVED * protocol.episodes} starts only {len(numbers)} are not solved "
        "without an action; exclude_solved: false counts them"
    )


def _solved_at_rest(environment: Environment[Any], protocol: PlanningProtocol, numbers: Sequence[int]) -> list[bool]:
    """Episodes in which the environment dies are not solved: they fail when they are played."""
    if len(numbers) > STARTS_AT_ONCE:
        pieces = (numbers[first : first + STARTS_AT_ONCE] for first in range(0, len(numbers), STARTS_AT_ONCE))
        return [done for piece in pieces for done in _solved_at_rest(environment, protocol, piece)]
    try:
        with of_environment():
            states = context_states(environment, protocol, numbers)
            return torch.stack([environment.solved(state) for state in states]).any(dim=0).tolist()
    except EnvironmentDied:
        if len(numbers) == 1:
            return [False]
        return [done for n in numbers for done in _solved_at_rest(environment, protocol, [n])]


def context_states(environment: Environment[Any], protocol: PlanningProtocol, numbers: Sequence[int]) -> list[Any]:
    """The states of the frames before the first action."""
    start = environment.start(Draws(episode_streams("start", protocol, numbers)))
    rest = torch.zeros(len(numbers), environment.action_channels, dtype=torch.float64)
    count = (protocol.context_frames or environment.context_frames) - 1
    return [*accumulate([rest] * count, environment.step, initial=start)]


def episode_streams(what: str, protocol: PlanningProtocol, numbers: Sequence[int]) -> Int[Tensor, " clip"]:
    """Random numbers of episodes: those of their start, or of a plan."""
    return clip_streams(stream_name(what, protocol), numbers, torch.device("cpu"))


def stream_name(what: str, protocol: PlanningProtocol) -> str:
    """What the random numbers of a protocol's episodes are called."""
    return f"planning/{what}/{protocol.environment}/{protocol.split}/{protocol.seed}"


def play(arena: Arena, agent: Agent, numbers: Sequence[int], watch: Watch | None = None) -> list[EpisodeResult]:
    """What the agent reaches in the episodes of these numbers.

    An action out of bounds, and an environment that raises, is a failure of its episode. Raises ModelFailure: the
    agent's model fails.
    """
    try:
        return _play(arena, agent, numbers, watch)
    except EnvironmentDied as death:
        if len(numbers) > 1:  # which one it was is not known
            return [each for n in numbers for each in play(arena, agent, [n], watch)]
        name, unknown = arena.environment.name, math.nan
        who = (name, arena.protocol.hash, agent.name, numbers[0])
        lost = EpisodeResult(*who, False, False, -1, unknown, unknown, 0, 0, 0, 0.0, 0.0)
        return [failed_episode(lost, f"{name} died: {death}")]


def _play(arena: Arena, agent: Agent, numbers: Sequence[int], watch: Watch | None) -> list[EpisodeResult]:
    environment, protocol, shape = arena
    count, budget = len(numbers), protocol.budget_blocks or 0
    with of_environment():
        states = context_states(environment, protocol, numbers)
        asked_for = states[0]
        if agent.other_goal:
            asked_for = environment.start(Draws(episode_streams("start", protocol, [number + 1 for number in numbers])))
        goal = Goal(environment.target(asked_for), environment.goal_picture(asked_for, shape))
        frames, _ = environment.draw(states, shape)
    state, actions = states[-1], torch.zeros(*frames.shape[:2], environment.action_channels, dtype=torch.float64)
    first, brought = torch.full((count,), -1), torch.zeros(count, dtype=torch.float64)
    failed: list[str] = [""] * count
    decisions: list[Decision] = []
    before: Blocks | None = None
    for block in range(0, budget, protocol.execute_blocks):
        seen = Observed(frames, actions, goal, episode_streams(f"plan {block}", protocol, numbers), environment.fps)
        decision = agent.decide(seen, before, state if agent.sees_state else None)
        decisions.append(decision)
        if watch is not None:
            watch(seen, decision)
        before = _usable(decision.actions, failed)
        for number, action in enumerate(before[:, : protocol.execute_blocks].unbind(dim=1), start=block):
            if number == budget:
                break
            new = []
            with of_environment():
                for _ in range(protocol.block_frames):
                    state = environment.step(state, action)
                    new.append(state)
                    reward = environment.reward(state)
                    for i in reward.isfinite().logical_not().nonzero()[:, 0].tolist():
                        failed[i] = failed[i] or f"{environment.name} gave a reward of {float(reward[i]):g}"
                    brought += torch.where(reward.isfinite(), reward, torch.nan)
                    first = torch.where(environment.solved(state) & (first < 0), number + 1, first)
                drawn, _ = environment.draw(new, shape)
            frames = torch.cat((frames, drawn), dim=1)
            held = action[:, None].expand(-1, protocol.block_frames, -1)
            actions = torch.cat((actions, held.to(actions)), dim=1)
    if watch is not None:
        watch(Observed(frames, actions, goal, episode_streams("end", protocol, numbers), environment.fps), None)
    with of_environment():
        cost = environment.cost(environment.places(state), environment.target(state)).tolist()
        end = environment.solved(state).tolist()
    totals = (
        len(decisions), sum(d.scored for d in decisions), sum(d.calls for d in decisions),
        sum(d.flops for d in decisions), sum(d.seconds for d in decisions) / count,
    )  # fmt: skip
    found = [
        EpisodeResult(
            environment.name, protocol.hash, agent.name, number, bool(first[i] >= 0), bool(end[i]), int(first[i]),
            float(cost[i]), float(brought[i]), *totals,
        )
        for i, number in enumerate(numbers)
    ]  # fmt: skip
    return [failed_episode(each, why) if why else each for each, why in zip(found, failed, strict=True)]


def _usable(actions: Blocks, failed: list[str]) -> Blocks:
    """The actions; those of an episode in which one is out of bounds are rest, and it has failed."""
    bad = ~(actions.abs() <= 1 + 1e-6)
    for i in bad.flatten(1).any(dim=1).nonzero()[:, 0].tolist():
        failed[i] = failed[i] or f"an action of {float(actions[i][bad[i]][0]):g} lies outside [-1, 1]"
    stopped = torch.tensor([bool(why) for why in failed])
    return torch.where(stopped[:, None, None], 0.0, actions)


def units_of(
    arena: Arena, agent: Agent, starts: Starts, folder: Path, at_once: int, made_from: str
) -> Iterator[PlanningUnit]:
    """The episodes of an agent in units of at most so many."""
    for first in range(0, len(starts.numbers), at_once):
        numbers = starts.numbers[first : first + at_once]
        batch = f"{arena.environment.name}_{arena.protocol.hash}_{first}_{first + len(numbers) - 1}"
        measured = partial(play, arena, agent, numbers)
        yield PlanningUnit(folder, batch, agent.name, made_from, EpisodeResult, measured, arena.environment.name)
