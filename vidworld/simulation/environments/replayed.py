"""Clips of episodes that were played before: parts of them, simulated once more by what was done."""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch

from vidworld.core.clip import Clips, Logged
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.core.errors import UserError
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.clips import logged_of, over_time
from vidworld.simulation.environments.environment import FRAMES_HELD, check_square
from vidworld.simulation.environments.episode_files import read_episodes


class ReplayedClips:
    """A ClipSource: all parts of a file's episodes that are as long as a clip and begin with a block, in turn.

    Raises UserError: the file holds none, episodes of another environment, or shorter ones than a clip.
    """

    def __init__(self, path: Path, environment: str, shape: ClipShape = ClipShape()) -> None:
        self.episodes, self.shape = read_episodes(path), shape
        if self.episodes.environment != environment:
            raise UserError(f"{path}: holds episodes of {self.episodes.environment}, not of {environment}")
        check_square(environment, shape)
        blocks = {len(actions) for actions in self.episodes.actions}
        self.frames = self.episodes.context_frames + self.episodes.block_frames * min(blocks, default=0)
        self.parts = 1 + (self.frames - shape.num_frames) // FRAMES_HELD
        if not blocks or self.parts < 1:
            raise UserError(f"{path}: its episodes of {self.frames} frames hold no clip of {shape.num_frames}")
        self.environment = ENVIRONMENTS[environment]

    def __len__(self) -> int:
        return len(self.episodes.numbers) * self.parts

    def clips(self, indices: Sequence[int]) -> Clips:
        return self.logged(indices).clips

    def logged(self, indices: Sequence[int]) -> Logged:
        states, actions = self._played
        which = torch.tensor(indices)
        rows, starts = which // self.parts, which % self.parts * FRAMES_HELD
        shown = starts[:, None] + torch.arange(self.shape.num_frames)
        over = over_time(states, rows, shown)
        numbers = [self.episodes.numbers[row] for row in rows.tolist()]
        identity = (f"{self.episodes.stream}/{n}/{start}" for n, start in zip(numbers, starts.tolist(), strict=True))
        aimless = torch.tensor(self.episodes.aimless)[rows]
        return logged_of(self.environment, over, actions[rows[:, None], shown], aimless, self.shape, tuple(identity))

    @cached_property
    def _played(self) -> tuple[list[Any], torch.Tensor]:
        """The state of all episodes in each frame, and what led to it."""
        streams = clip_streams(self.episodes.stream, self.episodes.numbers, torch.device("cpu"))
        blocks = torch.tensor(self.episodes.actions, dtype=torch.float64)
        held = blocks.repeat_interleave(self.episodes.block_frames, dim=1)
        rest = held.new_zeros(len(held), self.episodes.context_frames, held.shape[2])
        actions = torch.cat((rest, held), dim=1)
        start = self.environment.start(Draws(streams))
        return [*accumulate(actions[:, 1:].unbind(dim=1), self.environment.step, initial=start)], actions
