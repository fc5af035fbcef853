"""Gymnasium's own check passes, an episode is that of its seed, and what is wrong is said."""

import subprocess
import sys

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.gym import GymEnvironment

SMALL = ClipShape(height_px=32, width_px=32)


@pytest.mark.filterwarnings("error", "ignore:.*Not able to test alternative render modes")
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_gymnasium_s_check_passes(name):
    check_env(GymEnvironment(name, SMALL, render_mode="rgb_array"))


@pytest.mark.thorough
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_episode_by_an_expert_is_solved_and_its_rewards_are_the_cost_it_saved(name):
    world = GymEnvironment(name, SMALL)
    picture, info = world.reset(seed=3)
    assert picture.shape == (32, 32, 3) and not info["solved"]
    assert (info["goal_picture"] is None) == (ENVIRONMENTS[name].goal_picture(world._state) is None)
    first, rewards = info["cost"], []
    for frame in range(60):
        if frame % 4 == 0:
            rest = frame < ENVIRONMENTS[name].context_frames
            action = np.zeros(2) if rest else ENVIRONMENTS[name].expert(world._state)[0].numpy()
        picture, reward, terminated, truncated, info = world.step(action)
        rewards.append(reward)
        if terminated or truncated:
            break
    assert terminated and info["solved"]
    assert abs(sum(rewards) - (first - info["cost"] + 1)) < 1e-9


def test_an_episode_that_is_not_solved_is_cut_off_after_the_budget():
    world = GymEnvironment("puck", SMALL)
    world.reset(seed=0)
    ends = [world.step(np.zeros(2))[2:4] for _ in range(47)]
    assert ends == [(False, False)] * 46 + [(False, True)]


def test_seeds_give_episodes():
    def pictures(seed):
        world = GymEnvironment("puck", SMALL)
        return [world.reset(seed=seed)[0], world.reset()[0], world.reset()[0]]

    one, again, other = pictures(4), pictures(4), pictures(5)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[0], one[1]) and not np.array_equal(one[0], other[0])


def test_what_is_wrong_is_said():
    world = GymEnvironment("puck", SMALL)
    with pytest.raises(UserError, match="puck: reset\\(\\) comes before step\\(\\)"):
        world.step(np.zeros(2))
    world.reset(seed=0)
    for wrong in (np.zeros(3), np.array([0.0, np.nan])):
        with pytest.raises(UserError, match="puck: an action is 2 finite numbers, not"):
            world.step(wrong)
    with pytest.raises(UserError, match="puck: there is no render_mode 'human'; there is rgb_array"):
        GymEnvironment("puck", render_mode="human")
    with pytest.raises(UserError, match="there is no environment 'puk'"):
        GymEnvironment("puk")


def test_out_of_bounds_is_clipped():
    pictures = []
    for action in ([9.0, -9.0], [1.0, -1.0]):
        world = GymEnvironment("two_room", SMALL)
        world.reset(seed=1)
        pictures.append(world.step(np.array(action))[0])
    assert np.array_equal(*pictures)


def test_without_gymnasium_one_line_says_what_would_do():
    code = "import sys; sys.modules['gymnasium'] = None; import vidworld.simulation.environments.gym"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "UserError: gymnasium is not installed; pip install 'vidworld[environments]' would do" in done.stderr
    assert done.returncode != 0
