"""Any environment of Gymnasium to plan in: its pictures, actions and rewards, and what cannot be planned in."""

import gym_worlds
import pytest
import torch

from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws
from vidworld.core.errors import UserError
from vidworld.simulation.environments import environment_named, known_environments

SIDE = gym_worlds.SIDE
STREAMS = torch.tensor([3, 4])


def world(name="Reached-v0"):
    return environment_named(f"gym_worlds:{name}", SIDE)


def played(environment, actions):
    """The states of two episodes under these actions, the same in both."""
    states = [environment.start(Draws(STREAMS))]
    for across in actions:
        states.append(environment.step(states[-1], torch.tensor([[across, 0.0]] * 2, dtype=torch.float64)))
    return states


def test_it_is_as_long_as_its_own_limit_and_has_its_own_rate():
    environment = world()
    assert (environment.fps, environment.action_channels, environment.goal_numbers) == (20, 2, 0)
    assert environment.context_frames + environment.budget_frames == 1 + gym_worlds.LIMIT
    assert environment.judges and not world("Rewarded-v0").judges


def test_episodes_follow_from_their_streams_and_actions_are_scaled_by_their_bounds():
    environment = world()
    states = played(environment, [0.5, 0.5, -1.0])
    frames, tracks = environment.draw(states, ClipShape(height_px=SIDE, width_px=SIDE))
    assert frames.shape == (2, 4, 3, SIDE, SIDE) and tracks is None
    first = [float(episode.world.unwrapped.x) for episode in states[0].episodes]
    again = [float(episode.world.unwrapped.x) for episode in played(environment, [0.5, 0.5, -1.0])[0].episodes]
    assert first == again and first[0] != first[1]
    assert [episode.done[0][0] for episode in states[0].episodes] == [0.5, 0.5]
    x = [state.reward for state in states]  # minus the distance from the right wall: 1 px nearer, 1 px, 2 px back
    assert torch.allclose(x[2] - x[1], torch.ones(2).double()) and torch.allclose(
        x[3] - x[2], -2 * torch.ones(2).double()
    )
    with pytest.raises(UserError, match="has pictures of 40 px, not 16 x 16"):
        environment.draw(states, ClipShape(height_px=16, width_px=16))


def test_success_is_what_info_says_and_rewards_end_with_the_episode():
    environment = world()
    states = played(environment, [1.0] * gym_worlds.LIMIT)
    assert [bool(state.solved.all()) for state in (states[0], states[-1])] == [False, True]
    assert torch.equal(environment.step(states[-1], torch.ones(2, 2)).reward, torch.zeros(2).double())
    assert environment.cost(environment.places(states[0]), environment.target(states[0])).isnan().all()


def test_what_candidates_bring_is_foretold_by_playing_again():
    environment = world()
    states = played(environment, [0.5, -0.5])
    candidates = torch.tensor([[[0.0, 0.0], [1.0, 0.0]], [[-1.0, 0.0], [0.0, 0.0]]]).expand(2, -1, -1, -1)
    brought = environment.brought(states[-1], candidates, 2)
    assert brought.shape == (2, 2, 2)
    for candidate in range(2):
        later = played(environment, [0.5, -0.5, *candidates[0, candidate, :, 0].repeat_interleave(2).tolist()])
        truly = torch.stack([state.reward for state in later[3:]], dim=1).unflatten(1, (2, 2)).mean(dim=2)
        assert torch.allclose(brought[:, candidate], truly)
    fickle = environment_named("gym_worlds:Fickle-v0", SIDE)
    assert fickle.brought(played(fickle, [0.5, -0.5])[-1], candidates, 2) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gym_worlds:Steps-v0", "its actions are Discrete; to plan takes those of Box, with bounds"),
        ("gym_worlds:Unbounded-v0", "its actions have no bounds"),
        ("gym_worlds:Unseen-v0", "renders no pictures"),
        ("gym_worlds:Lacking-v0", 'pygame is not installed, run `pip install "gymnasium'),
        ("gym_worlds:Broken-v0", r"cannot be opened \(RuntimeError: no engine\)"),
        ("two_rom", "there is no environment 'two_rom'; did you mean two_room?"),
        ("gym_breaks:World-v0", r"importing 'gym_breaks' failed \(ValueError: no licence\)"),
        ("no_such_module:World-v0", "there is no module 'no_such_module'"),
    ],
)
def test_what_cannot_be_planned_in_is_said_in_a_line(name, said):
    with pytest.raises(UserError, match=said) as error:
        environment_named(name, SIDE)
    assert "\n" not in str(error.value)


def test_every_unknown_name_has_its_line():
    known_environments(["puck", "gym_worlds:Square-v0"])
    with pytest.raises(UserError) as error:
        known_environments(["pukc", "puck", "Reachr-v5"])
    assert [line.partition(";")[2] for line in str(error.value).split("\n")] == [
        " did you mean puck?", " did you mean Reacher-v5?"
    ]  # fmt: skip
