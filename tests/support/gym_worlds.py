"""Worlds of Gymnasium in which a square moves by its action, for tests: `gym_worlds:Square-v0` and others."""

import os
import time

import gymnasium
import numpy as np

SIDE = 40
LIMIT = 24  # frames of the worlds with rewards


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


class Broken(Square):
    def reset(self, *, seed=None, options=None):
        raise RuntimeError("no engine")


class Rewarded(Square):
    """It brings minus the distance from the right wall, in pixels."""

    def step(self, action):
        seen, _, *ends, info = super().step(action)
        return seen, self.x - (SIDE - 4), *ends, info


class Reached(Rewarded):
    """It says whether it is within half a pixel of that wall."""

    def step(self, action):
        *found, info = super().step(action)
        return *found, info | {"is_success": self.x > SIDE - 4.5}


class Mortal(Reached):
    """A third of its episodes raise an error when they begin."""

    def reset(self, *, seed=None, options=None):
        if seed % 3 == 1:
            raise RuntimeError("no more memory\nat all")
        return super().reset(seed=seed)


class Stuck(Reached):
    """A third of its episodes never come to a second step, and catch what would end them once."""

    def reset(self, *, seed=None, options=None):
        self.stuck = seed % 3 == 1
        return super().reset(seed=seed)

    def step(self, action):
        while self.stuck and self.steps:
            try:
                time.sleep(30)
            except TimeoutError:
                self.stuck = False
                time.sleep(30)
        return super().step(action)


class Fickle(Rewarded):
    """The same actions bring something else each time."""

    played = 0

    def step(self, action):
        Fickle.played += 1
        seen, reward, *rest = super().step(action)
        return seen, reward + Fickle.played, *rest


class Drifting(Rewarded):
    """The same actions lead elsewhere each time, and bring the same: nothing."""

    played = 0

    def step(self, action):
        Drifting.played += 1
        seen, _, *rest = super().step(action)
        return seen + Drifting.played, 0.0, *rest


for _world in (Square, Steps, Unstable, Fatal, Unbounded, Many, Unseen, Lacking, Broken):
    gymnasium.register(f"{_world.__name__}-v0", f"gym_worlds:{_world.__name__}", disable_env_checker=True)
for _world in (Rewarded, Reached, Mortal, Stuck, Fickle, Drifting):
    _name = f"{_world.__name__}-v0"
    gymnasium.register(_name, f"gym_worlds:{_world.__name__}", max_episode_steps=LIMIT, disable_env_checker=True)
