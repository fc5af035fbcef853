"""Clips of environments: by number, the same in any batch, with the actions that led to each frame."""

import pytest
import torch

from vidworld.core.clip import ClipSource
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.core.errors import UserError
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.clips import ENVIRONMENT_SPLITS, POLICIES, EnvironmentClips

SHAPE = ClipShape(num_frames=24, height_px=32, width_px=32)


@pytest.fixture(scope="module", params=[(name, policy) for name in ENVIRONMENTS for policy in POLICIES], ids="-".join)
def source(request):
    name, policy = request.param
    return EnvironmentClips(name, "train", seed=3, shape=SHAPE, policy=policy)


@pytest.fixture(scope="module")
def made(source):
    """More clips than are made at a time."""
    return source.clips(range(66))


def same(one, other):
    values = [(getattr(one, name), getattr(other, name)) for name in ("frames", "actions")]
    values += [(vars(one.tracks)[name], vars(other.tracks)[name]) for name in ("position", "velocity", "visible")]
    return all(torch.equal(a, b) for a, b in values) and one.identity == other.identity


@pytest.mark.thorough
def test_a_clip_is_the_same_in_any_batch_and_the_beginning_of_a_longer_one(source, made):
    together, some = made, [65, 5, 11]
    assert isinstance(source, ClipSource)
    assert same(source.clips(some), together.at(torch.tensor(some)))
    shape = ClipShape(num_frames=13, height_px=32, width_px=32)
    shorter = EnvironmentClips(source.environment.name, "train", 3, shape=shape, policy=source.policy).clips(some)
    assert torch.equal(shorter.frames, together.frames[some, :13])
    assert torch.equal(shorter.actions, together.actions[some, :13])


@pytest.mark.thorough
def test_the_actions_are_what_led_to_each_frame(source, made):
    made, world = made.at(slice(24)), source.environment
    assert made.actions.shape == (24, 24, 2) and made.actions.dtype == torch.float32
    assert made.actions.abs().max() <= 1 and (made.actions[:, 0] == 0).all()
    state = world.start(Draws(clip_streams(source.stream, range(24), torch.device("cpu"))))
    from_start = (state.position == made.tracks.position[:, 0]).flatten(1).all(1)
    assert 4 <= from_start.sum() < 24
    for time in range(24):
        if time:
            state = world.step(state, made.actions[:, time])
        apart = (state.position - made.tracks.position[:, time]).abs()
        assert apart[from_start].max() < 1e-3  # actions are kept in float32


def test_half_of_the_clips_begin_as_episodes_do(source, made):
    actions = made.actions
    context = source.environment.context_frames
    rest = (actions[:, :context] == 0).all(2).all(1)
    assert 0.3 < rest.double().mean() < 0.7
    assert (actions[rest, context] != 0).any(1).all() and (actions[~rest, 1] != 0).any(1).all()


def test_actions_are_held_and_in_half_of_the_random_clips_for_chunks(source, made):
    actions = made.actions
    changes = (actions[:, 1:].diff(dim=1) != 0).any(2)  # the first is between frames 1 and 2
    assert 0.05 < changes.double().mean() < 0.4
    whole = torch.stack([(row.nonzero() + 2).remainder(4).eq(0).all() for row in changes]).double().mean()
    assert whole == 1 if source.policy != "random" else 0.4 < whole < 0.8


@pytest.mark.slow
def test_splits_seeds_and_policies_have_clips_of_their_own():
    made = [
        EnvironmentClips("puck", split, seed, shape=SHAPE, policy=policy).clips([0])
        for split in ENVIRONMENT_SPLITS
        for seed in (0, 1, "0+secret")
        for policy in POLICIES
    ]
    assert len({tuple(clips.tracks.position[0, 0].flatten().tolist()) for clips in made}) == len(made)
    assert len({clips.identity for clips in made}) == len(made)
    assert not any("secret" in clips.identity[0] for clips in made)


def test_what_is_not_to_be_had_is_named():
    with pytest.raises(UserError, match="there is no environment 'puk'; did you mean puck"):
        EnvironmentClips("puk", "train")
    with pytest.raises(UserError, match="there is no split 'ood' of environments; there are train, val, id"):
        EnvironmentClips("puck", "ood")
    with pytest.raises(UserError, match="there is no policy 'expert'; there are random, scripted, mixed"):
        EnvironmentClips("puck", "train", policy="expert")
    with pytest.raises(UserError, match="puck: has 10 frames a second, not 5"):
        EnvironmentClips("puck", "train", shape=ClipShape(fps=5.0))
    with pytest.raises(UserError, match="puck: a world is as high as it is wide"):
        EnvironmentClips("puck", "train", shape=ClipShape(width_px=96))
    with pytest.raises(IndexError, match="clips 0 to 9, not 10"):
        EnvironmentClips("puck", "train", length=10).clips([10])
