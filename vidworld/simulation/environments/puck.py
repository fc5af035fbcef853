"""A puck to kick: bring it to a place by striking it."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.counter_rng import Draws
from vidworld.simulation.discs import Scenes
from vidworld.simulation.environments.environment import (
    AGENT_RADIUS,
    Action,
    ColorPlaces,
    Environment,
    WorldState,
    driven,
    first_that_fits,
    heading,
    moved,
    seen_distance,
    target_beside,
)

_RADIUS = 0.7
_DRAG = 0.9  # what is left of the puck's velocity at the beginning of each frame
_RESTITUTION = 0.7
_AGENT_MASS = 20 * _RADIUS**2  # twenty times the puck's: lighter, so that a puck between agent and edge stops the agent
_REACHED = 0.75  # from the puck's centre to the place
_START = (2.0, WORLD_SIZE - 2.0)  # where the puck's centre may be at first: the agent gets behind it
_PLACE = (1.2, WORLD_SIZE - 1.2)
_LEAST_WAY = 2.5  # from the puck to its place, and from the agent to the puck
_TRIES = 64
_NEARNESS = 0.1  # the weight of the agent's distance to the puck: a plan that does not reach it is not like any other


@dataclass(frozen=True)
class Rink(WorldState):
    """The agent, the puck and the place that is the goal."""

    goal: Float[Tensor, "env 2"]


class Puck(Environment[Rink]):
    """The action is the agent's velocity; the puck rests at first, slides with drag and bounces off agent and edges.

    Solved in frames in which the puck's centre is within 0.75 of the place. No picture of an episode shows the place,
    so nothing moves in another way because of it.
    """

    name, label = "puck", "Puck"
    colors = (0, 1)
    radii = (AGENT_RADIUS, _RADIUS)

    def start(self, draws: Draws) -> Rink:
        """Puck, place and agent at random, far enough from each other that the puck must be kicked."""
        puck = draws.uniform(*_START, count=2)
        tries = draws.uniform(count=4 * _TRIES).reshape(len(puck), 2, _TRIES, 2)
        goals = _PLACE[0] + tries[:, 0] * (_PLACE[1] - _PLACE[0])
        agents = AGENT_RADIUS + tries[:, 1] * (WORLD_SIZE - 2 * AGENT_RADIUS)
        goal, agent = (
            first_that_fits(each, seen_distance(each, puck[:, None]) >= _LEAST_WAY) for each in (goals, agents)
        )
        position = torch.stack([agent, puck], dim=1)
        return Rink(position, torch.zeros_like(position), goal)

    def step(self, state: Rink, action: Action) -> Rink:
        """The agent strikes the puck where that is in its way."""
        velocity = torch.stack([driven(state.position[:, 0], action), state.velocity[:, 1] * _DRAG], dim=1)
        motion = moved(replace(self.scenes(state), velocity=velocity))
        return replace(state, position=motion.position[:, 0], velocity=motion.velocity[:, 0])

    def solved(self, state: Rink) -> Bool[Tensor, " env"]:
        return seen_distance(state.position[:, 1], state.goal) <= _REACHED

    def target(self, state: Rink) -> Float[Tensor, "env 2"]:
        return state.goal

    def cost(self, places: ColorPlaces, target: Float[Tensor, "env 2"]) -> Float[Tensor, "env *any"]:
        """The puck's distance to the place, and a tenth of the agent's to the puck."""
        agent, puck = places[..., 0, :], places[..., 1, :]
        return seen_distance(puck, target_beside(target, places)) + _NEARNESS * seen_distance(agent, puck)

    def expert(self, state: Rink) -> Action:
        """Behind the puck, round it where it is in the way, and then against it."""
        agent, puck = state.position.unbind(1)
        ahead = _unit(state.goal - puck)
        across = torch.stack([-ahead[:, 1], ahead[:, 0]], dim=1)
        along, aside = ((agent - puck) * ahead).sum(1), ((agent - puck) * across).sum(1)
        round_it = puck + across * torch.where(aside < 0, -1.6, 1.6)[:, None] - ahead * 1.0
        behind = puck - ahead * 1.6
        way = torch.where((along > -0.8)[:, None], round_it, behind)
        ready = (along < -0.8) & (aside.abs() < 0.35)
        return heading(agent, torch.where(ready[:, None], puck + ahead, way))

    def reached(self, state: Rink) -> Float[Tensor, "env 2"]:
        return state.position[:, 1]

    def goal_state(self, state: Rink) -> Rink:
        """The puck at its place and the agent beside it, on the side of the picture's middle."""
        inwards = _unit(WORLD_SIZE / 2 - state.goal)
        position = torch.stack([state.goal + inwards * 1.5, state.goal], dim=1)
        return replace(state, position=position, velocity=torch.zeros_like(position))

    def scenes(self, state: Rink) -> Scenes:
        """Agent and puck, which lose some energy to each other and to the edges."""
        scenes = super().scenes(state)
        mass = state.position.new_tensor([_AGENT_MASS, _RADIUS**2]).expand(len(state), -1)
        return replace(scenes, mass=mass, restitution=torch.full_like(scenes.restitution, _RESTITUTION))


def _unit(way: Float[Tensor, "env 2"]) -> Float[Tensor, "env 2"]:
    """The direction of each way; to the right where there is none."""
    length = way.square().sum(1, keepdim=True).sqrt()
    right = torch.tensor([1.0, 0.0]).to(way).expand_as(way)
    return torch.where(length > 1e-9, way / length.clamp(min=1e-9), right)


PUCK = Puck()
