"""What a model remembers of discs that cannot be seen now: a ridge on its state says where they are, for the cost.

Imagined chunks show a hidden disc where the model lets it come back, which it may not have learned although its state
knows the place. `unseen: remembered` of a protocol tells the two apart.
"""

from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.analysis.ridge import Ridge, Spectrum
from vidworld.core.clip import Frames
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws
from vidworld.evaluation.evaluator import Evaluator, ModelFailure
from vidworld.models.states import has_states, hidden_states
from vidworld.models.world_model import Encoded
from vidworld.planning.agents import Goal, Observed, of_environment
from vidworld.planning.episodes import context_states, episode_streams
from vidworld.planning.imagination import asking, encode_context
from vidworld.planning.protocol import PlanningProtocol
from vidworld.simulation.environments.environment import Environment
from vidworld.simulation.stage import PALETTE

MEMORY_VERSION = 1  # raised when the same state comes to say another place
EPISODES = 256
"""That a ridge is fitted to: of split `train`, with random actions; there the true places are known."""
_FITTED = 192  # of these; the others choose the penalty
_AT_ONCE = 32


class _Played(NamedTuple):
    frames: Frames
    actions: Float[Tensor, "clip time action"]
    places: Float[Tensor, "clip time coordinate"]  # x and y of every disc of the environment


class Memory:
    """Where discs are at the end of what a model was shown, by its last layer's state; a ridge a length of context."""

    def __init__(
        self, name: str, model: Any, evaluator: Evaluator, environment: Environment[Any], protocol: PlanningProtocol,
        size_px: int,
    ) -> None:  # fmt: skip
        """size_px: of the pictures."""
        self.name, self.model, self.evaluator = name, model, evaluator
        self.environment, self.protocol = environment, protocol
        self.shape = ClipShape(height_px=size_px, width_px=size_px)
        self._ridges: dict[int, list[Ridge]] = {}

    def places(self, context: Encoded) -> Float[Tensor, "clip color 2"]:
        """In world units, of every disc of the environment, seen or not; NaN of colours that it has not.

        Raises ModelFailure: the model shows no state.
        """
        if not has_states(self.model):
            raise ModelFailure(self.name, "has no hidden_states to read what it remembers from; take unseen: lost")
        chunks, states = context.tokens.shape[1], self._states(context)
        if chunks not in self._ridges:
            self._ridges[chunks] = self._fitted(chunks)
        places = torch.full((len(states), len(PALETTE), 2), torch.nan, dtype=states.dtype)
        for color, ridge in zip(self.environment.colors, self._ridges[chunks], strict=True):
            places[:, color] = ridge(states)
        return places

    def _states(self, context: Encoded) -> Float[Tensor, "clip feature"]:
        states = []
        for first in range(0, len(context.tokens), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            with asking(self.name, self.model), self.evaluator.accelerator.autocast():
                found = hidden_states(self.model, Encoded(context.clips.at(some), context.tokens[some]))
            states.append(found[:, -1, -1].flatten(1).double().cpu())
        return torch.cat(states)

    def _fitted(self, chunks: int) -> list[Ridge]:
        """One for each disc, of contexts of so many chunks, as an agent is shown them, up to an episode's last block.

        The penalty is the best one for episodes that are not fitted to: contexts of one episode are alike.
        """
        played, step = self._played, self.evaluator.tokenizer.patch_size[0]
        every = range(step, played.frames.shape[1] + 1, step)
        ends = [end for end in every if min(end // step, self.protocol.history) == chunks]
        nothing = Goal(torch.zeros(len(played.frames), 0), None)
        streams = torch.zeros(len(played.frames), dtype=torch.int64)
        seen = [Observed(played.frames[:, :end], played.actions[:, :end], nothing, streams) for end in ends]
        states = torch.stack([self._states(encode_context(each, self.evaluator, chunks)) for each in seen])
        places = torch.stack([played.places[:, end - 1] for end in ends])
        (fitted, others), (true, of_others) = (
            (each[:, :_FITTED].flatten(0, 1), each[:, _FITTED:].flatten(0, 1)) for each in (states, places)
        )
        scale = fitted.std(dim=0, correction=0)
        spectrum = Spectrum(fitted, torch.where(scale > 1e-9, scale, torch.inf))
        pairs = zip(true.split(2, dim=1), of_others.split(2, dim=1), strict=True)
        return [spectrum.ridge(mine, others, theirs, slack=0.0) for mine, theirs in pairs]

    @cached_property
    def _played(self) -> _Played:
        environment, protocol, numbers = self.environment, replace(self.protocol, split="train"), range(EPISODES)
        channels, blocks = environment.action_channels, protocol.budget_blocks or 0
        draws = Draws(episode_streams("memory", protocol, numbers))
        done = draws.uniform(-1.0, 1.0, count=blocks * channels).unflatten(1, (blocks, channels))
        done = done.repeat_interleave(protocol.block_frames, dim=1)
        with of_environment():
            states = context_states(environment, protocol, numbers)
            rest = done.new_zeros(len(numbers), len(states), channels)
            for action in done.unbind(dim=1):
                states.append(environment.step(states[-1], action))
            frames, _ = environment.draw(states, self.shape)
            places = [environment.places(state)[:, list(environment.colors)].flatten(1) for state in states]
        return _Played(frames, torch.cat((rest, done), dim=1), torch.stack(places, dim=1))
