"""Any of Gymnasium's environments to plan in, by its id: pictures, actions and rewards are all that is asked of it.

Its episodes cannot be put back to an earlier frame: the same actions from the same seed are what leads there again.
"""

import hashlib
import weakref
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from vidworld.core.clip import Frames
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws
from vidworld.core.errors import UserError
from vidworld.simulation.environments.by_id import (
    MOST_FRAMES,
    PICTURES_VERSION,
    Given,
    fps_of,
    gymnasium_for,
    in_time,
    made_with,
    open_world,
    picture_of,
    scaled_actions,
    spec_of,
)
from vidworld.simulation.environments.environment import ColorPlaces, Environment
from vidworld.simulation.stage import PALETTE

_SAYS_SUCCESS = ("is_success", "success")
"""Where `info` says whether the goal is reached (Gymnasium-Robotics, Meta-World). An end says nothing of that: some
environments end when all is done, others when somebody fell."""


class GymnasiumsEpisode:
    """One episode, played from its seed; rewards are zero after its end."""

    def __init__(self, name: str, given: Given, seed: int, size_px: int | None) -> None:
        self.name, self.given, self.seed, self.world = name, given, seed, open_world(name, size_px)
        self.flatten = gymnasium_for(name).spaces.flatten
        weakref.finalize(self, self.world.close)
        self.begin()

    def begin(self) -> None:
        """Go to its first frame."""
        with in_time(self.name):
            seen, self.info = self.world.reset(seed=self.seed)
        self.done: list[np.ndarray] = []
        self.rewards: list[float] = []
        self.seen, self.over = [self._digest(seen)], False

    def step(self, action: np.ndarray) -> float:
        """What a frame of this action, from -1 to 1, brings."""
        self.done.append(action)
        self.rewards.append(0.0)
        if not self.over:
            with in_time(self.name):
                seen, reward, terminated, truncated, self.info = self.world.step(self.given(action))
            self.rewards[-1], self.over = float(reward), bool(terminated or truncated)
            self.seen.append(self._digest(seen))
        return self.rewards[-1]

    def _digest(self, seen: Any) -> str:
        """Of an observation: what shows that an episode goes the same way again."""
        numbers = np.asarray(self.flatten(self.world.observation_space, seen))
        return hashlib.sha256(numbers.tobytes()).hexdigest()

    @property
    def solved(self) -> bool:
        said = [self.info[key] for key in _SAYS_SUCCESS if key in self.info]
        return any(bool(each) and np.float64(each) > 0 for each in said)  # NaN is no success


@dataclass(frozen=True)
class Ongoing:
    """Some episodes as they are at a frame."""

    episodes: tuple[GymnasiumsEpisode, ...]
    picture: Frames
    """One frame of each."""
    reward: Float[Tensor, " env"]
    """What led to this frame brought."""
    solved: Bool[Tensor, " env"]

    def __len__(self) -> int:
        return len(self.episodes)


class GymnasiumEnvironment(Environment[Any]):
    """An environment by its id, in square pictures of this size. It has neither discs nor a goal in numbers.

    Raises UserError: there is no such id, nobody can plan in it (no pictures, no bounded Box of actions), or a package
    is missing.
    """

    context_frames = 4
    colors, radii = (), ()

    def __init__(self, name: str, size_px: int = 64) -> None:
        spec, gymnasium = spec_of(name), gymnasium_for(name)
        self.name, self.label, self.size_px = name, name, size_px  # type: ignore[misc]
        self.version = f"{made_with(name)}, pictures {PICTURES_VERSION}"  # type: ignore[misc]
        try:
            with closing(open_world(name, size_px)) as world:
                if not isinstance(world.action_space, gymnasium.spaces.Box):
                    kind = type(world.action_space).__name__
                    raise UserError(f"{name}: its actions are {kind}; to plan takes those of Box, with bounds")
                self.given = scaled_actions(name, world.action_space)[1]
                self.action_channels = int(world.action_space.low.size)  # type: ignore[misc]
                self.fps = fps_of(name, world.metadata)  # type: ignore[misc]
                with in_time(name):
                    world.reset(seed=0)
                picture_of(name, world, size_px)
                with in_time(name):
                    *_, info = world.step(self.given(np.zeros(self.action_channels)))
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{name}: cannot be opened ({type(error).__name__}: {error})") from error
        self.judges = any(key in info for key in _SAYS_SUCCESS)  # type: ignore[misc]
        self.budget_frames = (spec.max_episode_steps or MOST_FRAMES) - (self.context_frames - 1)  # type: ignore[misc]

    def start(self, draws: Draws) -> Ongoing:
        """The first frame of episodes whose seeds are the streams' last 31 bits."""
        seeds = (draws.streams & (2**31 - 1)).tolist()
        episodes = tuple(GymnasiumsEpisode(self.name, self.given, seed, self.size_px) for seed in seeds)
        return self._now(episodes, [0.0] * len(episodes))

    def step(self, state: Ongoing, action: Float[Tensor, "env action"]) -> Ongoing:
        """A frame on: the episodes move, and `state` is what they were."""
        each = zip(state.episodes, action.clamp(-1, 1).double().numpy(), strict=True)
        return self._now(state.episodes, [episode.step(one) for episode, one in each])

    def _now(self, episodes: tuple[GymnasiumsEpisode, ...], rewards: list[float]) -> Ongoing:
        pictures = torch.from_numpy(np.stack([self._square(episode.world) for episode in episodes]))
        reward, solved = torch.tensor(rewards, dtype=torch.float64), torch.tensor([each.solved for each in episodes])
        return Ongoing(episodes, pictures.permute(0, 3, 1, 2)[:, None].contiguous(), reward, solved)

    def _square(self, world: Any) -> UInt8[np.ndarray, "height width 3"]:
        """The middle of its picture."""
        picture, size = picture_of(self.name, world, self.size_px), self.size_px
        top, left = ((length - size) // 2 for length in picture.shape[:2])
        return picture[top : top + size, left : left + size]

    def brought(
        self, state: Ongoing, actions: Float[Tensor, "env candidate block action"], block_frames: int
    ) -> Float[Tensor, "env candidate block"] | None:
        """What a frame of each block would bring on average, by playing the episodes again up to this frame.

        None: one of them then goes another way.
        """
        found = [
            [self._again(episode, blocks, block_frames) for blocks in candidates]
            for episode, candidates in zip(state.episodes, actions.double().numpy(), strict=True)
        ]
        another = any(blocks is None for candidates in found for blocks in candidates)
        return None if another else torch.tensor(found, dtype=torch.float64)

    def _again(self, episode: GymnasiumsEpisode, blocks: np.ndarray, block_frames: int) -> list[float] | None:
        twin = self._twin
        twin.seed = episode.seed
        twin.begin()
        rewards = [twin.step(action) for action in episode.done]
        if not np.array_equal(rewards, episode.rewards, equal_nan=True) or twin.seen != episode.seen:
            return None
        return [sum(twin.step(action) for _ in range(block_frames)) / block_frames for action in blocks]

    @cached_property
    def _twin(self) -> GymnasiumsEpisode:
        """What episodes are played again in, without pictures."""
        return GymnasiumsEpisode(self.name, self.given, 0, None)

    def draw(self, states: Sequence[Ongoing], shape: ClipShape = ClipShape()) -> tuple[Frames, None]:  # type: ignore[override]
        """The frames of these states in time; UserError where pictures are to be of another size than its own."""
        if (shape.height_px, shape.width_px) != (self.size_px, self.size_px):
            raise UserError(f"{self.name}: has pictures of {self.size_px} px, not {shape.width_px} x {shape.height_px}")
        return torch.cat([state.picture for state in states], dim=1), None

    def reward(self, state: Ongoing) -> Float[Tensor, " env"]:
        return state.reward

    def solved(self, state: Ongoing) -> Bool[Tensor, " env"]:
        """Where `info` says so."""
        return state.solved

    def target(self, state: Ongoing) -> Float[Tensor, "env goal"]:
        """No numbers: what is wanted is what brings most."""
        return torch.zeros(len(state), 0, dtype=torch.float64)

    @property
    def goal_numbers(self) -> int:
        return 0

    def goal_picture(self, state: Ongoing, shape: ClipShape = ClipShape()) -> None:
        """None: nobody knows how it would look."""

    def places(self, state: Ongoing) -> Float[Tensor, "env color 2"]:
        """No disc is anywhere (NaN)."""
        return torch.full((len(state), len(PALETTE), 2), torch.nan, dtype=torch.float64)

    def cost(self, places: ColorPlaces, target: Float[Tensor, "env goal"]) -> Float[Tensor, "env *any"]:
        """Nobody says how far from solved it is (NaN)."""
        return torch.full(places.shape[:-2], torch.nan, dtype=torch.float64)

    def expert(self, state: Ongoing) -> Float[Tensor, "env action"]:
        """UserError: there is none."""
        raise UserError(f"{self.name}: has no scripted policy (ours have)")
