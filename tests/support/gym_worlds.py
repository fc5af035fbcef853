"""Worlds of Gymnasium in which a square moves by its action, for tests: `gym_worlds:Square-v0` and others."""

import os

import gymnasium
import numpy as np

SIDE = 40


class Square(gymnasium.Env):
    """The square moves across by the first channel, from -2 to 2 pixels a step, and is turned back at the walls."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    observation_space = gymnasium.spaces.Box(0, SIDE, (1,), np.float64)
    action_space = gymnasium.spaces.Box(np.array([-2.0, 0.0]), np.array([2.0, 10.0]), dtype=np.float64)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.steps = float(self.np_random.uniform(10, 30)), 0
        return np.array([self.x]), {}

    def across(self, action):
        return float(action[0])

    def step(self, action):
        assert self.action_space.contains(action)
        self.x, self.steps = float(np.clip(self.x + self.across(action), 4, SIDE - 4)), self.steps + 1
        return np.array([self.x]), 0.0, self.steps >= 60, False, {}

    def render(self):
        picture = np.full((SIDE, 2 * SIDE, 3), 90, np.uint8)
        left = round(2 * self.x)
        picture[16:24, left - 4 : left + 4] = (220, 40, 40)
        return picture


class Steps(Square):
    """Left, stay, right."""

    action_space = gymnasium.spaces.Discrete(3, start=5)

    def across(self, action):
        return float(action - 6)


class Unstable(Square):
    """Every other episode raises an error after some steps."""

    def reset(self, *, seed=None, options=None):
        self.dies = seed % 2 == 1
        return super().reset(seed=seed)

    def step(self, action):
        if self.dies and self.steps == 5:
            self.die()
        return super().step(action)

    def die(self):
        raise RuntimeError("the simulation is unstable\nat step 5")


class Fatal(Unstable):
    def die(self):
        os._exit(3)


class Unbounded(Square):
    action_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)


class Many(Square):
    action_space = gymnasium.spaces.MultiBinary(3)


class Unseen(Square):
    def render(self):
        return None


class Lacking(Square):
    def render(self):
        raise gymnasium.error.DependencyNotInstalled('pygame is not installed, run `pip install "gymnasium[classic]"`')


for _world in (Square, Steps, Unstable, Fatal, Unbounded, Many, Unseen, Lacking):
    gymnasium.register(f"{_world.__name__}-v0", f"gym_worlds:{_world.__name__}", disable_env_checker=True)
