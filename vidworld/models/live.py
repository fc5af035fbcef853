"""A rollout that goes on for as long as somebody watches: a step computes one new chunk over a KV cache."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from vidworld.core.clip import Actions, Embeddings, Tokens
from vidworld.core.counter_rng import normal_of
from vidworld.core.errors import UserError
from vidworld.models.layers import KVCaches

HISTORY = 96
"""Chunks that are kept, to go back to."""
_Chunk = Float[Tensor, "clip 1 h w embedding"]


@runtime_checkable
class SteppedModel(Protocol):
    """A model whose rollout can be taken chunk by chunk; see `GenerativeModel` and `PredictiveModel`."""

    def entered(self, tokens: Tokens) -> Embeddings: ...
    def decoded(self, predicted: Embeddings) -> Tokens: ...
    def remembered(self, seen: Embeddings, actions: Actions | None = None) -> KVCaches | None: ...
    def following(
        self, previous: Embeddings, kv_caches: KVCaches | None, done: Actions | None, noise: Tokens
    ) -> tuple[Embeddings, KVCaches | None]: ...


class _Taken(NamedTuple):
    """A chunk that went into the network, and what was done in it."""

    chunk: _Chunk
    done: Actions | None


class LiveRollout:
    """One clip's future, chunk after chunk, by the same numbers as the model's `rollout` of one sample.

    A network never looks back over more than the `window` chunks of the clips it was trained on. Where these are full
    its memory is made anew of the later half of them, at the same chunks whatever was gone back to in between, so that
    a future is a function of its context, its seed and what was done.
    """

    def __init__(
        self, name: str, model: Any, tokens: Tokens, actions: Actions | None, seed: int, window: int = 8
    ) -> None:
        """tokens, actions: what was seen (one clip) and done in it. Raises UserError: the model cannot be stepped."""
        if not isinstance(model, SteppedModel):
            raise UserError(f"{name}: cannot be played; models of this package's families can")
        self.model, self.seed, self.window, self.kept = model, seed, max(2, window), max(1, window // 2)
        most = self.window - 1
        tokens, actions = tokens[:, -most:], None if actions is None else actions[:, -most:]
        self.token_shape, self.context = tokens.shape[2:], tokens.shape[1]
        done = [None] * self.context if actions is None else list(actions.split(1, dim=1))
        self._taken = [_Taken(*each) for each in zip(model.entered(tokens).split(1, dim=1), done, strict=True)]
        self._forgotten = 0  # chunks that went in before the first of these
        self._caches: KVCaches | None = None
        self._generator = Generator()
        self._to(self.context)

    @property
    def number(self) -> int:
        """Chunks that were predicted so far."""
        return self._forgotten + len(self._taken) - self.context

    @property
    def least(self) -> int:
        """The smallest number that can be gone back to."""
        return 0 if self._forgotten == 0 else self.number - HISTORY // 2

    def step(self, done: Actions | None) -> tuple[_Chunk, Tokens]:
        """The next chunk under what is done in it, in the model's own space and as tokens.

        Raises UserError: the model was trained on actions and is given none, or the other way round.
        """
        taken = self._forgotten + len(self._taken)
        if self._start(taken) + self.kept == taken > self.context:  # the window was full
            self._remember(taken)
        noise = normal_of([self._generator], 1, *self.token_shape).to(self._taken[-1].chunk)
        chunk, self._caches = self.model.following(self._taken[-1].chunk, self._caches, done, noise)
        chunk = chunk.float()
        self._taken.append(_Taken(chunk, done))
        if len(self._taken) > 2 * HISTORY:  # half at a time
            self._taken, self._forgotten = self._taken[HISTORY:], self._forgotten + HISTORY
        return chunk, self.model.decoded(chunk).float()

    def go_back(self, number: int) -> None:
        """To where so many chunks were predicted; what comes then is as it would have been."""
        if not self.least <= number <= self.number:
            raise ValueError(f"{number} lies outside {self.least} to {self.number}")
        del self._taken[number + self.context - self._forgotten :]
        self._to(number + self.context)

    def _start(self, taken: int) -> int:
        """The first chunk that is looked back at where so many went in."""
        shift = self.window - self.kept
        return 0 if taken < self.window else shift * ((taken - self.window) // shift + 1)

    def _to(self, taken: int) -> None:
        """Memory and generator as they were when so many chunks had gone in."""
        start = self._start(taken)
        first = start + self.kept if start else self.context
        self._generator.manual_seed(self.seed)
        for _ in range(first - self.context):
            normal_of([self._generator], 1, *self.token_shape)
        self._remember(first)
        later = self._taken[first - self._forgotten :]
        for before, (_, done) in zip(self._taken[first - 1 - self._forgotten :], later, strict=False):
            noise = normal_of([self._generator], 1, *self.token_shape).to(before.chunk)
            _, self._caches = self.model.following(before.chunk, self._caches, done, noise)

    def _remember(self, taken: int) -> None:
        """Memory of the chunks up to this one, made in one pass."""
        some = self._taken[self._start(taken) - self._forgotten : taken - self._forgotten]
        done = [each.done for each in some if each.done is not None]
        seen = torch.cat([each.chunk for each in some], dim=1)
        self._caches = self.model.remembered(seen, torch.cat(done, dim=1) if done else None)
