"""Hidden states by layer, read by forward hooks and replaced by them; what is only read changes no number.

A state of chunk *k* is what a network holds when it has seen the chunks up to *k* and is to predict the next: the same
in all families, as each computes a clip in one teacher-forced pass whose place *k* is given chunk *k* and those before.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vidworld.core.clip import Actions, Stream, Tokens
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.errors import UserError
from vidworld.models.external import ExternalModel
from vidworld.models.layers import Block, watched
from vidworld.models.world_model import Encoded, acted

TOKENS = "tokens"
"""The name of what every model of ours is given, which is a subject of its own: what can be read before any layer."""
Layers = Float[Tensor, "clip chunk layer h w channel"]
"""States of every chunk, by layer, at each cell of the grid."""
Grid = Float[Tensor, "clip h w channel"]
"""States of one chunk after one layer."""


def cells_of(place: Float[Tensor, "*batch 2"], grid: tuple[int, int], aspect: float) -> Int[Tensor, "*batch 2"]:
    """Row and column of the cell that each place (x, y in world units) lies in. aspect: height over width."""
    size = place.new_tensor([WORLD_SIZE * aspect / grid[0], WORLD_SIZE / grid[1]])
    cell = (place.flip(-1) / size).floor().long()
    return cell.clamp(torch.zeros(2, dtype=torch.long), torch.tensor(grid) - 1)


class Layer(NamedTuple):
    name: str
    block: nn.Module


def layers_of(network: nn.Module) -> list[Layer]:
    """The transformer blocks that a clip passes, in their order; the slow copy of a JEPA's encoder is none."""
    blocks = [(name, module) for name, module in network.named_modules() if isinstance(module, Block)]
    return [Layer(name, module) for name, module in blocks if not name.startswith("target_")]


def layer_names(model: Any, count: int) -> list[str]:
    """What the layers of `hidden_states` are called, of which there are so many."""
    if getattr(model, "network", None) is not None and not isinstance(model, ExternalModel):
        return [layer.name for layer in layers_of(model.network)]
    return [TOKENS] if model is None else [f"layer.{number}" for number in range(count)]


def has_states(model: Any) -> bool:
    """Whether `hidden_states` has an answer: a model of ours that can be looked into, or one that offers states."""
    if isinstance(model, ExternalModel):
        return callable(model.own("hidden_states"))
    network: Any = getattr(model, "network", None)
    looked_into = hasattr(network, "prefill") or hasattr(network, "context_embeddings")
    return looked_into and bool(layers_of(network))


@torch.no_grad()
def hidden_states(model: Any, seen: Encoded) -> Layers:
    """The states of clips, of all chunks and layers, in single precision.

    model: one of ours; None for the tokens themselves, a single layer; or somebody else's that offers
    `hidden_states(clips, chunk_frames)` (see `vidworld.models.external`). Where actions are known, a state knows those
    that are done in its next chunk; none are done after the last. Raises UserError: the model has no such states.
    """
    if model is None:
        return seen.tokens[:, :, None].float()
    if isinstance(model, ExternalModel):
        return model.hidden_states(seen).to(seen.tokens.device)
    network = model.network
    b, _, h, w, _ = seen.tokens.shape
    with watched(layer.block for layer in layers_of(network)) as found:
        teacher_forced(network, seen.tokens, acted(network, seen))
    return torch.stack([states.reshape(b, -1, h, w, states.shape[-1]).float() for states in found], dim=2)


def teacher_forced(network: Any, tokens: Tokens, actions: Actions | None) -> None:
    """One pass over a clip, in which the place of each chunk is given it and those before, free of noise.

    Raises UserError: the network is of a family that offers no such pass.
    """
    done = None if actions is None else torch.cat((actions[:, 1:], torch.zeros_like(actions[:, :1])), dim=1)
    if hasattr(network, "prefill"):
        network.prefill(tokens, actions=done)
    elif hasattr(network, "context_embeddings"):
        network.predict(network.context_embeddings(tokens), actions=done)
    else:
        raise UserError(f"{type(network).__name__}: has neither prefill(tokens) nor predict(embeddings) to look into")


@contextmanager
def changed(network: nn.Module, layer: int, chunk: int, change: Callable[[Grid], Grid], like: Tokens) -> Iterator[None]:
    """Within it the states of chunk number `chunk` after this layer are what `change` makes of them, in every pass.

    The chunk is counted from the first of the context, over the KV caches. In a rollout of clips like these tokens, of
    one sample each, a network that predicts comes to it once, and one that denoises once a step of sampling, when it
    computes the chunk after it.
    """
    clips, _, h, w, _ = like.shape

    def replace(block: nn.Module, given: tuple[Any, ...], gives: tuple[Stream, Any]) -> tuple[Stream, Any] | None:
        x, memory = gives[0], given[3] if len(given) > 3 else None
        place = chunk - (0 if memory is None else memory.keys.shape[2] // (h * w))
        rows = x.reshape(clips, -1, h * w, x.shape[-1])  # an encoder has the chunks of a clip as clips of their own
        if not 0 <= place < rows.shape[1]:
            return None
        rows = rows.clone()
        rows[:, place] = change(rows[:, place].unflatten(1, (h, w))).flatten(1, 2).to(rows)
        return rows.view(x.shape), gives[1]

    handle = layers_of(network)[layer].block.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
