"""What a clip is: its frames, their rate, where they come from and, for simulated clips, the true tracks.

The axes that shapes are written with:

clip     one of a batch of clips          time     frames
t        chunks (latent time steps)       h, w     cells of the latent grid, from the top, from the left
channel  of a picture                     latent   of a token
width    of a transformer's stream        sample   one of several futures of a stochastic model
quad     one of a batch of quadruplets          object   discs of a clip, in the order of its tracks
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from einops import rearrange
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from vidworld.core.clip_shape import VideoFrames as VideoFrames  # noqa: PLC0414 (it was always found here)

Frames = UInt8[Tensor, "clip time channel height width"]
Tokens = Float[Tensor, "clip t h w latent"]
"""Spacetime cells as the models see them: normalised per channel with the tokenizer's statistics."""
Embeddings = Float[Tensor, "clip t h w embedding"]
"""What a JEPA predicts; tokens, where these are its target."""
Actions = Float[Tensor, "clip t action"]
"""What is done in each chunk: the actions of its frames in one vector."""
Stream = Float[Tensor, "clip t cell width"]
"""What runs through a transformer: the cells of each chunk in one axis."""


def packed(actions: Float[Tensor, "clip time _"], chunks: int) -> Actions:
    """The actions of frames as those of so many chunks."""
    return rearrange(actions, "b (t p) a -> b t (p a)", t=chunks)


@dataclass(frozen=True)
class Tracks:
    """Where each object is in each frame, true or read out of a prediction.

    World units and seconds; x points right and y down, as in the picture. The centre of pixel column `i`
    of a picture `width` pixels wide lies at `(i + 0.5) * WORLD_SIZE / width`.
    """

    position: Float[Tensor, "clip time object 2"]
    """NaN where the object is absent or was not found."""
    velocity: Float[Tensor, "clip time object 2"]
    """Units a second; in the frame of a contact, the velocity after it."""
    radius: Float[Tensor, "clip object"]
    mass: Float[Tensor, "clip object"]
    color: Float[Tensor, "clip object 3"]
    """RGB in [0, 1]; the objects of one clip differ in colour, so colour is identity."""
    present: Bool[Tensor, "clip time object"]
    """The object exists (it may be hidden). False throughout for the padding of clips with fewer objects."""
    visible: Float[Tensor, "clip time object"]
    """Share of the object's area that shows: 0 exactly when it is all hidden, 1 exactly when none is."""
    contact_s: Float[Tensor, "clip object"] = field(default_factory=lambda: torch.tensor(torch.nan))
    """Seconds from the whole clip's first frame to the object's first contact with another; NaN where there
    is none or nobody knows (the default)."""

    def __post_init__(self) -> None:
        if self.contact_s.ndim == 0:
            object.__setattr__(self, "contact_s", self.contact_s.to(self.radius).expand_as(self.radius))

    def at(self, clips: Tensor | slice) -> "Tracks":
        """The same for some of the clips."""
        return Tracks(**{name: value[clips] for name, value in vars(self).items()})

    def between(self, start: int, stop: int) -> "Tracks":
        """The same for frames `start` to `stop - 1`."""
        per_frame = ("position", "velocity", "present", "visible")
        return Tracks(**{k: v[:, start:stop] if k in per_frame else v for k, v in vars(self).items()})


@dataclass(frozen=True)
class Clips:
    """One or more clips of one shape and frame rate."""

    frames: UInt8[Tensor, "clip time channel height width"]
    fps: float
    identity: tuple[str, ...]
    """One name a clip, unique over the project: `uniform/id/0/17`, `real/puck_headon.mp4/0`."""
    tracks: Tracks | None = None
    clean: UInt8[Tensor, "clip time channel height width"] | None = None
    """The frames without nuisance, where they have any: part of the truth, as the tracks are, and shown to no model."""
    actions: Float[Tensor, "clip time _"] | None = None
    """What led to each frame, done since the frame before: zero in the first. None where nobody acts."""

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def truth(self) -> Tracks:
        """The true tracks of clips that have them."""
        assert self.tracks is not None
        return self.tracks

    @property
    def without_nuisance(self) -> Frames:
        """The frames as they would be without nuisance: what pictures are compared with."""
        return self.frames if self.clean is None else self.clean

    @property
    def shown(self) -> "Clips":
        """What a model may see of the clips: all but the truth."""
        return replace(self, tracks=None, clean=None)

    @property
    def dt_s(self) -> float:
        """Seconds from one frame to the next."""
        return 1.0 / self.fps

    def at(self, clips: Tensor | slice) -> "Clips":
        """The same for some of the clips."""
        identity = tuple(self.identity[i] for i in torch.arange(len(self))[clips].tolist())
        tracks = None if self.tracks is None else self.tracks.at(clips)
        clean, actions = (None if each is None else each[clips] for each in (self.clean, self.actions))
        return Clips(self.frames[clips], self.fps, identity, tracks, clean, actions)


@runtime_checkable
class ClipSource(Protocol):
    """Anything that gives clips by number: simulated scenes, folders of real video."""

    def __len__(self) -> int: ...

    def clips(self, indices: Sequence[int]) -> Clips:
        """The clips of these numbers; a pure function of them."""


class Logged(NamedTuple):
    """Clips with the goal of whoever acted in them, and the reward of each frame."""

    clips: Clips
    goal: Float[Tensor, "clip goal"]
    """The target of the episode that a clip is of."""
    reward: Float[Tensor, "clip time"]
    """Minus the environment's cost of the true places (world units)."""
    reached: Float[Tensor, "clip time goal"]
    """The goal that each frame would have reached: the clip's own where the environment knows no other."""
    aimless: Bool[Tensor, " clip"]
    """Whether all that was done is random: nothing of it was for the goal."""


@runtime_checkable
class ActingSource(ClipSource, Protocol):
    """Clips in which somebody acts in an environment."""

    def logged(self, indices: Sequence[int]) -> Logged:
        """The clips of these numbers with their goals and rewards."""
