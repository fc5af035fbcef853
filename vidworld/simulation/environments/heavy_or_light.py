"""Two discs of one look, one ten times as heavy: strike the one that can be got to the goal."""

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
    heading,
    moved,
    seen_distance,
)

_RADIUS = 0.6
_LIGHT, _HEAVY, _AGENT_MASS = 1.0, 10.0, 3.0
_RESTITUTION = 0.9
_DRAG = 0.85  # what is left of a velocity at the beginning of each frame
_STRIP = 0.6  # the lower edge of the strip at the top
_REACHED = 0.35  # from a disc's edge to the strip
_SPEED = (2.5, 4.0)  # of each disc at first, towards the other (units a second)
_APPROACH_S = (0.2, 0.3)  # their gap over the speed at which they close in: drag lets them meet in frame 3 to 5
_MIDDLE_X, _MIDDLE_Y = (4.6, 5.4), (4.2, 4.5)
_ASIDE = 0.15  # how far one disc is above the other at first, at most
_AGENT_X, _AGENT_Y = (3.0, 7.0), 8.6
_NEARNESS = 0.1  # the weight of the agent's distance to the nearer disc: a plan that strikes none is not like any other


@dataclass(frozen=True)
class TwoMasses(WorldState):
    """The agent and two discs, what each weighs, and what has happened."""

    mass: Float[Tensor, "env 3"]
    struck: Bool[Tensor, " env"]  # the agent has touched a disc: its motor is off
    reached: Bool[Tensor, " env"]  # a disc has been at the strip


class HeavyOrLight(Environment[TwoMasses]):
    """Two discs of equal size meet within the context, which shows their masses, and drag slows them.

    The agent may strike one: at its first contact with a disc its motor stops, and it coasts. Solved once a disc other
    than the agent has come within 0.35 of the strip at the top. One blow takes the light disc there, and the heavy one
    not nearly.
    """

    name, label = "heavy_or_light", "Heavy or light"
    context_frames = 12
    colors = (0, 1, 2)
    radii = (AGENT_RADIUS, _RADIUS, _RADIUS)

    def start(self, draws: Draws) -> TwoMasses:
        """The discs on their way to each other, either one the heavy one and on either side; the agent below."""
        middle = torch.stack([draws.uniform(*_MIDDLE_X), draws.uniform(*_MIDDLE_Y)], dim=1)
        speed = draws.uniform(*_SPEED, count=2)
        gap = draws.uniform(*_APPROACH_S) * speed.sum(1) + 2 * _RADIUS
        side = draws.sign()  # of the first disc
        aside = draws.uniform(-_ASIDE, _ASIDE)
        half = torch.stack([side * gap, aside], dim=1) / 2
        agent = torch.stack([draws.uniform(*_AGENT_X), torch.full_like(gap, _AGENT_Y)], dim=1)
        heavy = draws.chance(0.5)
        one, other = (torch.where(each, _HEAVY, _LIGHT).to(gap) for each in (heavy, ~heavy))
        position = torch.stack([agent, middle + half, middle - half], dim=1)
        velocity = torch.zeros_like(position)
        velocity[:, 1, 0], velocity[:, 2, 0] = -side * speed[:, 0], side * speed[:, 1]
        mass = torch.stack([torch.full_like(gap, _AGENT_MASS), one, other], dim=1)
        no = torch.zeros_like(heavy)
        return TwoMasses(position, velocity, mass, no, no)

    def step(self, state: TwoMasses, action: Action) -> TwoMasses:
        """All slow down; the agent goes where the action says until it has touched a disc."""
        coasting = state.velocity * _DRAG
        motor = driven(state.position[:, 0], action)
        agent = torch.where(state.struck[:, None], coasting[:, 0], motor)
        velocity = torch.cat([agent[:, None], coasting[:, 1:]], dim=1)
        motion = moved(replace(self.scenes(state), velocity=velocity))
        position = motion.position[:, 0]
        gap = position[:, 1:, 1] - _RADIUS - _STRIP
        return replace(
            state,
            position=position,
            velocity=motion.velocity[:, 0],
            struck=state.struck | motion.contact_s[:, 0].isfinite(),
            reached=state.reached | (gap <= _REACHED).any(1),
        )

    def solved(self, state: TwoMasses) -> Bool[Tensor, " env"]:
        return state.reached

    def cost(self, places: ColorPlaces, target: Float[Tensor, "env 0"]) -> Float[Tensor, "env *any"]:
        """How far the disc nearer to the strip is from it, and a tenth of how far the agent is from the nearer disc.

        It says nothing of masses, and both discs are about as far from the strip at first.
        """
        del target
        agent, discs = places[..., :1, :], places[..., 1:3, :]
        line = discs.clone()
        line[..., 1] = _STRIP + _RADIUS + _REACHED
        above = discs[..., 1] < line[..., 1]
        to_strip = seen_distance(discs, line).masked_fill(above, 0.0).amin(-1)
        return to_strip + _NEARNESS * seen_distance(agent, discs).amin(-1)

    def expert(self, state: TwoMasses) -> Action:
        """Under the light disc, and then up."""
        agent = state.position[:, 0]
        light = torch.where((state.mass[:, 1] < state.mass[:, 2])[:, None], state.position[:, 1], state.position[:, 2])
        below = light + light.new_tensor([0.0, 2.2])
        ready = ((agent - light)[:, 0].abs() < 0.15) & (agent[:, 1] > light[:, 1])
        return heading(agent, torch.where(ready[:, None], light, below))

    def mistaken(self, state: TwoMasses) -> TwoMasses:
        """The heavy disc is taken for the light one."""
        return replace(state, mass=state.mass[:, [0, 2, 1]])

    def scenes(self, state: TwoMasses) -> Scenes:
        """Discs of these masses between the strip and the picture's other edges."""
        scenes = super().scenes(state)
        walls = scenes.walls.clone()
        walls[:, 2, 2] = _STRIP
        strip = walls.new_tensor([0.0, 0.0, WORLD_SIZE, _STRIP]).expand(len(state), 1, 4)
        restitution = torch.full_like(scenes.restitution, _RESTITUTION)
        return replace(scenes, mass=state.mass, walls=walls, blocks=strip, restitution=restitution)


HEAVY_OR_LIGHT = HeavyOrLight()
