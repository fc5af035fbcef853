"""Episodes of environments as videos: ours by name, and those of Gymnasium by id, with what was done in them."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.by_id import (
    MOST_FRAMES,
    PICTURES_VERSION,
    UNSAID_FPS,
    made_with,
    open_world,
    picture_of,
    scaled_actions,
    spec_of,
)
from vidworld.simulation.environments.clips import EnvironmentClips
from vidworld.simulation.environments.policies import check_policy

LONGEST_HELD = 8  # frames for which the random policy holds an action in Gymnasium's environments


@dataclass(frozen=True)
class Play:
    """Which episodes: each follows from this and its number."""

    environment: str
    policy: str = "random"
    seed: int = 0
    size_px: int = 64
    """Of the shorter side."""
    most_frames: int | None = None
    """Frames after which an episode is cut off; None: as many as one of ours has, 200 of Gymnasium's."""


@dataclass(frozen=True)
class Played:
    """One episode."""

    frames: UInt8[Tensor, "time 3 height width"]
    fps: float
    actions: Float[np.ndarray, "taken action"]
    """What was done after each frame but the last, from -1 to 1; of Discrete ones 1 for that taken, else 0."""
    rewards: Float[np.ndarray, " taken"]
    """What each of these brought."""


def made_by(play: Play) -> str:
    """The version of what is played. UserError: there is no such environment or policy, or Gymnasium is missing."""
    check_policy(play.policy)
    if play.environment in ENVIRONMENTS:
        return f"{play.environment} {ENVIRONMENTS.version(play.environment)}"
    spec_of(play.environment)
    if play.policy != "random":
        raise UserError(f"{play.environment}: has no {play.policy} policy (ours have); --policy random would do")
    return f"{made_with(play.environment)}, pictures {PICTURES_VERSION}"


def played(play: Play, number: int) -> Played:
    """One episode by its number. UserError: nobody could play it; other errors are the environment's own."""
    return _ours(play, number) if play.environment in ENVIRONMENTS else _gymnasiums(play, number)


def _ours(play: Play, number: int) -> Played:
    """Clip `number` of the environment's clips for training, as long as an episode."""
    world = ENVIRONMENTS[play.environment]
    count = play.most_frames or world.context_frames + world.budget_frames
    shape = ClipShape(num_frames=count, height_px=play.size_px, width_px=play.size_px)
    logged = EnvironmentClips(play.environment, "train", play.seed, number + 1, shape, play.policy).logged([number])
    clips, rewards = logged.clips, logged.reward[0, 1:].double().numpy()
    assert clips.actions is not None
    return Played(clips.frames[0], clips.fps, clips.actions[0, 1:].numpy().astype(np.float64), rewards)


def _gymnasiums(play: Play, number: int) -> Played:
    reset_seed, *of_policy = np.random.SeedSequence([play.seed, number]).generate_state(3).tolist()
    draws = np.random.default_rng(of_policy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium's, about what it thinks of the environment
        world = open_world(play.environment, play.size_px)
        try:
            drawn, given = scaled_actions(play.environment, world.action_space)
            world.reset(seed=reset_seed)
            frames, ends = [picture_of(play.environment, world, play.size_px)], 0
            actions: list[np.ndarray] = []
            rewards: list[float] = []
            while len(frames) < (play.most_frames or MOST_FRAMES):
                if len(actions) == ends:
                    held, ends = drawn(draws), ends + int(draws.integers(1, LONGEST_HELD + 1))
                actions.append(held)
                _, reward, terminated, truncated, _ = world.step(given(held))
                rewards.append(float(reward))
                frames.append(picture_of(play.environment, world, play.size_px))
                if terminated or truncated:
                    break
            fps = float(world.metadata.get("render_fps") or UNSAID_FPS)
        finally:
            world.close()
    return Played(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2), fps, np.stack(actions), np.array(rewards))
