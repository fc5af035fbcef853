"""Episodes that were played, replayed exactly: clips, what was done in them, and what it brought."""

import pytest
import torch

from vidworld.core.clip import ActingSource
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.core.errors import UserError
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.clips import EnvironmentClips
from vidworld.simulation.environments.episode_files import PlayedEpisodes, digest_of_episodes, read_episodes
from vidworld.simulation.environments.replayed import ReplayedClips

SHAPE = ClipShape(num_frames=16, height_px=16, width_px=16)
STREAM = "planning/start/puck/train/0"


def played(count, blocks=4):
    generator = torch.Generator().manual_seed(0)
    actions = 2 * torch.rand(count, blocks, 2, generator=generator, dtype=torch.float64) - 1
    return PlayedEpisodes("puck", STREAM, 8, 4, [*range(3, 3 + count)], [True] * count, actions.tolist())


def test_parts_of_episodes_are_simulated_as_they_were(tmp_path):
    episodes, world = played(2), ENVIRONMENTS["puck"]
    episodes.write(tmp_path / "episodes.json")
    source = ReplayedClips(tmp_path / "episodes.json", "puck", SHAPE)
    assert isinstance(source, ActingSource) and len(source) == 2 * 3  # 24 frames hold parts from 0, 4 and 8 on
    states = [world.start(Draws(clip_streams(STREAM, [3, 4], torch.device("cpu"))))]
    done = torch.tensor(episodes.actions).double()
    for time in range(1, 24):
        action = torch.zeros(2, 2).double() if time < 8 else done[:, (time - 8) // 4]
        states.append(world.step(states[-1], action))
    frames, _ = world.draw(states, SHAPE)
    logged = source.logged([5, 0])  # the last part of the second episode, the first of the first
    assert torch.equal(logged.clips.frames[0], frames[1, 8:]) and torch.equal(logged.clips.frames[1], frames[0, :16])
    assert torch.equal(logged.clips.actions[0, 1:], done[1].repeat_interleave(4, dim=0)[1:].float())
    assert (logged.clips.actions[1, :8] == 0).all() and (logged.clips.actions[0, 0] == 0).all()
    cost = world.cost(world.places(states[10]), world.target(states[10]))
    torch.testing.assert_close(logged.reward[0, 2], -cost[1])
    assert torch.equal(logged.goal[0], states[0].goal[1])
    assert torch.equal(logged.reached[0, 2], states[10].position[1, 1]) and logged.aimless.all()


def test_episodes_are_added_and_known_by_what_they_hold(tmp_path):
    paths = [tmp_path / f"{i}.json" for i in range(3)]
    for path, count in zip(paths, (1, 1, 2), strict=True):
        played(count).write(path)
    assert digest_of_episodes(paths[0]) == digest_of_episodes(paths[1]) != digest_of_episodes(paths[2])
    more = read_episodes(paths[0]).with_more(read_episodes(paths[2]))
    assert more.numbers == [3, 3, 4] and len(more.actions) == len(more.aimless) == 3 and more.environment == "puck"


def test_what_cannot_be_replayed_is_one_line(tmp_path):
    played(1).write(tmp_path / "episodes.json")
    with pytest.raises(UserError, match="holds episodes of puck, not of two_room"):
        ReplayedClips(tmp_path / "episodes.json", "two_room", SHAPE)
    with pytest.raises(UserError, match="its episodes of 24 frames hold no clip of 28"):
        ReplayedClips(tmp_path / "episodes.json", "puck", ClipShape(num_frames=28))
    (tmp_path / "other.json").write_text('{"what": 1}')
    with pytest.raises(UserError, match=r"other\.json: holds no played episodes"):
        read_episodes(tmp_path / "other.json")


@pytest.mark.parametrize("name", ["two_room", "puck", "push_t"])
def test_rewards_are_minus_the_cost_of_true_places_and_greatest_where_the_goal_is(name):
    world = ENVIRONMENTS[name]
    logged = EnvironmentClips(name, "train", shape=SHAPE, policy="mixed").logged(range(16))
    tracks, actions = logged.clips.tracks, logged.clips.actions
    assert logged.reward.shape == (16, 16) and logged.goal.shape == (16, world.goal_numbers)
    state = world.start(Draws(clip_streams(f"{name}_mixed/train/0", range(16), torch.device("cpu"))))
    first = (state.position == tracks.position[:, 0]).flatten(1).all(1)  # clips that begin as their episode does
    true = -world.cost(world.places(state), world.target(state))
    assert first.any() and torch.allclose(logged.reward[first, 0], true[first])
    assert 0 < logged.aimless.sum() < 16 and (actions[:, 0] == 0).all()
    assert (-world.cost(world.places(state), world.reached(state)) >= true).all()
