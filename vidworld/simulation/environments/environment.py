"""What an environment is: a state that an action moves on, its picture, a goal, and a rule of success.

Everything is batched, exact and a pure function: an environment's future does not depend on what is beside it in the
batch, and a step of a planner is a step of the truth. The world is `WORLD_SIZE` units wide and high. The agent is a
disc of the palette's first colour, and every other role has a fixed colour of its own, so that where the discs of each
colour are says all that a cost needs, whoever read it out of whatever.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vidworld.core.clip import Frames, Tracks
from vidworld.core.clip_shape import WORLD_SIZE, ClipShape
from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.core.errors import UserError
from vidworld.simulation.discs import Scenes, Trajectories, discs_alone, dot, simulate
from vidworld.simulation.simulated import render_discs, visible_share
from vidworld.simulation.stage import PALETTE

FRAME_S = 0.1
"""Seconds from one frame to the next: an action is held for one."""
AGENT_SPEED = 5.0  # units a second along each axis, at an action of 1
AGENT_RADIUS = 0.5
FRAMES_HELD = 4
"""Frames for which those who plan and those who show hold an action: a chunk."""
OUT_OF_SIGHT = 14.2
"""What costs take for a distance to something that is not seen: the picture's diagonal (units)."""
IMMOVABLE = 1e9  # the mass of a disc that gives way to nothing
_PICTURE_EDGES = [[1.0, 0.0, 0.0], [-1.0, 0.0, -WORLD_SIZE], [0.0, 1.0, 0.0], [0.0, -1.0, -WORLD_SIZE]]


_SameT = TypeVar("_SameT", bound="WorldState")
Action = Float[Tensor, "env 2"]
ColorPlaces = Float[Tensor, "env *any color 2"]
"""Where the disc of each colour of the palette is (world units)."""


@dataclass(frozen=True)
class WorldState:
    """Where the discs of each environment are and how they move; an environment's own state adds what else it needs."""

    position: Float[Tensor, "env object 2"]
    velocity: Float[Tensor, "env object 2"]

    def __len__(self) -> int:
        return len(self.position)

    def at(self: _SameT, index: Tensor | slice) -> _SameT:
        """The same for some of the environments, or for some several times."""
        return type(self)(**{name: value[index] for name, value in vars(self).items()})


StateT = TypeVar("StateT", bound=WorldState)


class Environment(ABC, Generic[StateT]):
    """One kind of world to act in. An action is a velocity of the agent, from -1 to 1 along each axis."""

    name: ClassVar[str]
    label: ClassVar[str]
    """On pages."""
    version: ClassVar[int | str] = 1
    """Of another package's; for ours the registry says it."""
    fps: ClassVar[float] = 1 / FRAME_S
    judges: ClassVar[bool] = True
    """Whether it says when it is solved; else episodes are compared by their return alone."""
    action_channels: ClassVar[int] = 2
    context_frames: ClassVar[int] = 8
    """Frames of an episode in which nothing is done yet: what is seen before the first plan."""
    budget_frames: ClassVar[int] = 40
    """Frames after these in which the goal is to be reached."""
    horizon_frames: ClassVar[int] = 16
    """Frames that a plan has to look ahead for the true simulator to reach the goal."""
    colors: ClassVar[tuple[int, ...]] = (0,)
    """Each object's colour, by its number in the palette; the agent is the first object."""
    radii: ClassVar[tuple[float, ...]] = (AGENT_RADIUS,)

    @abstractmethod
    def start(self, draws: Draws) -> StateT:
        """The first frame's state with its goal, one a stream."""

    @abstractmethod
    def step(self, state: StateT, action: Action) -> StateT:
        """The state a frame (`FRAME_S`) later. Actions are clipped to [-1, 1]."""

    @abstractmethod
    def solved(self, state: StateT) -> Bool[Tensor, " env"]:
        """The rule of success, at this frame."""

    def target(self, state: StateT) -> Float[Tensor, "env goal"]:
        """The goal as numbers (world units); no columns where it is the same in all episodes, as it is by default."""
        return torch.zeros(len(state), 0, dtype=torch.float64)

    @abstractmethod
    def cost(self, places: ColorPlaces, target: Float[Tensor, "env goal"]) -> Float[Tensor, "env *any"]:
        """How far from solved this is (world units), by where the disc of each colour is and by the target.

        A function of what can be seen (NaN for a disc that is not), of true places and of those read out of imagined
        pictures alike.
        """

    @abstractmethod
    def expert(self, state: StateT) -> Action:
        """What somebody who knows the state would do for `FRAMES_HELD`: simple, and not always successful."""

    def reward(self, state: StateT) -> Float[Tensor, " env"]:
        """What this frame brings: minus the cost of the true places."""
        return -self.cost(self.places(state), self.target(state))

    def reached(self, state: StateT) -> Float[Tensor, "env goal"]:
        """The target that this very state would have reached; the state's own where no other is known."""
        return self.target(state)

    @property
    def goal_numbers(self) -> int:
        """Numbers of a target; 0 where the goal is the same in all episodes."""
        return self.target(self.any_start()).shape[1]

    def any_start(self) -> Any:
        """The first frame's state of an episode that is used for nothing else."""
        return self.start(Draws(clip_streams("any", [0], torch.device("cpu"))))

    def goal_state(self, state: StateT) -> StateT | None:
        """The state as it would be with the goal reached; None where no picture of it is to be given."""
        del state
        return None

    def mistaken(self, state: StateT) -> StateT | None:
        """The state as somebody takes it to be who is wrong about what cannot be seen now; None: all of it can be."""
        del state
        return None

    def goal_picture(self, state: StateT, shape: ClipShape = ClipShape()) -> Frames | None:
        """The scene as it would look when solved, `(env, 1, 3, height, width)`; None where the goal has no picture."""
        goal = self.goal_state(state)
        return None if goal is None else self.draw([goal], shape)[0]

    def places(self, state: StateT) -> Float[Tensor, "env color 2"]:
        """The true place of the disc of each colour of the palette, hidden or not; NaN where there is none."""
        places = state.position.new_full((len(state), len(PALETTE), 2), torch.nan)
        places[:, list(self.colors)] = state.position
        return places

    def scenes(self, state: StateT) -> Scenes:
        """What moves by itself from here on and what the picture shows: discs alone between the picture's edges."""
        position, count = state.position, len(state)
        radius = position.new_tensor(self.radii).expand(count, -1)
        color = PALETTE[list(self.colors)].to(position).expand(count, -1, -1)
        walls = position.new_tensor(_PICTURE_EDGES).expand(count, -1, -1)
        return replace(discs_alone(position, state.velocity, radius, color), walls=walls)

    def draw(self, states: Sequence[StateT], shape: ClipShape = ClipShape()) -> tuple[Frames, Tracks]:
        """The frames and true tracks of these states in time, in pictures of this size.

        UserError where the picture is not square: the world is.
        """
        check_square(self.name, shape)
        return _drawn_over_time([self.scenes(state) for state in states], shape)


def check_square(name: str, shape: ClipShape) -> None:
    """Raise UserError where a picture would not show the whole world."""
    if shape.height_px != shape.width_px:
        raise UserError(f"{name}: a world is as high as it is wide; {shape.width_px} x {shape.width_px} px would do")


def moved(scenes: Scenes) -> Trajectories:
    """The exact motion of these discs up to the next frame; its time axis has that frame alone."""
    return simulate(scenes, torch.tensor([FRAME_S], dtype=torch.float64, device=scenes.position.device))


def driven(
    place: Float[Tensor, "env 2"], action: Action, low: float = AGENT_RADIUS, high: float = WORLD_SIZE - AGENT_RADIUS
) -> Float[Tensor, "env 2"]:
    """The agent's velocity by its action (clipped to [-1, 1]), less what would take it out of [low, high]."""
    way = action.to(place).clamp(-1, 1) * (AGENT_SPEED * FRAME_S)
    return ((place + way).clamp(low, high) - place) / FRAME_S


def heading(place: Float[Tensor, "env 2"], goal: Float[Tensor, "env 2"]) -> Action:
    """The action that, held for `FRAMES_HELD`, leads straight to the goal or as far towards it as it can."""
    way = (goal - place) / (AGENT_SPEED * FRAME_S * FRAMES_HELD)
    return way / way.abs().amax(dim=1, keepdim=True).clamp(min=1)


def target_beside(target: Float[Tensor, "env goal"], places: ColorPlaces) -> Float[Tensor, "env *any goal"]:
    """Each environment's target, one beside every set of places of it."""
    ones = (1,) * (places.ndim - 3)
    return target.to(places).reshape(len(target), *ones, -1).expand(*places.shape[:-2], -1)


def seen_distance(one: Float[Tensor, "*#any 2"], other: Float[Tensor, "*#any 2"]) -> Float[Tensor, "..."]:
    """How far apart two places are, `OUT_OF_SIGHT` where either is not seen (NaN)."""
    apart = one - other
    return dot(apart, apart).sqrt().nan_to_num(OUT_OF_SIGHT)


def first_that_fits(candidates: Float[Tensor, "env try 2"], fits: Bool[Tensor, "env try"]) -> Float[Tensor, "env 2"]:
    """Each environment's first candidate that fits; RuntimeError where there is none."""
    if not bool(fits.any(1).all()):
        raise RuntimeError("none of the candidates fits")
    first = fits.to(torch.uint8).argmax(1)
    return candidates[torch.arange(len(first), device=first.device), first]


def _drawn_over_time(scenes: Sequence[Scenes], shape: ClipShape) -> tuple[Frames, Tracks]:
    """The frames and true tracks of the same worlds at times in turn.

    Where screens and blocks stay, all frames of a world have one base picture, which takes longest to draw.
    """
    over = {name: torch.stack([getattr(each, name) for each in scenes], dim=1) for name in vars(scenes[0])}
    stays = torch.stack([(over[name] == over[name][:, :1]).flatten(1).all(1) for name in ("screens", "blocks")]).all(0)
    groups = [(some.nonzero()[:, 0], together) for some, together in ((stays, True), (~stays, False))]
    parts = [(some, *_drawn(over, some, together, shape)) for some, together in groups if len(some) > 0]
    numbers, frames, visible = (torch.cat(part) for part in zip(*parts, strict=True))
    order = numbers.argsort()
    tracks = Tracks(
        position=over["position"],
        velocity=over["velocity"],
        radius=scenes[0].radius,
        mass=scenes[0].mass,
        color=scenes[0].color.to(torch.float32),
        present=over["present"],
        visible=visible[order],
    )
    return (frames if len(parts) == 1 else frames[order]), tracks


def _drawn(over: dict[str, Tensor], some: Tensor, together: bool, shape: ClipShape) -> tuple[Frames, Tensor]:
    """The frames of some worlds, each world's together or each by itself, and how much of each disc shows."""
    fields = {name: value[some] for name, value in over.items()}
    scene = {name: value[:, 0] if together else value.flatten(0, 1) for name, value in fields.items()}
    place = fields["position"] if together else scene["position"][:, None]
    looks = (scene["radius"], scene["color"], scene["present"], scene["screens"], scene["blocks"])
    frames = render_discs(place, *looks, shape)
    visible = visible_share(place, scene["radius"], scene["screens"], shape)
    return frames.reshape(len(some), -1, *frames.shape[2:]), visible.reshape(len(some), -1, visible.shape[2])
