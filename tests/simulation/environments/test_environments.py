"""What every environment keeps: the same in any batch, discs apart, pictures and costs that agree with the state."""

import pytest
import torch

from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.core.errors import UserError
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.stage import PALETTE
from vidworld.simulation.tracker import locate_discs

CPU = torch.device("cpu")


def started(name, numbers=range(64)):
    return ENVIRONMENTS[name].start(Draws(clip_streams(f"tests/{name}", numbers, CPU)))


def random_actions(count, frames, seed=0):
    """Actions (time, env, 2) that are held for four frames and often out of bounds."""
    random = torch.Generator().manual_seed(seed)
    return (3 * torch.rand(-(-frames // 4), count, 2, generator=random) - 1.5).repeat_interleave(4, dim=0)[:frames]


def lived(name, actions, numbers=None):
    """The states of as many environments as there are actions, over time."""
    states = [started(name, range(actions.shape[1]) if numbers is None else numbers)]
    for action in actions:
        states.append(ENVIRONMENTS[name].step(states[-1], action))
    return states


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def name(request):
    return request.param


def test_the_name_of_an_environment_is_that_of_the_registry(name):
    assert ENVIRONMENTS[name].name == name and ENVIRONMENTS[name].label


@pytest.mark.thorough
def test_an_environment_is_the_same_in_any_batch(name):
    actions, some = random_actions(40, 30), torch.tensor([31, 4, 4, 17])
    together = lived(name, actions)
    alone = lived(name, actions[:, some], some.tolist())
    for one, other in zip(together, alone, strict=True):
        for field, value in vars(other).items():
            assert torch.equal(getattr(one.at(some), field), value), field


def test_a_step_changes_nothing_that_it_is_given(name):
    state = started(name)
    before = {field: value.clone() for field, value in vars(state).items()}
    ENVIRONMENTS[name].step(state, torch.ones(64, 2))
    assert all(torch.equal(getattr(state, field), value) for field, value in before.items())


def test_actions_are_clipped(name):
    state, action = started(name), torch.tensor([[3.0, -0.5]]).expand(64, 2)
    one, other = (ENVIRONMENTS[name].step(state, each) for each in (action, action.clamp(-1, 1)))
    assert torch.equal(one.position, other.position)


@pytest.mark.thorough
def test_discs_stay_apart_and_in_the_picture(name):
    world = ENVIRONMENTS[name]
    radius = torch.tensor(world.radii, dtype=torch.float64)
    place = torch.stack([state.position for state in lived(name, random_actions(128, 60))], dim=1)
    if name == "push_t":  # a T is no two discs, and the agent gives way to nothing
        assert place[:, :, 1:].min() > -0.3 and place[:, :, 1:].max() < 10.3
        place, radius = place[..., :1, :], radius[:1]
    least, most = place - radius[:, None], place + radius[:, None]
    assert least.min() > -1e-9 and most.max() < 10 + 1e-9
    gaps = torch.cdist(place, place) - radius - radius[:, None]
    between = gaps[..., ~torch.eye(len(radius), dtype=torch.bool)].flatten()
    assert len(between) == 0 or between.min() > -1e-6


@pytest.mark.thorough
def test_the_picture_shows_where_the_discs_are(name):
    world, shape = ENVIRONMENTS[name], ClipShape(height_px=96, width_px=96)
    states = lived(name, random_actions(16, 24))
    frames, tracks = world.draw(states, shape)
    assert frames.shape == (16, 25, 3, 96, 96)
    found = locate_discs(frames, tracks.color, tracks.radius)
    whole = tracks.visible == 1
    assert whole.double().mean() > 0.5
    off = (found - tracks.position).norm(dim=-1)[whole]
    assert (
        off.max() < 0.1 if name != "push_t" else (off < 0.2).double().mean() > 0.98
    )  # a pixel; the agent may lie over
    assert found[tracks.visible == 0].isnan().all()
    assert torch.equal(tracks.position[:, 7], states[7].position)


def test_a_frame_is_drawn_the_same_with_others_and_alone(name):
    world, states = ENVIRONMENTS[name], lived(name, random_actions(6, 20))
    frames, tracks = world.draw(states)
    alone, of_it = world.draw([states[20].at(slice(3, 4))])
    assert torch.equal(alone, frames[3:4, 20:]) and torch.equal(of_it.visible, tracks.visible[3:4, 20:])


def test_places_are_by_colour_and_costs_are_of_places_and_target_alone(name):
    world, state = ENVIRONMENTS[name], lived(name, random_actions(32, 20))[-1]
    places, target = world.places(state), world.target(state)
    assert places.shape == (32, len(PALETTE), 2)
    assert torch.equal(places[:, list(world.colors)], state.position)
    others = [number for number in range(len(PALETTE)) if number not in world.colors]
    assert places[:, others].isnan().all()
    many = places[:, None, None].expand(32, 5, 3, -1, -1)
    costs = world.cost(many, target)
    assert costs.shape == (32, 5, 3) and costs.isfinite().all() and (costs >= 0).all()
    assert torch.equal(costs[:, 4, 2], world.cost(places, target))
    assert torch.equal(costs[9:10, 0, 0], world.cost(places[9:10], target[9:10]))
    assert world.cost(many.float(), target).dtype == torch.float32


def test_nothing_seen_costs_more_than_anything_seen(name):
    world, state = ENVIRONMENTS[name], started(name)
    places, target = world.places(state), world.target(state)
    blind = world.cost(torch.full_like(places, torch.nan), target)
    assert (blind > world.cost(places, target)).all() and blind.isfinite().all()


def test_the_goal_picture_is_of_a_solved_state(name):
    world, state = ENVIRONMENTS[name], started(name)
    goal, picture = world.goal_state(state), world.goal_picture(state)
    if goal is None:
        assert picture is None and world.target(state).shape == (64, 0)
        return
    assert picture.shape == (64, 1, 3, 64, 64)
    assert world.solved(goal).all() and not world.solved(state).all()
    places = [world.places(each) for each in (goal, state)]
    solved, begun = (world.cost(each, world.target(state)) for each in places)
    assert (solved < begun).double().mean() > 0.9
    radius = torch.tensor(world.radii, dtype=torch.float64)
    assert (goal.position - radius[:, None]).min() >= 0 and (goal.position + radius[:, None]).max() <= 10


@pytest.mark.thorough
def test_few_episodes_begin_solved_and_rest_solves_none(name):
    world = ENVIRONMENTS[name]
    states = lived(name, torch.zeros(world.context_frames + world.budget_frames, 128, 2))
    assert world.solved(states[0]).double().mean() < 0.05
    assert torch.equal(world.solved(states[-1]), world.solved(states[0]))
    assert torch.equal(states[-1].position[:, 0], states[0].position[:, 0]) or name == "heavy_or_light"


@pytest.mark.thorough
def test_the_expert_solves_nearly_all(name):
    world, solved = ENVIRONMENTS[name], torch.zeros(64, dtype=torch.bool)
    state = lived(name, torch.zeros(world.context_frames - 1, 64, 2))[-1]
    for frame in range(world.budget_frames):
        if frame % 4 == 0:
            action = world.expert(state)
            assert action.abs().max() <= 1
        state = world.step(state, action)
        solved |= world.solved(state)
    assert solved.double().mean() > (0.4 if name == "push_t" else 0.9)


def test_a_picture_that_is_not_square_is_refused(name):
    with pytest.raises(UserError, match=f"{name}: a world is as high as it is wide; 64 x 64 px would do"):
        ENVIRONMENTS[name].draw([started(name)], ClipShape(height_px=32, width_px=64))


def test_an_unknown_environment_is_named_with_the_nearest():
    with pytest.raises(UserError, match="there is no environment 'pucks'; did you mean puck"):
        ENVIRONMENTS["pucks"]
