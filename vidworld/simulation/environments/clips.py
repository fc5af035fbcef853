"""Clips of environments by number, with the actions that led to each frame: nothing on disk."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vidworld.core.clip import Clips, ClipSource
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws, clip_streams, public
from vidworld.core.errors import UserError
from vidworld.core.hardware import in_threads
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.environment import FRAME_S, Environment, StateT, check_square
from vidworld.simulation.environments.policies import LATEST_START, check_policy, plans
from vidworld.simulation.simulated import MAX_IN_A_BLOCK
from vidworld.simulation.stage import joined

ENVIRONMENT_SPLITS = ("train", "val", "id")
"""The same environments by other numbers."""


class Logged(NamedTuple):
    """Clips with the goal of whoever acted in them, and the reward of each frame."""

    clips: Clips
    goal: Float[Tensor, "clip goal"]
    """The target of the episode that a clip is of."""
    reward: Float[Tensor, "clip time"]
    """Minus the environment's cost of the true places (world units)."""
    reached: Float[Tensor, "clip time goal"]
    """The goal that each frame would have reached: the clip's own where the environment knows no other."""
    aimless: Bool[Tensor, " clip"]
    """Whether all that was done is random: nothing of it was for the goal."""


@runtime_checkable
class ActingSource(ClipSource, Protocol):
    """Clips in which somebody acts in an environment."""

    def logged(self, indices: Sequence[int]) -> Logged:
        """The clips of these numbers with their goals and rewards."""


class EnvironmentClips:
    """A ClipSource: clip `i` is a function of (environment, policy, split, seed, i) and of the picture's size.

    Longer clips begin with the shorter ones. seed: a number, or "0+SECRET" as that of `SimulatedClips`. UserError where
    frames are not `FRAME_S` apart or pictures not square.
    """

    def __init__(
        self,
        name: str,
        split: str,
        seed: int | str = 0,
        length: int = 100_000,
        shape: ClipShape = ClipShape(),
        policy: str = "random",
    ) -> None:
        ENVIRONMENTS.check([name])
        check_policy(policy)
        if split not in ENVIRONMENT_SPLITS:
            raise UserError(f"there is no split {split!r} of environments; there are {', '.join(ENVIRONMENT_SPLITS)}")
        if abs(shape.dt_s - FRAME_S) > 1e-9:
            raise UserError(f"{name}: has {1 / FRAME_S:g} frames a second, not {shape.fps:g}")
        check_square(name, shape)
        self.environment = ENVIRONMENTS[name]
        self.stream = f"{name}_{policy}/{split}/{seed}"
        self.name, self.policy, self.split, self.length, self.shape = public(self.stream), policy, split, length, shape

    def __len__(self) -> int:
        return self.length

    def clips(self, indices: Sequence[int]) -> Clips:
        """The clips of these numbers, with tracks and actions."""
        for index in indices:
            if not 0 <= index < self.length:
                raise IndexError(f"{self.name} has clips 0 to {self.length - 1}, not {index}")
        return self.logged(indices).clips

    def logged(self, indices: Sequence[int]) -> Logged:
        """The clips of these numbers with their goals and rewards."""
        blocks = [indices[start : start + MAX_IN_A_BLOCK] for start in range(0, len(indices), MAX_IN_A_BLOCK)]
        return together(in_threads(self._made, blocks))

    def _made(self, indices: Sequence[int]) -> Logged:
        cpu, count = torch.device("cpu"), self.shape.num_frames
        world = self.environment
        states = [world.start(Draws(clip_streams(self.stream, indices, cpu)))]
        streams, frames = clip_streams(f"{self.stream}/policy", indices, cpu), count + LATEST_START
        plan = plans(streams, frames, world.context_frames, mixed=self.policy == "mixed")
        actions = [torch.zeros_like(plan.random[:, 0])]
        for time in range(1, count + int(plan.begins.max())):
            state, action = states[-1], plan.random[:, time]
            if self.policy != "random":
                action = plan.scripted(time, actions[-1], partial(world.expert, state))
            states.append(world.step(state, action))
            actions.append(action)
        shown = plan.begins[:, None] + torch.arange(count)
        rows = torch.arange(len(indices))
        done = torch.stack(actions, dim=1)[rows[:, None], shown]
        identity = tuple(f"{self.name}/{index}" for index in indices)
        over = [over_time(states, rows, shown[:, time]) for time in range(count)]
        return logged_of(world, over, done, plan.astray.all(dim=1) | (self.policy == "random"), self.shape, identity)


def over_time(states: Sequence[StateT], rows: Int[Tensor, " env"], times: Int[Tensor, " env"]) -> StateT:
    """Each environment's state at a time of its own."""
    fields = {name: torch.stack([vars(state)[name] for state in states], dim=1) for name in vars(states[0])}
    return type(states[0])(**{name: value[rows, times] for name, value in fields.items()})


def logged_of(
    world: Environment[Any],
    states: Sequence[Any],
    actions: Float[Tensor, "clip time _"],
    aimless: Bool[Tensor, " clip"],
    shape: ClipShape,
    identity: tuple[str, ...],
) -> Logged:
    """The clips of these states in time, with goals and rewards; what led to the first frame is not theirs."""
    done = actions.to(torch.float32).clone()
    done[:, 0] = 0.0
    frames, tracks = world.draw(states, shape)
    goal = world.target(states[0])
    reward = -torch.stack([world.cost(world.places(state), goal) for state in states], dim=1)
    reached = torch.stack([world.reached(state) for state in states], dim=1)
    return Logged(Clips(frames, shape.fps, identity, tracks, actions=done), goal, reward, reached, aimless)


def together(parts: Sequence[Logged]) -> Logged:
    """The clips of all parts."""
    clips, *numbers = zip(*parts, strict=True)
    frames, tracks, actions = zip(*((each.frames, each.tracks, each.actions) for each in clips), strict=True)
    identity = tuple(name for each in clips for name in each.identity)
    made = Clips(torch.cat(frames), clips[0].fps, identity, joined(tracks), actions=torch.cat(actions))
    return Logged(made, *(torch.cat(each) for each in numbers))
