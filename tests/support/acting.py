"""A world to plan in that needs no training: a point that moves by its action, and models that imagine it."""

from dataclasses import dataclass

import torch
from accelerate import Accelerator

from vidworld.core.clip import Clips
from vidworld.evaluation.evaluator import Evaluator
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.models.world_model import Rollout
from vidworld.simulation.environments.environment import Environment
from vidworld.simulation.stage import PALETTE

STEP = 0.25  # units a frame, at an action of 1
CHUNK = 4
SIDE = 16  # pixels
NEAR = 0.6


@dataclass(frozen=True)
class Spot:
    """Where the point is and where it is to go."""

    place: torch.Tensor
    goal: torch.Tensor

    def at(self, index):
        return type(self)(self.place[index], self.goal[index])


def picture(place):
    """A picture whose first pixels say where the point is, to 1/25 of a unit."""
    frames = torch.zeros(len(place), 3, SIDE, SIDE, dtype=torch.uint8)
    frames[:, :2, 0, 0] = (place * 25).round().clamp(0, 255).to(torch.uint8)
    return frames


class PointEnvironment(Environment):
    """The point in a square of ten units."""

    name, label, version = "point", "Point", 1
    action_channels, context_frames, budget_frames = 2, 8, 24
    state = Spot

    def expert(self, state):
        return (state.goal - state.place).clamp(-1, 1)

    def mistaken(self, state):
        return None

    def start(self, draws):
        place, goal = draws.uniform(1.0, 9.0, 2), draws.uniform(1.0, 9.0, 2)
        near = draws.chance(0.2)[:, None]  # a fifth of the starts are solved
        return self.state(place, torch.where(near, place + 0.1, place + (goal - place).clamp(-4, 4)))

    def step(self, state, action):
        return self.state((state.place + STEP * action.clamp(-1, 1)).clamp(0, 10), state.goal)

    def draw(self, states, shape=None):
        return torch.stack([picture(state.place) for state in states], dim=1), None

    def solved(self, state):
        return (state.place - state.goal).norm(dim=-1) < NEAR

    def reward(self, state):
        return -(state.place - state.goal).norm(dim=-1)

    def target(self, state):
        return state.goal

    def goal_picture(self, state, shape=None):
        return picture(state.goal)[:, None]

    def places(self, state):
        places = torch.full((len(state.place), len(PALETTE), 2), torch.nan, dtype=torch.float64)
        places[:, 0] = state.place
        return places

    def cost(self, places, target):
        apart = places[..., 0, :] - target.view(len(target), *(1,) * (places.ndim - 3), 2)
        return apart.norm(dim=-1).nan_to_num(14.0)


class PointModel:
    """It imagines the point as it is; `hears` is what it takes of each action."""

    def __init__(self, name="point_model", hears=1.0, gives=None):
        self.name, self.hears, self.gives, self.asked = name, hears, gives, []

    def rollout(self, context, horizon, samples, seeds, actions=None):
        self.asked.append((len(context.clips), samples, horizon, context.tokens.shape[1]))
        place = context.clips.frames[:, -1, :2, 0, 0].float() / 25
        by_frame = (self.hears * STEP * actions).unflatten(-1, (CHUNK, 2)).flatten(2, 3)  # (clip, sample, frame, 2)
        places = (place[:, None, None] + by_frame.cumsum(dim=2)).clamp(0, 10)
        embeddings = places.unflatten(2, (horizon, CHUNK)).flatten(3)[:, :, :, None, None]
        if self.gives is not None:
            embeddings = torch.full_like(embeddings, self.gives)
        return Rollout(embeddings, embeddings)

    def surprise(self, seen, context_length, seeds):
        raise NotImplementedError


class PointProbe:
    """It finds the point in what `PointModel` imagines, or in tokens of pictures, and nothing else."""

    def locate(self, embeddings, color):
        if embeddings.shape[-1] == 2 * CHUNK:
            found = embeddings[:, :, 0, 0].unflatten(-1, (CHUNK, 2)).flatten(1, 2)
        else:
            found = FrameTokenizer(CHUNK, SIDE, SIDE).decode(embeddings)[:, :, :2, 0, 0].float() / 25
        places = torch.full((*found.shape[:2], color.shape[1], 2), torch.nan)
        places[:, :, 0] = found
        return places


def point_evaluator():
    """An evaluator on the frames as they are."""
    return Evaluator(FrameTokenizer(CHUNK, SIDE, SIDE), {}, Accelerator(cpu=True, mixed_precision="no"), 8, 0)


class PointWorld:
    """The point's world as somebody's model of frames: python:acting.PointWorld."""

    def predict(self, context, num_frames, seeds, actions):
        place = context.frames[:, -1, :2, 0, 0].float() / 25
        places = (place[:, None] + STEP * actions.cumsum(dim=1)).clamp(0, 10)
        return torch.stack([picture(each) for each in places.unbind(dim=1)], dim=1)


class DeafWorld(PointWorld):
    """It drops the actions: python:acting.DeafWorld."""

    def predict(self, context, num_frames, seeds, actions):
        return super().predict(context, num_frames, seeds, torch.zeros_like(actions))


class BrokenWorld:
    """It takes no actions: python:acting.BrokenWorld."""

    def predict(self, context, num_frames, seeds):
        return context.frames[:, -1:].expand(-1, num_frames, -1, -1, -1)


class PointCost:
    """It shows nothing and says what actions cost: python:acting.PointCost."""

    gives = 1

    def surprise(self, clips, context_frames, seeds):
        return torch.zeros(len(clips), clips.frames.shape[1] - context_frames)

    def cost(self, context, goal, actions):
        place, aim = (frames[:, -1, :2, 0, 0].float() / 25 for frames in (context.frames, goal))
        ends = place[:, None] + STEP * actions.cumsum(dim=2).mean(dim=2)
        return (ends - aim[:, None]).norm(dim=-1)[..., : None if self.gives else 0]


POINT = PointEnvironment()


def point_clips(count=24, frames=16, seed=0):
    """Clips of the point under random actions that are held for a chunk."""
    generator = torch.Generator().manual_seed(seed)
    start = 2 + 6 * torch.rand(count, 1, 2, generator=generator)
    held = 2 * torch.rand(count, frames // CHUNK, 2, generator=generator) - 1
    actions = held.repeat_interleave(CHUNK, dim=1)
    actions[:, 0] = 0
    places = (start + STEP * actions.cumsum(dim=1)).clamp(0, 10)
    shown = torch.stack([picture(each) for each in places.unbind(dim=1)], dim=1)
    return Clips(shown, 10.0, tuple(f"point/{i}" for i in range(count)), actions=actions)
