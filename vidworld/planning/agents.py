"""Agents: what chooses actions. They see frames so far, their own actions so far and the goal, and nothing else.

Only the planner on the true simulator, the ceiling, is given the state.
"""

import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vidworld.core.clip import Frames
from vidworld.core.counter_rng import Draws
from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import ModelFailure
from vidworld.models.external.foreign import first_line, foreign
from vidworld.planning import PLANNERS
from vidworld.planning.planners import Blocks, CandidateActions, Costs, Plan, Score, warm_start
from vidworld.planning.protocol import PlanningProtocol
from vidworld.simulation.environments.environment import FRAME_S, Environment
from vidworld.simulation.environments.of_gymnasium import GymnasiumEnvironment

AGENTS_VERSION = 1
"""Of those here that are no models; raised when one of them comes to do something else."""


class EnvironmentDied(Exception):
    """What an environment raised: it costs the episode that it happened in."""


@contextmanager
def of_environment() -> Iterator[None]:
    """What is raised in here is the environment's fault, and becomes EnvironmentDied."""
    try:
        with foreign():
            yield
    except Exception as error:
        raise EnvironmentDied(first_line(error)) from error


@dataclass(frozen=True)
class Goal:
    """What is to be reached: as numbers (world units), and as a picture where it has one."""

    target: Float[Tensor, "clip goal"]
    picture: Frames | None


@dataclass(frozen=True)
class Observed:
    """All that an agent is given of a few episodes."""

    frames: Frames
    """All so far, whose last one is now."""
    actions: Float[Tensor, "clip time action"]
    """What led to each of them: its own, and zero in the context."""
    goal: Goal
    streams: Int[Tensor, " clip"]
    """Of random numbers, one an episode and plan."""
    fps: float = 1 / FRAME_S


class Decision(NamedTuple):
    """What is to be done, of which the first blocks are executed, and what it took."""

    actions: Blocks
    scored: int = 0
    calls: int = 0
    flops: float = 0.0
    """Of one episode's plan."""
    seconds: float = 0.0
    """Of all episodes together."""


@dataclass(frozen=True)
class Agent(ABC):
    """What chooses actions. It keeps nothing: what it knows of the plan before is what it is given."""

    protocol: PlanningProtocol
    action_channels: int
    name: str
    made_from: str = str(AGENTS_VERSION)
    """A fingerprint of all that its choices depend on beside protocol and environment."""
    sees_state: bool = False
    """True of the planner on the true simulator alone: only then `state` is not None."""
    other_goal: bool = False
    """Whether it is given another episode's goal."""

    @abstractmethod
    def decide(self, seen: Observed, before: Blocks | None, state: Any) -> Decision:
        """The next blocks of actions; `before` is the plan before. Raises ModelFailure: its model fails."""


@runtime_checkable
class Imagination(Protocol):
    """What a planner asks: what candidates cost."""

    def score(self, seen: Observed, state: Any) -> Score:
        """The cost of candidates from here on."""

    def flops(self, seen: Observed, scored: int, calls: int) -> float:
        """Of one episode's plan, whose candidates were scored in so many calls; 0 of what has no products to count."""
        return 0.0


@dataclass(frozen=True)
class PlannerAgent(Agent):
    """The protocol's planner over what a model, or the true simulator, imagines."""

    imagination: Imagination = field(kw_only=True)

    def decide(self, seen: Observed, before: Blocks | None, state: Any) -> Decision:
        """The best candidate's actions. Raises ModelFailure: the model fails, or the planner finds no gradient."""
        protocol, shape = self.protocol, (len(seen.frames), self.protocol.imagined_blocks, self.action_channels)
        start = torch.zeros(shape, dtype=torch.float64)
        if before is not None and protocol.warm_start:
            start = warm_start(before, protocol.execute_blocks)
        began = time.perf_counter()
        plan = self._planned(self.imagination.score(seen, state), seen, start)
        seconds, flops = time.perf_counter() - began, self.imagination.flops(seen, plan.scored, plan.calls)
        return Decision(plan.actions.clamp(-1, 1), plan.scored, plan.calls, flops, seconds)

    def _planned(self, score: Score, seen: Observed, start: Blocks) -> Plan:
        protocol = self.protocol
        planner, ours = PLANNERS[protocol.planner], protocol.planner in PLANNERS.builtin
        try:
            with nullcontext() if ours else foreign():
                plan = planner(score, seen.streams, start, protocol)
                actions = plan.actions.detach()
                clips, blocks, channels = actions.shape
                fits = (clips, channels) == (len(start), self.action_channels) and blocks >= protocol.execute_blocks
                if not fits or not actions.is_floating_point():
                    wanted = f"({len(start)}, {protocol.execute_blocks} or more, {self.action_channels})"
                    raise UserError(
                        f"planner {protocol.planner} gave actions of shape {tuple(actions.shape)} and {actions.dtype}; "
                        f"{wanted} (clip, block, action) in floating point would do"
                    )
                found = Plan(actions, plan.cost, int(plan.scored), int(plan.calls))
        except (ModelFailure, EnvironmentDied):
            raise
        except UserError as error:  # the planner cannot do with what it was given, or gave what is no plan
            raise ModelFailure(self.name, str(error)) from error
        except Exception as error:
            if ours:
                raise
            raise ModelFailure(self.name, f"planner {protocol.planner} failed with {first_line(error)}") from error
        return found


@dataclass(frozen=True)
class RandomAgent(Agent):
    """Another action every block, drawn evenly."""

    name: str = "random"

    def decide(self, seen: Observed, before: Blocks | None, state: Any) -> Decision:
        shape = (self.protocol.execute_blocks, self.action_channels)
        drawn = Draws(seen.streams).uniform(-1.0, 1.0, shape[0] * shape[1])
        return Decision(drawn.view(-1, *shape))


@dataclass(frozen=True)
class NoOpAgent(Agent):
    """It does nothing."""

    name: str = "no_op"

    def decide(self, seen: Observed, before: Blocks | None, state: Any) -> Decision:
        shape = (len(seen.frames), self.protocol.execute_blocks, self.action_channels)
        return Decision(torch.zeros(shape, dtype=torch.float64))


@dataclass(frozen=True)
class SimulatorImagination(Imagination):
    """The truth: what the environment's own steps lead to, from the state. The ceiling of what planning reaches."""

    environment: Environment[Any]
    protocol: PlanningProtocol
    guesses: bool = False
    """What cannot be seen now is guessed, by the first picture and so alike at every plan: what physics reaches without
    memory."""

    def score(self, seen: Observed, state: Any) -> Score:
        if self.guesses:
            state = self._guessed(seen, state)

        def cost(actions: CandidateActions) -> Costs:
            clips, count = actions.shape[:2]
            each = torch.arange(clips).repeat_interleave(count)
            target, now = seen.goal.target[each], state.at(each)
            over = []
            with of_environment():
                for action in actions.flatten(0, 1).unbind(dim=1):
                    for _ in range(self.protocol.block_frames):
                        now = self.environment.step(now, action)
                    over.append(self.environment.cost(self.environment.places(now), target))
            return over_trajectory(torch.stack(over, dim=1), self.protocol).view(clips, count)

        return cost

    def _guessed(self, seen: Observed, state: Any) -> Any:
        """The true state of every other episode, and the mistaken one of the others."""
        mistaken = self.environment.mistaken(state)
        assert mistaken is not None
        wrong = torch.tensor([zlib.crc32(picture.numpy().tobytes()) & 1 for picture in seen.frames[:, 0].cpu()]).bool()
        both = zip(vars(mistaken).items(), vars(state).values(), strict=True)
        return type(state)(**{name: torch.where(wrong.view(-1, *[1] * (a.ndim - 1)), a, b) for (name, a), b in both})


@dataclass(frozen=True)
class ReplayedImagination(Imagination):
    """The truth of Gymnasium's environments, which can be put to no state: what their episodes, played again, bring."""

    environment: GymnasiumEnvironment
    protocol: PlanningProtocol

    def score(self, seen: Observed, state: Any) -> Score:
        """Raises UserError when it scores: an episode that is played again goes another way."""

        def cost(actions: CandidateActions) -> Costs:
            with of_environment():
                brought = self.environment.brought(state, actions, self.protocol.block_frames)
            if brought is None:
                raise UserError("an episode that is played again goes another way, so that it foretells nothing")
            return over_trajectory(-brought, self.protocol)

        return cost


def over_trajectory(costs: Float[Tensor, "*any t"], protocol: PlanningProtocol) -> Float[Tensor, "*any"]:
    """The cost of a future from those of its moments; of minus its rewards, minus its return over their number."""
    if protocol.cost_over == "last":
        return costs[..., -1]
    return (costs * protocol.discount ** torch.arange(costs.shape[-1]).to(costs)).mean(dim=-1)
