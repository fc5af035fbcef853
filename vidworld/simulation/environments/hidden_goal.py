"""A disc goes behind one of two screens: open the right one."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.counter_rng import Draws
from vidworld.simulation.discs import Scenes
from vidworld.simulation.environments.environment import (
    AGENT_RADIUS,
    FRAME_S,
    IMMOVABLE,
    Action,
    ColorPlaces,
    Environment,
    WorldState,
    driven,
    heading,
    moved,
    seen_distance,
)

_RADIUS = 0.5
_HALF_SCREEN = 1.2
_OFF_MIDDLE = 0.5  # how far from its screen's middle the disc ends, at most, along each axis: it is wholly hidden
_SCREEN_X, _SCREEN_Y = (2.3, 3.1), (2.8, 5.4)  # of the left screen's middle; the right one mirrors x
_DISC_X, _DISC_Y = (4.8, 5.2), (1.5, 5.5)  # where the disc begins
_ARRIVES = (7.0, 11.0)  # the frame in which it comes to rest
_AGENT = (WORLD_SIZE / 2, 8.5)
_NEAR = 1.5  # of the agent and the disc


@dataclass(frozen=True)
class TwoScreens(WorldState):
    """The agent, the disc on its way, and what hides it."""

    screens: Float[Tensor, "env 2 4"]  # (left, top, right, bottom); zero for one that is lifted
    way: Float[Tensor, "env 2 2"]  # where the disc begins and where it ends
    arrives: Float[Tensor, " env"]
    frame: Int[Tensor, " env"]
    behind: Int[Tensor, " env"]  # the screen behind which the disc goes: 0 left, 1 right
    opened: Int[Tensor, " env"]  # the screen that was lifted first, -1 for none

    @property
    def lost(self) -> Bool[Tensor, " env"]:
        """The wrong screen was lifted first: nothing solves this any more."""
        return (self.opened >= 0) & (self.opened != self.behind)


class HiddenGoal(Environment[TwoScreens]):
    """A disc is seen, goes behind one of two screens within the context, and stays there.

    A screen is lifted for good when the agent (as the square about it) touches it. Solved when the first screen that
    was lifted is the disc's and the agent is within 1.5 of the disc; once the other one is, all is `lost`.
    The disc gives way to nothing, and the agent slides along it as along the picture's edges.
    """

    name, label = "hidden_goal", "Hidden goal"
    context_frames = 12
    colors = (0, 1)
    radii = (AGENT_RADIUS, _RADIUS)

    def start(self, draws: Draws) -> TwoScreens:
        """The agent at the bottom, the disc in the middle, a screen to the left and one to the right."""
        x, y = draws.uniform(*_SCREEN_X, count=2), draws.uniform(*_SCREEN_Y, count=2)
        x = torch.stack([x[:, 0], WORLD_SIZE - x[:, 1]], dim=1)
        middle = torch.stack([x, y], dim=2)
        behind = draws.chance(0.5).to(torch.int64)
        begin = torch.stack([draws.uniform(*_DISC_X), draws.uniform(*_DISC_Y)], dim=1)
        end = middle[torch.arange(len(x), device=x.device), behind] + draws.uniform(-_OFF_MIDDLE, _OFF_MIDDLE, count=2)
        arrives = draws.uniform(*_ARRIVES)
        agent = begin.new_tensor(_AGENT).expand_as(begin)
        screens = torch.cat([middle - _HALF_SCREEN, middle + _HALF_SCREEN], dim=2)
        frame = torch.zeros_like(behind)
        speed = (end - begin) / (arrives * FRAME_S)[:, None]
        position = torch.stack([agent, begin], dim=1)
        velocity = torch.stack([torch.zeros_like(speed), speed], dim=1)
        way = torch.stack([begin, end], dim=1)
        return TwoScreens(position, velocity, screens, way, arrives, frame, behind, frame - 1)

    def step(self, state: TwoScreens, action: Action) -> TwoScreens:
        """The agent moves, the disc goes on, and a screen that it touches goes away."""
        begin, end = state.way.unbind(1)
        frame = state.frame + 1
        disc = begin + (end - begin) * (frame / state.arrives).clamp(max=1)[:, None]
        speed = (disc - state.position[:, 1]) / FRAME_S
        velocity = torch.stack([driven(state.position[:, 0], action), speed], dim=1)
        motion = moved(replace(self.scenes(state), velocity=velocity))
        agent = motion.position[:, 0, 0]
        goes_on = torch.where((frame < state.arrives)[:, None], speed, 0.0)
        left, top, right, bottom = state.screens.unbind(2)
        x, y = agent[:, :1], agent[:, 1:]
        reach = AGENT_RADIUS
        lifted = (left - reach < x) & (x < right + reach) & (top - reach < y) & (y < bottom + reach) & (left < right)
        first = torch.where(lifted.any(1), lifted.to(torch.int64).argmax(1), -1)
        return replace(
            state,
            position=torch.stack([agent, disc], dim=1),
            velocity=torch.stack([motion.velocity[:, 0, 0], goes_on], dim=1),
            screens=torch.where(lifted[:, :, None], 0.0, state.screens),
            frame=frame,
            opened=torch.where(state.opened < 0, first, state.opened),
        )

    def solved(self, state: TwoScreens) -> Bool[Tensor, " env"]:
        near = seen_distance(state.position[:, 0], state.position[:, 1]) <= _NEAR
        return near & (state.opened == state.behind)

    def cost(self, places: ColorPlaces, target: Float[Tensor, "env 0"]) -> Float[Tensor, "env *any"]:
        """The agent's distance to the disc; the picture's diagonal where the disc is not seen."""
        del target
        return seen_distance(places[..., 0, :], places[..., 1, :])

    def expert(self, state: TwoScreens) -> Action:
        """Straight to where the disc will be."""
        return heading(state.position[:, 0], state.way[:, 1])

    def mistaken(self, state: TwoScreens) -> TwoScreens:
        """The disc lies behind the other screen, in its middle."""
        other = state.screens[torch.arange(len(state)), 1 - state.behind]
        place = torch.where((other == 0).all(1, keepdim=True), state.position[:, 1], (other[:, :2] + other[:, 2:]) / 2)
        position, way = state.position.clone(), state.way.clone()
        position[:, 1], way[:, 1] = place, place
        return replace(state, position=position, way=way, behind=1 - state.behind)

    def scenes(self, state: TwoScreens) -> Scenes:
        """The agent, which keeps no speed against what stops it, the disc and the screens that are left."""
        scenes = super().scenes(state)
        mass = state.position.new_tensor([1.0, IMMOVABLE]).expand(len(state), -1)
        return replace(scenes, mass=mass, screens=state.screens, restitution=torch.zeros_like(scenes.restitution))


HIDDEN_GOAL = HiddenGoal()
