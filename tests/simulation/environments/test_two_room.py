"""Walls stop the agent, the door lets it through, and the cost is the way there."""

from dataclasses import replace
from itertools import pairwise

import torch

from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.simulation.environments.two_room import TWO_ROOM, Rooms


def room(x, y, goal=(8.0, 2.0), wall_x=5.0, door_y=5.0):
    def one(value):
        return torch.tensor([value], dtype=torch.float64)

    place = one([x, y])
    return Rooms(place[:, None], torch.zeros_like(place)[:, None], one(wall_x), one(door_y), one(list(goal)))


def walk(state, action, frames):
    for _ in range(frames):
        state = TWO_ROOM.step(state, torch.tensor([action]))
    return state


def test_an_action_of_one_is_half_a_unit_a_frame():
    state = walk(room(2.0, 2.0), [1.0, -0.5], 1)
    assert torch.allclose(state.position[0, 0], torch.tensor([2.5, 1.75]).double())
    assert torch.allclose(state.velocity[0, 0], torch.tensor([5.0, -2.5]).double())


def test_the_wall_stops_the_agent_which_slides_along_it_to_the_door():
    state = walk(room(2.0, 2.0), [1.0, 0.0], 20)
    assert state.position[0, 0].tolist() == [4.25, 2.0] and state.velocity.abs().max() == 0
    state = walk(state, [1.0, 0.25], 16)
    assert state.position[0, 0, 0] == 4.25 and state.position[0, 0, 1] == 4.0
    assert walk(state, [1.0, 0.5], 20).position[0, 0, 0] > 5.75


def test_in_the_door_the_agent_keeps_between_its_posts():
    state = walk(room(5.0, 5.0), [0.0, 1.0], 10)
    assert state.position[0, 0].tolist() == [5.0, 5.5]


def test_the_picture_s_edges_stop_the_agent():
    assert walk(room(2.0, 2.0), [-1.0, -1.0], 20).position[0, 0].tolist() == [0.5, 0.5]


def test_success_is_sixteen_pixels_of_224():
    goal = (8.0, 2.0)
    near, far = (TWO_ROOM.solved(room(8.0 + px * 10 / 224, 2.0, goal)) for px in (15.9, 16.1))
    assert near.item() and not far.item()


def test_the_cost_is_the_way_through_the_door():
    here, there = room(2.0, 2.0), room(7.0, 2.0)
    through = 2 * (3.0**2 + 3.0**2) ** 0.5
    assert abs(TWO_ROOM.cost(TWO_ROOM.places(here), TWO_ROOM.target(here)).item() - through) < 1e-9
    assert abs(TWO_ROOM.cost(TWO_ROOM.places(there), TWO_ROOM.target(there)).item() - 1.0) < 1e-9


def test_the_cost_falls_all_along_the_expert_s_way():
    state = replace(room(1.0, 9.0), goal=torch.tensor([[9.0, 9.0]]).double())
    costs = []
    for _ in range(40):
        costs.append(TWO_ROOM.cost(TWO_ROOM.places(state), TWO_ROOM.target(state)).item())
        state = TWO_ROOM.step(state, TWO_ROOM.expert(state))
    assert costs[0] > 10 and costs[-1] < 0.5 and max(later - now for now, later in pairwise(costs)) < 0.3


def test_three_quarters_of_goals_are_in_the_other_room():
    state = TWO_ROOM.start(Draws(clip_streams("rooms", range(2000), torch.device("cpu"))))
    agent, goal = state.position[:, 0, 0] < state.wall_x, state.goal[:, 0] < state.wall_x
    assert abs((agent != goal).double().mean().item() - 0.75) < 0.03
    assert abs(agent.double().mean().item() - 0.5) < 0.04
    assert ((state.goal[:, 0] - state.wall_x).abs() >= 0.75).all()
