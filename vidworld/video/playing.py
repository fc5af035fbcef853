"""Episodes of environments as videos: ours by name, and those of Gymnasium by id, with what was done in them."""

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.clips import EnvironmentClips
from vidworld.simulation.environments.policies import check_policy
from vidworld.video.events import nearest

LONGEST_HELD = 8  # frames for which the random policy holds an action in Gymnasium's environments
MOST_FRAMES = 200  # of an episode of Gymnasium's that does not end earlier
UNSAID_FPS = 10.0  # of environments that do not say theirs


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


def made_by(play: Play) -> str:
    """The version of what is played. UserError: there is no such environment or policy, or Gymnasium is missing."""
    check_policy(play.policy)
    if play.environment in ENVIRONMENTS:
        return f"{play.environment} {ENVIRONMENTS.version(play.environment)}"
    gymnasium = _gymnasium(play.environment)
    module, _, name = play.environment.rpartition(":")
    try:
        if module:
            import_module(module)
        gymnasium.spec(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{play.environment}: there is no module {error.name!r}; install it, or set PYTHONPATH"
        ) from None
    except gymnasium.error.Error:
        known = {each.casefold(): each for each in (*gymnasium.registry, *ENVIRONMENTS)}
        near = nearest(name, known)
        hint = f"did you mean {known[near]}?" if near else f"there are {', '.join(ENVIRONMENTS)}, and Gymnasium's ids"
        raise UserError(f"there is no environment {play.environment!r}; {hint}") from None
    if play.policy != "random":
        raise UserError(f"{play.environment}: has no {play.policy} policy (ours have); --policy random would do")
    return f"gymnasium {gymnasium.__version__}"


def played(play: Play, number: int) -> Played:
    """One episode by its number. UserError: nobody could play it; other errors are the environment's own."""
    return _ours(play, number) if play.environment in ENVIRONMENTS else _gymnasiums(play, number)


def _ours(play: Play, number: int) -> Played:
    """Clip `number` of the environment's clips for training, as long as an episode."""
    world = ENVIRONMENTS[play.environment]
    count = play.most_frames or world.context_frames + world.budget_frames
    shape = ClipShape(num_frames=count, height_px=play.size_px, width_px=play.size_px)
    clips = EnvironmentClips(play.environment, "train", play.seed, number + 1, shape, play.policy).clips([number])
    assert clips.actions is not None
    return Played(clips.frames[0], clips.fps, clips.actions[0, 1:].numpy().astype(np.float64))


def _gymnasiums(play: Play, number: int) -> Played:
    gymnasium = _gymnasium(play.environment)
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        os.environ.setdefault("MUJOCO_GL", "egl")  # MuJoCo would look for a screen
    reset_seed, *of_policy = np.random.SeedSequence([play.seed, number]).generate_state(3).tolist()
    draws = np.random.default_rng(of_policy)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Gymnasium's, about what it thinks of the environment
            world = gymnasium.make(play.environment, render_mode="rgb_array")
            try:
                channels, given = _actions(play.environment, gymnasium, world.action_space)
                world.reset(seed=reset_seed)
                frames, ends = [_picture(play, world)], 0
                actions: list[np.ndarray] = []
                while len(frames) < (play.most_frames or MOST_FRAMES):
                    if len(actions) == ends:
                        held, ends = channels(draws), ends + int(draws.integers(1, LONGEST_HELD + 1))
                    actions.append(held)
                    _, _, terminated, truncated, _ = world.step(given(held))
                    frames.append(_picture(play, world))
                    if terminated or truncated:
                        break
                fps = float(world.metadata.get("render_fps") or UNSAID_FPS)
            finally:
                world.close()
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"{play.environment}: {error}") from None
    return Played(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2), fps, np.stack(actions))


def _gymnasium(name: str) -> Any:
    try:
        import gymnasium
    except ImportError:
        ours = f"{name}: is none of ours ({', '.join(ENVIRONMENTS)}), and gymnasium is not installed"
        raise UserError(f"{ours}; pip install 'vidworld[environments]' would do") from None
    return gymnasium


_Drawn = Callable[[np.random.Generator], np.ndarray]
_Given = Callable[[np.ndarray], Any]


def _actions(name: str, gymnasium: Any, space: Any) -> tuple[_Drawn, _Given]:
    """How an action's channels are drawn, and what the environment is given for them."""
    if isinstance(space, gymnasium.spaces.Discrete):
        each = np.eye(int(space.n))
        return (lambda draws: each[draws.integers(len(each))]), (lambda action: space.start + int(action.argmax()))
    if not isinstance(space, gymnasium.spaces.Box):
        raise UserError(f"{name}: its actions are {type(space).__name__}; those of Box and Discrete would do")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise UserError(f"{name}: its actions have no bounds; an environment whose Box has some would do")
    low, span, count = (
        space.low.astype(np.float64),
        np.subtract(space.high, space.low, dtype=np.float64),
        space.low.size,
    )

    def given(action: np.ndarray) -> np.ndarray:
        scaled = low + (action.reshape(low.shape) + 1) / 2 * span
        return np.asarray(np.clip(scaled, space.low, space.high), space.dtype)

    return (lambda draws: draws.uniform(-1, 1, count)), given


def _picture(play: Play, world: Any) -> UInt8[np.ndarray, "height width 3"]:
    picture = world.render()
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise UserError(f"{play.environment}: renders no pictures; one with render_mode 'rgb_array' would do")
    height, width = picture.shape[:2]
    scale = play.size_px / min(height, width)
    size = (max(play.size_px, round(width * scale)), max(play.size_px, round(height * scale)))
    resized: np.ndarray = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return resized
