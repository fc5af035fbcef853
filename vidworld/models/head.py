"""A head conditioned on a goal: a number or an action from a model's representation of one or a few chunks."""

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from vidworld.core.clip import Embeddings, Logged
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.counter_rng import Draws, key
from vidworld.core.errors import UserError

_READ = 8  # numbers of a cell
_WAVES = 4  # of each number of a goal, the finest half as long as the world is wide
Goals = Float[Tensor, "clip chunk goal"]
"""What is to be reached as numbers (world units), for each chunk that something is said of; or what is done in it."""
Answered = Float[Tensor, "clip chunk answer"]


class GoalHead(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A few numbers are read of each cell; what all cells say and the goal go through a small network (an MLP).

    Predicting rewards it says what each chunk brings, over `WORLD_SIZE`; cloning behaviour, what is done next.
    """

    @register_to_config
    def __init__(
        self,
        embedding_channels: int = 160,
        goal_numbers: int = 2,
        answers: int = 1,
        chunks: int = 1,
        cells: int = 64,
        width: int = 256,
        reads_actions: bool = False,
    ) -> None:
        """reads_actions: it reads what is done in a chunk in place of a goal."""
        super().__init__()
        self.goal_numbers, self.chunks, self.reads_actions = goal_numbers, chunks, reads_actions
        self.read = nn.Linear(embedding_channels, _READ)
        read = chunks * cells * _READ + 2 * _WAVES * goal_numbers
        hidden = (nn.Linear(read, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.answer = nn.Sequential(*hidden, nn.Linear(width, answers))

    def forward(self, embeddings: Embeddings, goal: Goals) -> Answered:
        """An answer for each chunk that has as many up to it as the head is given. `goal` may lack its last numbers.

        Raises UserError: it has more than the head was trained with.
        """
        if goal.shape[-1] > self.goal_numbers:
            what = "what is done" if self.reads_actions else "the goal"
            raise UserError(f"{what} has {goal.shape[-1]} numbers; the head was trained with {self.goal_numbers}")
        windows = self.read(embeddings).flatten(2).unfold(1, self.chunks, 1).flatten(2)
        goal = F.pad(goal.to(windows), (0, self.goal_numbers - goal.shape[-1])) / WORLD_SIZE
        angles = goal[..., None] * torch.arange(1, _WAVES + 1).to(goal) * torch.pi
        waves = torch.cat((angles.sin(), angles.cos()), dim=-1).flatten(2)
        answer: Tensor = self.answer(torch.cat((windows, waves), dim=-1))
        return answer.float()


def rewards_of(logged: Logged, chunk_frames: int) -> tuple[Goals, Answered]:
    """The goal of each chunk and what it brings: the mean of its frames' rewards that are known, over `WORLD_SIZE`.

    Where there are no goals, what is done in its frames is given instead: an action may cost something that no picture
    shows.
    """
    brought = logged.reward.unflatten(1, (-1, chunk_frames)).nanmean(dim=2, keepdim=True) / WORLD_SIZE
    goals = logged.goal[:, None].expand(-1, brought.shape[1], -1)
    if not logged.goal.shape[1] and logged.clips.actions is not None:
        goals = logged.clips.actions.unflatten(1, (-1, chunk_frames)).flatten(2)
    return goals.float(), brought.float()


def deeds_of(logged: Logged, chunk_frames: int, chunks: int, seed: int = 0) -> tuple[Goals, Answered]:
    """The goal at each chunk but the last that has so many up to it, and what is done in the next.

    Where nothing was done for the clip's own goal, it is what the end of some later chunk reached (hindsight; Source:
    Andrychowicz et al., arXiv 1707.01495). Raises UserError: no chunk comes after so many.
    """
    assert logged.clips.actions is not None
    done = logged.clips.actions.unflatten(1, (-1, chunk_frames)).mean(dim=2)  # (clip, t, action)
    names, count = logged.clips.identity, done.shape[1]
    if chunks >= count:
        raise UserError(f"chunks {chunks}: nothing is done after so many in clips of {count}; {count - 1} would do")
    now = torch.arange(chunks - 1, count - 1)
    streams = torch.tensor([key(f"hindsight/{seed}/{name}") for name in names])
    drawn = Draws(streams).uniform(count=count)[:, now]
    later = now + 1 + (drawn * (count - 1 - now)).long()
    ends = logged.reached[:, chunk_frames - 1 :: chunk_frames]
    seen = ends.gather(1, later[..., None].expand(-1, -1, ends.shape[2]))
    goal = torch.where(logged.aimless[:, None, None], seen, logged.goal[:, None])
    return goal.float(), done[:, now + 1]
