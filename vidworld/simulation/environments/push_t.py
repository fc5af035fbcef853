"""Push-T: bring a block of the form of a T to a place and a direction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vidworld.core.clip import Frames, Tracks
from vidworld.core.clip_shape import WORLD_SIZE, ClipShape
from vidworld.core.counter_rng import Draws
from vidworld.core.errors import UserError
from vidworld.simulation.environments.environment import (
    AGENT_SPEED,
    FRAME_S,
    Action,
    ColorPlaces,
    Environment,
    WorldState,
    driven,
    heading,
    seen_distance,
    target_beside,
)
from vidworld.simulation.stage import PALETTE

_PX = WORLD_SIZE / 512  # a pixel of the published task (units)
_BAR = (120 * _PX, 30 * _PX)  # width and height
_STEM = (30 * _PX, 90 * _PX)
_STEM_AWAY = (_BAR[1] + _STEM[1]) / 2  # from the bar's middle to the stem's
_AGENT_RADIUS = 0.4  # 20 px there, where it is 15: as small a disc is hard to see in 64 px
_REACHED, _TURNED = 20 * _PX, math.pi / 9
_SUBSTEPS = 10  # of a frame
_MARGIN = 2.2  # of the T's bar from the edges at first and at the goal
_WAY, _TURN = 1.5, math.pi / 4  # of the goal from the start, at most, along each axis and about it
_APART = 2.2  # of the agent from the bar's middle, at least
_TRIES = 64
_NEARNESS = 0.03  # the weight of the agent's distance to the T; with more it stays where it would have to go round
_WALL = 2.0  # half of the thickness of what stands about the picture: the agent gives way to nothing
_CLEAR = 0.1  # what is farther apart than this does not touch (units)
_FINE_BITS = 8  # of a pixel's fraction in the drawing


@dataclass(frozen=True)
class TeeState(WorldState):
    """The agent, the middles of the T's bar and stem, how the T is turned, and how all are to be."""

    angle: Float[Tensor, " env"]  # of the stem from the bar: 0 downwards in the picture, growing towards the left
    goal: Float[Tensor, "env 3 2"]
    goal_angle: Float[Tensor, " env"]


class PushT(Environment[TeeState]):
    """The agent pushes the T, which stands still as soon as it is not pushed (pymunk moves both).

    Solved when the T's bar is within 20/512 of the picture's width of its place and turned by less than pi/9 from its
    direction. Source: Push-T (Diffusion Policy, arXiv 2303.04137), its block, quasi-static motion and contacts; rule
    and pixels as in stable-worldmodel, whose distance counts the agent's place too. There the action is a place that
    the agent is drawn to, and the goal comes from a demonstration; here it is a velocity, and the goal is drawn.

    Bar and stem have colours of their own, so that where these are says how the T is turned.
    """

    name, label = "push_t", "Push-T"
    colors = (0, 1, 2)
    radii = (_AGENT_RADIUS, 0.66, 0.57)  # of discs as large as bar and stem
    budget_frames, horizon_frames = 80, 32  # the agent has to go round the T before it pushes the right way

    def start(self, draws: Draws) -> TeeState:
        """A T and its goal somewhere in the middle, and the agent beside it."""
        low, high = _MARGIN + _WAY, WORLD_SIZE - _MARGIN - _WAY
        bar, angle = draws.uniform(low, high, count=2), draws.uniform(-math.pi, math.pi)
        way, turn = draws.uniform(-_WAY, _WAY, count=2), draws.uniform(-_TURN, _TURN)
        tries = draws.uniform(_AGENT_RADIUS, WORLD_SIZE - _AGENT_RADIUS, count=2 * _TRIES).reshape(len(bar), _TRIES, 2)
        stem = bar + _STEM_AWAY * _down(angle)
        fits = (seen_distance(tries, bar[:, None]) > _APART) & (seen_distance(tries, stem[:, None]) > _APART)
        agent = tries[torch.arange(len(bar)), fits.to(torch.uint8).argmax(1)]
        position = torch.stack([agent, bar, stem], dim=1)
        goal, goal_angle = bar + way, angle + turn
        goal_stem = goal + _STEM_AWAY * _down(goal_angle)
        beside = goal - _down(goal_angle) * (_BAR[1] / 2 + _AGENT_RADIUS + 0.1)
        goals = torch.stack([beside, goal, goal_stem], dim=1)
        return TeeState(position, torch.zeros_like(position), angle, goals, goal_angle)

    def step(self, state: TeeState, action: Action) -> TeeState:
        """Each by itself; whatever is not pushed stands still."""
        pymunk = _pymunk()
        velocity = driven(state.position[:, 0], action, _AGENT_RADIUS, WORLD_SIZE - _AGENT_RADIUS)
        agent, bar, angle = state.position[:, 0] + velocity * FRAME_S, state.position[:, 1].clone(), state.angle.clone()
        by_agent, by_wall = _may_touch(state.position, angle)
        touched = (by_agent | by_wall).nonzero()[:, 0]
        if len(touched):
            given = (each[touched].tolist() for each in (state.position, angle, velocity, by_wall))
            pushed = torch.tensor([_pushed(pymunk, *one) for one in zip(*given, strict=True)], dtype=bar.dtype)
            bar[touched], angle[touched] = pushed[:, :2], pushed[:, 2]
        position = torch.stack([agent, bar, bar + _STEM_AWAY * _down(angle)], dim=1)
        return replace(state, position=position, velocity=(position - state.position) / FRAME_S, angle=angle)

    def solved(self, state: TeeState) -> Bool[Tensor, " env"]:
        turned = (state.angle - state.goal_angle + math.pi).remainder(2 * math.pi) - math.pi
        return (seen_distance(state.position[:, 1], state.goal[:, 1]) < _REACHED) & (turned.abs() < _TURNED)

    def target(self, state: TeeState) -> Float[Tensor, "env 4"]:
        """Where bar and stem are to be."""
        return state.goal[:, 1:].flatten(1)

    def cost(self, places: ColorPlaces, target: Float[Tensor, "env 4"]) -> Float[Tensor, "env *any"]:
        """How far bar and stem are from their places, and 0.03 of how far the agent is from the T."""
        agent, bar, stem = (places[..., i, :] for i in range(3))
        goal = target_beside(target, places)
        apart = seen_distance(bar, goal[..., :2]) + seen_distance(stem, goal[..., 2:])
        return apart + _NEARNESS * seen_distance(agent, (bar + stem) / 2)

    def expert(self, state: TeeState) -> Action:
        """Behind the T, round it where it is in the way, and then against it; how it is turned is left to chance."""
        agent, middle, goal = state.position[:, 0], state.position[:, 1:].mean(1), state.goal[:, 1:].mean(1)
        ahead = (goal - middle) / seen_distance(goal, middle).clamp(min=1e-6)[:, None]
        across = torch.stack([-ahead[:, 1], ahead[:, 0]], dim=1)
        along, aside = ((agent - middle) * ahead).sum(1), ((agent - middle) * across).sum(1)
        round_it = middle + across * torch.where(aside < 0, -2.2, 2.2)[:, None] - ahead * 1.2
        way = torch.where((along > -0.8)[:, None], round_it, middle - ahead * 1.9)
        ready = (along < -0.4) & (aside.abs() < 0.5)
        return heading(agent, torch.where(ready[:, None], middle + ahead, way))

    def reached(self, state: TeeState) -> Float[Tensor, "env 4"]:
        """Where bar and stem are."""
        return state.position[:, 1:].flatten(1)

    def goal_state(self, state: TeeState) -> TeeState:
        """The T as it is to be, the agent at its bar."""
        return replace(state, position=state.goal, velocity=torch.zeros_like(state.velocity), angle=state.goal_angle)

    def draw(self, states: Any, shape: ClipShape = ClipShape()) -> tuple[Frames, Tracks]:
        """The agent as a disc, bar and stem as rectangles."""
        frames, tracks = super().draw([replace(each, position=_only_agent(each.position)) for each in states], shape)
        position = torch.stack([each.position for each in states], dim=1)
        angle = torch.stack([each.angle for each in states], dim=1)
        for env, in_time in enumerate(position.tolist()):
            for time, (_, bar, stem) in enumerate(in_time):
                for middle, size, color in ((bar, _BAR, 1), (stem, _STEM, 2)):
                    _fill(frames[env, time], middle, size, float(angle[env, time]), PALETTE[color], shape)
        return frames, replace(tracks, position=position, visible=torch.ones_like(tracks.visible))


def _may_touch(position: Float[Tensor, "env 3 2"], angle: Float[Tensor, " env"]) -> tuple[Tensor, Tensor]:
    """Where the agent may touch the T within a frame, and where the T a wall (both "env"); else the T stays."""
    agent, bar, stem = position.unbind(dim=1)
    reach = math.sqrt(2) * AGENT_SPEED * FRAME_S + _AGENT_RADIUS + _CLEAR
    down = _down(angle)
    across = torch.stack([down[:, 1], -down[:, 0]], dim=1)
    agent_does, wall_does = torch.zeros_like(angle, dtype=torch.bool), torch.zeros_like(angle, dtype=torch.bool)
    for middle, size in ((bar, _BAR), (stem, _STEM)):
        away = torch.stack([((agent - middle) * along).sum(1) for along in (across, down)], dim=1).abs()
        agent_does |= (away - away.new_tensor(size) / 2).clamp(min=0).norm(dim=1) < reach
        margin = math.hypot(*size) / 2 + reach
        wall_does |= ((middle < margin) | (middle > WORLD_SIZE - margin)).any(dim=1)
    return agent_does, wall_does


def _down(angle: Float[Tensor, " env"]) -> Float[Tensor, "env 2"]:
    """From the T's bar to its stem."""
    return torch.stack([-angle.sin(), angle.cos()], dim=1)


def _only_agent(position: Float[Tensor, "env object 2"]) -> Float[Tensor, "env object 2"]:
    """The T out of the picture: it is no disc."""
    hidden = position.clone()
    hidden[:, 1:] = -WORLD_SIZE
    return hidden


def _corners(middle: Sequence[float], size: tuple[float, float], angle: float) -> list[tuple[float, float]]:
    sine, cosine = math.sin(angle), math.cos(angle)
    halves = [(x * size[0] / 2, y * size[1] / 2) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return [(middle[0] + x * cosine - y * sine, middle[1] + x * sine + y * cosine) for x, y in halves]


def _fill(
    picture: Tensor, middle: Sequence[float], size: tuple[float, float], angle: float, color: Tensor, shape: ClipShape
) -> None:
    """Draw a rectangle with smooth edges."""
    import cv2

    share = np.zeros((shape.height_px, shape.width_px), np.uint8)
    corners = (np.array(_corners(middle, size, angle)) / shape.pixel - 0.5) * 2**_FINE_BITS
    cv2.fillPoly(share, [corners.round().astype(np.int32)], 255, cv2.LINE_AA, _FINE_BITS)
    alpha = torch.from_numpy(share).to(torch.float32) / 255
    mixed = torch.lerp(picture.float(), (color * 255)[:, None, None].expand_as(picture), alpha.expand_as(picture))
    picture.copy_(mixed.round().to(torch.uint8))


def _pymunk() -> Any:
    try:
        import pymunk
    except ModuleNotFoundError as error:
        raise UserError("push_t moves its block with pymunk; pip install 'vidworld[environments]'") from error
    return pymunk


def _pushed(pymunk: Any, position: list[list[float]], angle: float, velocity: list[float], walled: bool) -> list[float]:
    """The bar's place and the T's angle a frame later: a function of these alone, in a new space."""
    space = pymunk.Space()
    space.damping = 0.0
    agent = pymunk.Body(body_type=pymunk.Body.KINEMATIC)
    agent.position, agent.velocity = tuple(position[0]), tuple(velocity)
    bar = [(x * _BAR[0] / 2, y * _BAR[1] / 2) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    stem = [(x * _STEM[0] / 2, y * _STEM[1] / 2 + _STEM_AWAY) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    block = pymunk.Body(2.0, pymunk.moment_for_poly(1.0, bar) + pymunk.moment_for_poly(1.0, stem))
    block.center_of_gravity = (0.0, _STEM_AWAY * 0.43)  # the stem's share of the area is 3/7
    block.angle = angle  # before the place, which it would move
    block.position = tuple(position[1])
    shapes = [pymunk.Circle(agent, _AGENT_RADIUS), pymunk.Poly(block, bar), pymunk.Poly(block, stem)]
    low, high = -_WALL, WORLD_SIZE + _WALL
    corners = [(low, low), (high, low), (high, high), (low, high)]
    sides = zip(corners, corners[1:] + corners[:1], strict=True) if walled else ()
    walls = [pymunk.Segment(space.static_body, *side, _WALL) for side in sides]
    for each in (*shapes, *walls):
        each.friction = 1.0
    space.add(agent, block, *shapes, *walls)
    for _ in range(_SUBSTEPS):
        space.step(FRAME_S / _SUBSTEPS)
    return [*block.position, block.angle]


PUSH_T = PushT()
