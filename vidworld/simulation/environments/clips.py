"""Clips of environments by number, with the actions that led to each frame, and who acts in them; nothing on disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vidworld.core.clip import Clips, Logged
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws, clip_streams, mix, public
from vidworld.core.errors import UserError
from vidworld.core.hardware import in_threads
from vidworld.simulation.environments import ENVIRONMENTS, Policy
from vidworld.simulation.environments.environment import FRAME_S, FRAMES_HELD, Action, Environment, StateT, check_square
from vidworld.simulation.simulated import MAX_IN_A_BLOCK
from vidworld.simulation.stage import joined

POLICIES: tuple[str, ...] = get_args(Policy)
"""`random`: an action held for a while, in half of the clips for a chunk at a time. `scripted`: for each chunk what the
environment's expert would do, with noise, and now and then something random. `mixed`: half of the clips scripted, the
others something random in every chunk. In half of the clips of each nothing is done in the context, as in episodes; the
others begin somewhere in an episode in which there was no waiting."""
_LONGEST = 2 * FRAMES_HELD  # frames for which the random policy holds an action
_ASTRAY = 0.25  # share of chunks in which the scripted policy does something random
_NOISE = 0.4  # the most by which it is off in the others
LATEST_START = 8 * FRAMES_HELD
"""The frame of its episode with which a clip begins at the latest."""
ENVIRONMENT_SPLITS = ("train", "val", "id")
"""The same environments by other numbers."""


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
        over = over_time(states, rows, shown)
        return logged_of(world, over, done, plan.astray.all(dim=1) | (self.policy == "random"), self.shape, identity)


def over_time(states: Sequence[StateT], rows: Int[Tensor, " env"], times: Int[Tensor, "env time"]) -> list[StateT]:
    """The states of these environments, each at times of its own."""
    fields = {name: torch.stack([vars(state)[name] for state in states], dim=1) for name in vars(states[0])}
    return [type(states[0])(**{k: v[rows, now] for k, v in fields.items()}) for now in times.unbind(dim=1)]


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


def check_policy(name: str) -> None:
    """Raise UserError if there is no such policy."""
    if name not in POLICIES:
        raise UserError(f"there is no policy {name!r}; there are {', '.join(POLICIES)}")


@dataclass(frozen=True)
class Plans:
    """What is decided about the actions of each clip before anything is seen; the last axis is x and y."""

    random: Float[Tensor, "env time 2"]
    noise: Float[Tensor, "env time 2"]
    astray: Bool[Tensor, "env time"]
    rests: Bool[Tensor, "env time"]
    begins: Int[Tensor, " env"]  # the frame of the episode that is the clip's first: that of a chunk

    def scripted(self, time: int, held: Action, expert: Callable[[], Action]) -> Action:
        """The scripted policy's action that leads to this frame; `held` led to the one before."""
        begins = (self.rests[:, time - 1] & ~self.rests[:, time]) | (time % FRAMES_HELD == 0)
        if bool(begins.any()):
            wanted = (expert() + self.noise[:, time]).clamp(-1, 1)
            wanted = torch.where(self.astray[:, time, None], self.random[:, time], wanted)
            held = torch.where(begins[:, None], wanted, held)
        return torch.where(self.rests[:, time, None], 0.0, held)


def plans(streams: Int[Tensor, " env"], num_frames: int, context_frames: int, mixed: bool = False) -> Plans:
    """The plans of these streams for episodes of so many frames; longer ones begin with shorter ones.

    mixed: half of them are astray throughout.
    """
    time = torch.arange(num_frames, device=streams.device)
    draws = Draws(mix(streams))
    lost = Draws(mix(streams + 1)).chance(0.5) & torch.tensor(mixed, device=streams.device)
    by_chunk, waits = draws.chance(0.5), draws.chance(0.5)
    later = draws.uniform(0.0, LATEST_START / FRAMES_HELD + 1).floor().to(torch.int64) * FRAMES_HELD
    drawn = draws.uniform(count=6 * num_frames).reshape(len(streams), num_frames, 6)
    ends = (1 + (drawn[..., 0] * _LONGEST).floor()).cumsum(1)  # of each held action, in frames
    ends = torch.where(by_chunk[:, None], (time + 1.0) * FRAMES_HELD, ends)
    which = torch.searchsorted(ends, time.to(ends).expand(len(streams), -1).contiguous(), right=True)
    which = which.clamp(max=num_frames - 1)
    values = 2 * drawn[..., 1:5] - 1
    random = values[..., :2].gather(1, which[..., None].expand(-1, -1, 2))
    rests = (waits[:, None] & (time < context_frames)) | (time == 0)
    return Plans(
        random=torch.where(rests[..., None], 0.0, random),
        noise=_NOISE * values[..., 2:],
        astray=(drawn[..., 5] < _ASTRAY) | lost[:, None],
        rests=rests,
        begins=torch.where(waits, 0, later),
    )
