"""Who acts in clips of environments: at random, or as a noisy expert."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vidworld.core.counter_rng import Draws, mix
from vidworld.core.errors import UserError
from vidworld.simulation.environments import Policy
from vidworld.simulation.environments.environment import FRAMES_HELD, Action

POLICIES: tuple[str, ...] = get_args(Policy)
"""`random`: an action held for a while, in half of the clips for a chunk at a time. `scripted`: for each chunk what the
environment's expert would do, with noise, and now and then something random. `mixed`: half of the clips scripted, the
others something random in every chunk. In half of the clips of each nothing is done in the context, as in episodes; the
others begin somewhere in an episode in which there was no waiting."""
_LONGEST = 2 * FRAMES_HELD  # frames for which the random policy holds an action
_ASTRAY = 0.25  # share of chunks in which the scripted policy does something random
_NOISE = 0.4  # the most by which it is off in the others
LATEST_START = 8 * FRAMES_HELD
"""The frame of its episode with which a clip begins at the latest."""


def check_policy(name: str) -> None:
    """Raise UserError if there is no such policy."""
    if name not in POLICIES:
        raise UserError(f"there is no policy {name!r}; there are {', '.join(POLICIES)}")


@dataclass(frozen=True)
class Plans:
    """What is decided about the actions of each clip before anything is seen; the last axis is x and y."""

    random: Float[Tensor, "env time 2"]
    noise: Float[Tensor, "env time 2"]
    astray: Bool[Tensor, "env time"]
    rests: Bool[Tensor, "env time"]
    begins: Int[Tensor, " env"]  # the frame of the episode that is the clip's first: that of a chunk

    def scripted(self, time: int, held: Action, expert: Callable[[], Action]) -> Action:
        """The scripted policy's action that leads to this frame; `held` led to the one before."""
        if time % FRAMES_HELD == 0 or bool((self.rests[:, time - 1] & ~self.rests[:, time]).any()):
            wanted = (expert() + self.noise[:, time]).clamp(-1, 1)
            wanted = torch.where(self.astray[:, time, None], self.random[:, time], wanted)
            begins = (time % FRAMES_HELD == 0) | (self.rests[:, time - 1] & ~self.rests[:, time])
            held = torch.where(begins[:, None], wanted, held)
        return torch.where(self.rests[:, time, None], 0.0, held)


def plans(streams: Int[Tensor, " env"], num_frames: int, context_frames: int, mixed: bool = False) -> Plans:
    """The plans of these streams for episodes of so many frames; longer ones begin with shorter ones.

    mixed: half of them are astray throughout.
    """
    time = torch.arange(num_frames, device=streams.device)
    draws = Draws(mix(streams))
    lost = Draws(mix(streams + 1)).chance(0.5) & torch.tensor(mixed, device=streams.device)
    by_chunk, waits = draws.chance(0.5), draws.chance(0.5)
    later = draws.uniform(0.0, LATEST_START / FRAMES_HELD + 1).floor().to(torch.int64) * FRAMES_HELD
    drawn = draws.uniform(count=6 * num_frames).reshape(len(streams), num_frames, 6)
    ends = (1 + (drawn[..., 0] * _LONGEST).floor()).cumsum(1)  # of each held action, in frames
    ends = torch.where(by_chunk[:, None], (time + 1.0) * FRAMES_HELD, ends)
    which = torch.searchsorted(ends, time.to(ends).expand(len(streams), -1).contiguous(), right=True)
    which = which.clamp(max=num_frames - 1)
    values = 2 * drawn[..., 1:5] - 1
    random = values[..., :2].gather(1, which[..., None].expand(-1, -1, 2))
    rests = (waits[:, None] & (time < context_frames)) | (time == 0)
    return Plans(
        random=torch.where(rests[..., None], 0.0, random),
        noise=_NOISE * values[..., 2:],
        astray=(drawn[..., 5] < _ASTRAY) | lost[:, None],
        rests=rests,
        begins=torch.where(waits, 0, later),
    )
