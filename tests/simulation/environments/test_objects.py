"""What is special to each environment with objects: kicks, screens that are lifted, masses that show."""

from dataclasses import replace

import pytest
import torch

from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.simulation.environments.environment import heading
from vidworld.simulation.environments.heavy_or_light import HEAVY_OR_LIGHT
from vidworld.simulation.environments.hidden_goal import HIDDEN_GOAL
from vidworld.simulation.environments.puck import PUCK

NO, UP = torch.zeros(1, 2), torch.tensor([[0.0, -1.0]])


def begun(world, count=256):
    return world.start(Draws(clip_streams(f"objects/{world.name}", range(count), torch.device("cpu"))))


def stepped(world, state, action, frames):
    for _ in range(frames):
        state = world.step(state, action.expand(len(state), 2))
    return state


def at_places(state, *places):
    return replace(state, position=torch.tensor([places]).double(), velocity=torch.zeros(1, len(places), 2).double())


def test_a_puck_that_is_struck_goes_faster_than_the_agent_and_slows_down():
    state = at_places(begun(PUCK, 1), (5.0, 7.0), (5.0, 5.0))
    while state.velocity[0, 1, 1] == 0:
        state = PUCK.step(state, UP)
    assert -8.2 < state.velocity[0, 1, 1] < -7.5  # (1 + 0.7) x 5 x 20 / 21
    slower = PUCK.step(state, NO)
    assert torch.allclose(slower.velocity[:, 1], state.velocity[:, 1] * 0.9)


def test_a_puck_between_agent_and_edge_stops_the_agent():
    state = at_places(begun(PUCK, 1), (5.0, 2.2), (5.0, 0.9))
    for _ in range(20):
        state = PUCK.step(state, UP)
        assert state.position[0, 0, 1] - state.position[0, 1, 1] > 1.2 - 1e-9 and state.position[0, 1, 1] > 0.7 - 1e-9


def test_the_puck_has_a_way_to_go_and_the_agent_one_to_the_puck():
    state = begun(PUCK)
    for other in (state.goal, state.position[:, 0]):
        assert (other - state.position[:, 1]).norm(dim=1).min() >= 2.5


def test_the_puck_is_there_while_it_is_near_its_place():
    state = at_places(begun(PUCK, 1), (1.0, 1.0), (5.0, 5.0))
    near, far = (replace(state, goal=torch.tensor([[5.0 + away, 5.0]]).double()) for away in (0.74, 0.76))
    assert PUCK.solved(near).item() and not PUCK.solved(far).item()


@pytest.fixture(scope="module")
def hidden():
    states = [begun(HIDDEN_GOAL)]
    for _ in range(HIDDEN_GOAL.context_frames - 1):
        states.append(HIDDEN_GOAL.step(states[-1], NO.expand(256, 2)))
    return states


def test_the_disc_is_seen_at_first_and_hidden_when_the_context_ends(hidden):
    _, tracks = HIDDEN_GOAL.draw(hidden)
    assert (tracks.visible[:, 0] == 1).all() and (tracks.visible[:, -1, 1] == 0).all()
    later = stepped(HIDDEN_GOAL, hidden[-1], NO, 40)
    assert torch.equal(later.position, hidden[-1].position) and later.velocity.abs().max() == 0
    behind = hidden[-1].behind
    assert abs(behind.double().mean().item() - 0.5) < 0.1
    assert torch.equal(hidden[-1].position[:, 1, 0] > 5, behind == 1)


def test_who_goes_to_the_disc_wins_and_who_goes_to_the_other_screen_has_lost(hidden):
    right = wrong = hidden[-1]
    for _ in range(HIDDEN_GOAL.budget_frames):
        right = HIDDEN_GOAL.step(right, HIDDEN_GOAL.expert(right))
        other = wrong.screens[torch.arange(256), 1 - wrong.behind].reshape(-1, 2, 2).mean(1)
        there = heading(wrong.position[:, 0], other)
        wrong = HIDDEN_GOAL.step(wrong, torch.where(wrong.opened[:, None] < 0, there, HIDDEN_GOAL.expert(wrong)))
    assert HIDDEN_GOAL.solved(right).all() and not right.lost.any()
    assert wrong.lost.all() and not HIDDEN_GOAL.solved(wrong).any()
    assert (wrong.position[:, 0] - wrong.position[:, 1]).norm(dim=1).max() < 1.5  # it is there, too late


def test_a_screen_that_is_lifted_is_gone_from_the_picture(hidden):
    state = hidden[-1]
    while not (state.opened >= 0).all():
        state = HIDDEN_GOAL.step(state, HIDDEN_GOAL.expert(state))
    frames, tracks = HIDDEN_GOAL.draw([hidden[-1], state])
    gray = (frames == 128).all(2).flatten(2).sum(2)
    assert (gray[:, 1] < gray[:, 0] * 0.6).all()
    assert (tracks.visible[:, 1] == 1).all()


def test_a_disc_behind_a_screen_costs_what_one_that_is_not_seen_costs(hidden):
    places, target = HIDDEN_GOAL.places(hidden[-1]), HIDDEN_GOAL.target(hidden[-1])
    assert HIDDEN_GOAL.cost(places, target).max() < 10  # the true place
    places[:, 1] = torch.nan
    assert (HIDDEN_GOAL.cost(places, target) == 14.2).all()


@pytest.fixture(scope="module")
def met():
    """The two masses when the context ends, and their velocities over it."""
    states = [begun(HEAVY_OR_LIGHT)]
    for _ in range(HEAVY_OR_LIGHT.context_frames - 1):
        states.append(HEAVY_OR_LIGHT.step(states[-1], NO.expand(256, 2)))
    return states


def of_light_and_heavy(state, values):
    light = torch.where(state.mass[:, 1] < state.mass[:, 2], 1, 2)
    rows = torch.arange(len(state))
    return values[rows, light], values[rows, 3 - light]


def test_the_masses_show_in_the_context_and_nothing_else_tells_them(met):
    turned = torch.stack([state.velocity[..., 0] for state in met], dim=1)
    light, heavy = of_light_and_heavy(met[0], (turned[:, -1].sign() != turned[:, 0].sign()))
    assert light.all() and not heavy.any()  # the light one turns back, the heavy one goes on
    fast = torch.stack(of_light_and_heavy(met[-1], met[-1].velocity.norm(dim=-1)))
    assert fast.max() < 1.7
    for cue in (met[0].position[..., 0], met[0].velocity[..., 0].abs(), met[0].position[..., 1]):
        first, second = of_light_and_heavy(met[0], cue)
        assert abs((first > second).double().mean().item() - 0.5) < 0.1
    first, second = torch.ones(256), (met[0].mass[:, 1] < met[0].mass[:, 2]).double()
    assert abs(second.mean().item() - 0.5) < 0.1 and first.all()


@pytest.mark.parametrize("light", [True, False])
def test_one_blow_takes_the_light_disc_to_the_strip_and_never_the_heavy_one(met, light):
    """Straight up against the disc of one kind, from wherever it is best: the other is taken out of the way."""
    state = met[-1]
    chosen, other = of_light_and_heavy(state, state.position)
    if not light:
        chosen, other = other, chosen
    number = torch.where((state.mass[:, 1] < state.mass[:, 2]) == light, 1, 2)
    rows, position = torch.arange(256), state.position.clone()
    position[:, 0] = chosen + torch.tensor([0.0, 1.6]).double()
    position[rows, 3 - number] = torch.tensor([5.0, 9.3]).double()
    state = replace(state, position=position)
    for aim in (0.0, 0.3, -0.3):
        after = stepped(HEAVY_OR_LIGHT, state, torch.tensor([[aim, -1.0]]), 30)
        assert after.struck.all()
        share = HEAVY_OR_LIGHT.solved(after).double().mean()
        assert share > 0.95 if light and aim == 0 else light or share == 0


def test_after_its_blow_the_agent_coasts(met):
    state = at_places(begun(HEAVY_OR_LIGHT, 1), (5.0, 7.0), (5.0, 5.0), (1.0, 9.0))
    while not state.struck.item():
        state = HEAVY_OR_LIGHT.step(state, UP)
    one, other = (HEAVY_OR_LIGHT.step(state, torch.tensor([[way, way]])) for way in (1.0, -1.0))
    assert torch.equal(one.position, other.position)
    assert torch.allclose(one.velocity[:, 0], state.velocity[:, 0] * 0.85)


def test_the_cost_says_nothing_of_masses():
    state = begun(HEAVY_OR_LIGHT)
    swapped = replace(state, mass=state.mass[:, [0, 2, 1]])
    one, other = (HEAVY_OR_LIGHT.cost(HEAVY_OR_LIGHT.places(s), HEAVY_OR_LIGHT.target(s)) for s in (state, swapped))
    assert torch.equal(one, other)


def test_who_is_mistaken_sees_the_same_and_is_wrong_about_what_is_hidden(hidden, met):
    state, masses = hidden[-1], met[-1].mass
    wrong = HIDDEN_GOAL.mistaken(state)
    assert torch.equal(*(HIDDEN_GOAL.draw([each])[0] for each in (state, wrong)))
    agent = replace(wrong, position=wrong.position[:, [1, 1]])  # where the disc is thought to be
    assert HIDDEN_GOAL.step(agent, NO.expand(len(agent), 2)).opened.eq(1 - state.behind).all()
    taken_for = HEAVY_OR_LIGHT.mistaken(met[-1]).mass
    assert torch.equal(taken_for[:, 1:].flip(1), masses[:, 1:]) and torch.equal(taken_for[:, 0], masses[:, 0])
    assert PUCK.mistaken(begun(PUCK, 1)) is None
