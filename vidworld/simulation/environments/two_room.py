"""Two rooms, a wall between them with one door: go to a place."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.counter_rng import Draws
from vidworld.simulation.discs import Scenes
from vidworld.simulation.environments.environment import (
    AGENT_RADIUS,
    FRAME_S,
    OUT_OF_SIGHT,
    Action,
    ColorPlaces,
    Environment,
    WorldState,
    driven,
    heading,
    seen_distance,
    target_beside,
)

_WALL_X = (4.0, 6.0)  # where the wall's middle may be
_THICKNESS = 0.5
_DOOR = 2.0  # its height
_OTHER_ROOM = 0.75  # share of episodes whose goal is in the room where the agent is not
_REACHED = 16 / 224 * WORLD_SIZE  # Source: TwoRoom of stable-worldmodel: within 16 px of a picture 224 px wide
_REACH_X = _THICKNESS / 2 + AGENT_RADIUS  # of the wall, for the agent's centre


@dataclass(frozen=True)
class Rooms(WorldState):
    """The agent, the wall and the place that is the goal."""

    wall_x: Float[Tensor, " env"]
    door_y: Float[Tensor, " env"]
    goal: Float[Tensor, "env 2"]


class TwoRoom(Environment[Rooms]):
    """The agent stops at walls and slides along them; at the wall's corners it counts as the square about it.

    Solved within 16/224 of the picture's width, as in the published TwoRoom; there the wall stands in the middle.
    A straight distance is least at the wall for most goals in the other room. So the cost is the length of the way
    through the door, and the target holds what a picture of the rooms shows: the place, the door's height, the wall's
    place.
    """

    name, label = "two_room", "Two rooms"

    def start(self, draws: Draws) -> Rooms:
        """A wall and a door anywhere in their ranges, the agent and the goal anywhere free."""
        wall_x = draws.uniform(*_WALL_X)
        door_y = draws.uniform(_DOOR / 2 + 0.5, WORLD_SIZE - _DOOR / 2 - 0.5)
        side = draws.sign()
        other = torch.where(draws.chance(_OTHER_ROOM), -side, side)
        low, high = AGENT_RADIUS, WORLD_SIZE - AGENT_RADIUS
        agent, goal = (
            torch.stack([_x_in_room(draws, wall_x, each), draws.uniform(low, high)], dim=1) for each in (side, other)
        )
        return Rooms(agent[:, None], torch.zeros_like(agent)[:, None], wall_x, door_y, goal)

    def step(self, state: Rooms, action: Action) -> Rooms:
        """First along x and then along y, each as far as the walls let the agent."""
        before = state.position[:, 0]
        wanted = before + driven(before, action) * FRAME_S
        x, y = before.unbind(1)
        low, high = state.wall_x - _REACH_X, state.wall_x + _REACH_X
        at_door = (y - state.door_y).abs() <= _DOOR / 2 - AGENT_RADIUS
        left, right = ~at_door & (x <= low), ~at_door & (x >= high)
        new_x = torch.where(left, wanted[:, 0].minimum(low), wanted[:, 0])
        new_x = torch.where(right, new_x.maximum(high), new_x)
        passing = (new_x > low) & (new_x < high)
        half = _DOOR / 2 - AGENT_RADIUS
        within = wanted[:, 1].maximum(state.door_y - half).minimum(state.door_y + half)
        after = torch.stack([new_x, torch.where(passing, within, wanted[:, 1])], dim=1)
        return replace(state, position=after[:, None], velocity=((after - before) / FRAME_S)[:, None])

    def solved(self, state: Rooms) -> Bool[Tensor, " env"]:
        return seen_distance(state.position[:, 0], state.goal) <= _REACHED

    def target(self, state: Rooms) -> Float[Tensor, "env 4"]:
        """The place (2), the height of the door's middle and where the wall is."""
        return torch.cat([state.goal, state.door_y[:, None], state.wall_x[:, None]], dim=1)

    def cost(self, places: ColorPlaces, target: Float[Tensor, "env 4"]) -> Float[Tensor, "env *any"]:
        """The way from the agent to the place, through the middle of the door where a wall is between.

        Twice `OUT_OF_SIGHT` where the agent is not seen: ways round the wall may be longer than the picture.
        """
        agent, goal = places[..., 0, :], target_beside(target, places)
        place, door = goal[..., :2], goal[..., [3, 2]]
        apart = (agent[..., 0] < door[..., 0]) != (place[..., 0] < door[..., 0])
        through = seen_distance(agent, door) + seen_distance(door, place)
        way = torch.where(apart, through, seen_distance(agent, place))
        return way.masked_fill(agent.isnan().any(-1), 2 * OUT_OF_SIGHT)

    def expert(self, state: Rooms) -> Action:
        """To the door, through it and to the place."""
        agent, goal = state.position[:, 0], state.goal
        side, other = ((each[:, 0] - state.wall_x).sign() for each in (agent, goal))
        ahead = (agent[:, 1] - state.door_y).abs() < (_DOOR / 2 - AGENT_RADIUS) * 0.8
        way_x = state.wall_x + torch.where(ahead, other, side) * (_REACH_X + 0.1)
        door = torch.stack([way_x, state.door_y], dim=1)
        return heading(agent, torch.where((side == other)[:, None], goal, door))

    def reached(self, state: Rooms) -> Float[Tensor, "env 4"]:
        """Where the agent is, in these rooms."""
        return torch.cat([state.position[:, 0], state.door_y[:, None], state.wall_x[:, None]], dim=1)

    def goal_state(self, state: Rooms) -> Rooms:
        """The agent at rest at the place."""
        return replace(state, position=state.goal[:, None], velocity=torch.zeros_like(state.velocity))

    def scenes(self, state: Rooms) -> Scenes:
        """The agent and the two parts of the wall."""
        left, right = state.wall_x - _THICKNESS / 2, state.wall_x + _THICKNESS / 2
        top, bottom = torch.zeros_like(left), torch.full_like(left, WORLD_SIZE)
        above = torch.stack([left, top, right, state.door_y - _DOOR / 2], dim=1)
        below = torch.stack([left, state.door_y + _DOOR / 2, right, bottom], dim=1)
        return replace(super().scenes(state), blocks=torch.stack([above, below], dim=1))


def _x_in_room(draws: Draws, wall_x: Tensor, side: Tensor) -> Tensor:
    """Somewhere in the room left (side -1) or right (1) of the wall."""
    low = torch.where(side < 0, torch.full_like(wall_x, AGENT_RADIUS), wall_x + _REACH_X)
    high = torch.where(side < 0, wall_x - _REACH_X, torch.full_like(wall_x, WORLD_SIZE - AGENT_RADIUS))
    return draws.uniform(low, high)


TWO_ROOM = TwoRoom()
