"""Our environments with Gymnasium's interface: `GymEnvironment("puck")`. Needs gymnasium, the extra `environments`."""

from typing import Any

import numpy as np
import torch

from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.core.errors import UserError
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.environment import FRAME_S, WorldState, check_square

try:
    import gymnasium
except ImportError:
    raise UserError("gymnasium is not installed; pip install 'vidworld[environments]' would do") from None


class GymEnvironment(gymnasium.Env[np.ndarray, np.ndarray]):
    """One environment, a step a frame.

    Observations are pictures, uint8 `(height, width, 3)`; an action is `action_channels` numbers from -1 to 1. The
    reward is the cost that a step saved (world units), and 1 more when it solves the episode, which ends there. It is
    cut off after the context's and the budget's frames. The context is not waited for: a step with zeros is rest.

    `info` has `solved`, `cost`, `target`, `places` (the truth: x and y of the agent and of each other disc), and after
    `reset` `goal_picture` (as an observation; None where the goal has none).

    The start follows from the seed given to `reset`, and without one from those before it.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / FRAME_S)}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(self, name: str, shape: ClipShape = ClipShape(), render_mode: str | None = None) -> None:
        if render_mode not in (None, "rgb_array"):
            raise UserError(f"{name}: there is no render_mode {render_mode!r}; there is rgb_array")
        check_square(name, shape)
        self.world, self.shape, self.render_mode = ENVIRONMENTS[name], shape, render_mode
        size = (shape.height_px, shape.width_px, 3)
        self.observation_space = gymnasium.spaces.Box(0, 255, size, np.uint8)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (self.world.action_channels,), np.float32)
        self._state: WorldState | None = None
        self._frames = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The first picture of a new episode."""
        super().reset(seed=seed)
        del options
        stream, number = f"gymnasium/{self.world.name}", int(self.np_random.integers(2**31))
        self._state = self.world.start(Draws(clip_streams(stream, [number], torch.device("cpu"))))
        self._frames = 0
        goal = self.world.goal_picture(self._state, self.shape)
        return self._picture(), {**self._info(), "goal_picture": None if goal is None else _as_array(goal)}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """A frame on; UserError before the first `reset`, for an action of another form, or one that is no number."""
        if self._state is None:
            raise UserError(f"{self.world.name}: reset() comes before step()")
        given = np.asarray(action, np.float64)
        if given.shape != self.action_space.shape or not np.isfinite(given).all():
            wanted = f"an action is {self.world.action_channels} finite numbers"
            raise UserError(f"{self.world.name}: {wanted}, not {action}")
        before = self._info()["cost"]
        self._state = self.world.step(self._state, torch.from_numpy(given)[None])
        self._frames += 1
        info = self._info()
        solved, last = info["solved"], self._frames >= self.world.context_frames - 1 + self.world.budget_frames
        return self._picture(), before - info["cost"] + float(solved), solved, last, info

    def render(self) -> np.ndarray | None:
        """The picture of this frame, with `render_mode="rgb_array"`."""
        return None if self.render_mode is None or self._state is None else self._picture()

    def _picture(self) -> np.ndarray:
        return _as_array(self.world.draw([self._state], self.shape)[0])

    def _info(self) -> dict[str, Any]:
        places, target = self.world.places(self._state), self.world.target(self._state)
        there = places[0, list(self.world.colors)]
        return {
            "solved": bool(self.world.solved(self._state)),
            "cost": float(self.world.cost(places, target)),
            "target": target[0].clone().numpy(),
            "places": there.numpy(),
        }


def _as_array(frames: torch.Tensor) -> np.ndarray:
    """The only frame of the only environment as Gymnasium has pictures."""
    return np.ascontiguousarray(frames[0, 0].permute(1, 2, 0).numpy())
