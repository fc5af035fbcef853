"""What both transformers are made of: rotary positions, chunk-causal attention, one block.

A stream is (clip, t, cell, width): the cells of a chunk attend to each other and, chunk-causally, to those of
earlier chunks. Attention runs chunk by chunk over slices, so it needs no mask, spends nothing on what it may not
see, and takes a memory of earlier chunks in the same way as it takes the chunks of its own input.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from vidworld.core.clip import Actions, Stream
from vidworld.core.errors import UserError


class KVCache(NamedTuple):
    """Keys and values of the chunks that a block has seen, so that they need not be computed again."""

    keys: Float[Tensor, "clip head seen head_width"]
    values: Float[Tensor, "clip head seen head_width"]

    def repeated(self, times: int) -> "KVCache":
        """The same for each clip so many times in a row."""
        return KVCache(*(each.repeat_interleave(times, dim=0) for each in self))


KVCaches = list[KVCache]
"""Of each block."""


class Rotary(NamedTuple):
    """Cosines and sines of the positions of a stretch of the latent grid."""

    cos: Float[Tensor, "place pair"]
    sin: Float[Tensor, "place pair"]

    @staticmethod
    def of(first_chunk: int | Any, grid: tuple[int, int, int], head_width: int, like: Tensor) -> "Rotary":
        """Positions of chunks `first_chunk` onwards: a quarter of the head for time, the rest for height and width.

        Source: RoFormer (arXiv 2104.09864), a band of frequencies an axis; base 100, as axes are tens of cells long.
        Where a network is exported `first_chunk` is a symbol.
        """
        t, h, w = grid
        pairs = head_width // 2
        bands = (pairs - 2 * (3 * pairs // 8), 3 * pairs // 8, 3 * pairs // 8)
        axes = (torch.arange(first_chunk, first_chunk + t), torch.arange(h), torch.arange(w))
        places = (place.reshape(-1, 1) for place in torch.meshgrid(*axes, indexing="ij"))
        angles = [place * 100.0 ** (-torch.arange(band) / band) for place, band in zip(places, bands, strict=True)]
        angle = torch.cat(angles, dim=1)  # (place, pairs)
        return Rotary(angle.cos().to(like), angle.sin().to(like))

    def turn(self, x: Float[Tensor, "clip head place head_width"]) -> Float[Tensor, "clip head place head_width"]:
        first, second = x.chunk(2, dim=-1)
        turned = (torch.addcmul(first * self.cos, second, -self.sin), torch.addcmul(second * self.cos, first, self.sin))
        return torch.cat(turned, dim=-1)


def in_full_precision(kind: str) -> AbstractContextManager[Any]:
    """Without autocast, on a kind of device: what is computed keeps the precision of what it is of."""
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def norm(x: Tensor) -> Tensor:
    """Layer norm without parameters, in the precision of `x` (autocast would return float32 and copy)."""
    with in_full_precision(x.device.type):
        return F.layer_norm(x, x.shape[-1:])


def attend(
    queries: Float[Tensor, "clip head place head_width"],
    keys: Float[Tensor, "clip head seen head_width"],
    values: Float[Tensor, "clip head seen head_width"],
    backend: str,
) -> Float[Tensor, "clip head place head_width"]:
    """Softmax attention of every query to every key.

    On a CPU as plain matrix products: torch's own is slower there in bf16 than in float32 (docs/log/2026-11.md).
    Elsewhere by diffusers' dispatcher, so `backend` may name any that it knows: native, xformers, flash, ...
    """
    if queries.device.type == "cpu":
        scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
        weights: Tensor = scores.softmax(dim=-1, dtype=scores.dtype)
        return weights @ values
    q, k, v = (x.transpose(1, 2) for x in (queries, keys, values))  # the dispatcher has heads last but one
    attended: Tensor = dispatch_attention_fn(q, k, v, backend=AttentionBackendName(backend))
    return attended.transpose(1, 2)


class Attention(nn.Module):
    """Self-attention over a stream and its memory, with normalised queries and keys (ViT-22B, arXiv 2302.05442)."""

    def __init__(self, width: int, heads: int, backend: str) -> None:
        super().__init__()
        self.heads, self.backend = heads, backend
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_out = nn.Linear(width, width)

    def forward(self, x: Stream, rotary: Rotary | None, memory: KVCache | None) -> tuple[Stream, KVCache]:
        b, t, cells, width = x.shape
        q, k, v = self.projected(x, rotary)
        if memory is not None:
            k, v = torch.cat((memory.keys, k), dim=2), torch.cat((memory.values, v), dim=2)
        chunks, until = [], k.shape[2] - q.shape[2]
        for of_chunk in q.split(cells, dim=2):
            until += cells
            chunks.append(attend(of_chunk, k[:, :, :until], v[:, :, :until], self.backend))
        y = torch.cat(chunks, dim=2)
        return self.to_out(y.transpose(1, 2).reshape(b, t, cells, width)), KVCache(k, v)

    def projected(self, x: Stream, rotary: Rotary | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of a stream, (clip, head, place, head_width)."""
        b, t, cells, _ = x.shape
        q, k, v = (part.view(b, t * cells, self.heads, -1).transpose(1, 2) for part in self.to_qkv(x).chunk(3, dim=-1))
        q, k = norm(q), norm(k)
        return (q, k, v) if rotary is None else (rotary.turn(q), rotary.turn(k), v)


class Block(nn.Module):
    """Attention and a two-layer network, each on a normalised stream, each added to it.

    `modulation` holds shift, scale and gate for both (adaptive norm; Source: DiT, arXiv 2212.09748); without it the
    block is a plain pre-norm transformer block.
    """

    def __init__(self, width: int, heads: int, backend: str) -> None:
        super().__init__()
        self.attention = Attention(width, heads, backend)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))

    def forward(
        self,
        x: Stream,
        rotary: Rotary | None = None,
        modulation: tuple[Tensor, ...] | None = None,
        memory: KVCache | None = None,
    ) -> tuple[Stream, KVCache]:
        if modulation is None:
            attended, memory = self.attention(norm(x), rotary, memory)
            x = x + attended
            return x + self.mlp(norm(x)), memory
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation
        attended, memory = self.attention(torch.addcmul(shift_a, norm(x), scale_a), rotary, memory)
        x = torch.addcmul(x, gate_a, attended)
        return torch.addcmul(x, gate_m, self.mlp(torch.addcmul(shift_m, norm(x), scale_m))), memory


def through(
    network: ModelMixin,
    blocks: Iterable[nn.Module],
    x: Stream,
    grid: tuple[int, int],
    kv_caches: KVCaches | None = None,
    modulation: Callable[[int], tuple[Tensor, ...]] | None = None,
) -> tuple[Stream, KVCaches]:
    """The stream after these blocks of a network, with the keys and values of its chunks and of those of the caches.

    Where the network's gradient checkpointing is on, blocks are computed again for the gradient.
    """
    first = 0 if kv_caches is None else kv_caches[0].keys.shape[2] // (grid[0] * grid[1])
    rotary = Rotary.of(first, (x.shape[1], *grid), x.shape[-1] // network.heads, like=x)
    again = network.gradient_checkpointing and torch.is_grad_enabled()
    remembered = []
    for i, block in enumerate(blocks):
        run = partial(network._gradient_checkpointing_func, block) if again else block  # type: ignore[arg-type,misc]
        own = None if modulation is None else modulation(i)
        x, memory = run(x, rotary, own, None if kv_caches is None else kv_caches[i])
        remembered.append(memory)
    return x, remembered


@contextmanager
def watched(modules: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
    """What these modules give within it, in the order in which they do; of a tuple the first."""
    found: list[Tensor] = []

    def keep(module: nn.Module, given: tuple[Any, ...], gives: Any) -> None:
        found.append(gives[0] if isinstance(gives, tuple) else gives)

    handles = [module.register_forward_hook(keep) for module in modules]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


class ActionEmbedding(nn.Linear):
    """What is done in a chunk, for all of its cells alike. Drawn as large as what tokens add to the stream."""

    def __init__(self, actions: int, width: int) -> None:
        super().__init__(actions, width, bias=False)

    def draw(self) -> None:
        nn.init.normal_(self.weight, std=0.5 * self.in_features**-0.5)


class Basis(nn.Module):
    """An orthogonal basis that is learned, at first the numbers' own: a rotation, the exponential of a skew matrix."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.turns = nn.Parameter(torch.zeros(channels * (channels - 1) // 2))  # one for each pair of channels

    def matrix(self) -> Float[Tensor, "component channel"]:
        """A component a row. A turn is divided by the root of the channels, as a step turns all pairs at once."""
        above = torch.triu_indices(self.channels, self.channels, 1, device=self.turns.device)
        turns = self.turns.float() / self.channels**0.5
        upper = turns.new_zeros(self.channels, self.channels).index_put(tuple(above), turns)
        with in_full_precision(turns.device.type):
            matrix: Tensor = torch.linalg.matrix_exp(upper - upper.T)
        return matrix


def with_actions(x: Stream, embedding: ActionEmbedding | None, actions: Actions | None) -> Stream:
    """The stream with what is done in its chunks.

    Raises UserError: actions for a network that knows none, none for one that does, or others than it was trained on.
    """
    if embedding is None and actions is None:
        return x
    if embedding is None:
        raise UserError("actions are given to a model that was trained without; train one on clips that have actions")
    if actions is None:
        raise UserError("a model that was trained on actions is shown clips without any; name clips that have actions")
    if actions.shape[-1] != embedding.in_features:
        raise UserError(f"{actions.shape[-1]} numbers of action a chunk, where the model has {embedding.in_features}")
    added: Stream = x + embedding(actions.to(x))[:, :, None]
    return added


def initialise(module: nn.Module, depth: int) -> None:
    """Draw every matrix with a small deviation, and what is added to a stream smaller by its depth (Source: GPT-2)."""
    for name, parameter in module.named_parameters():
        if parameter.ndim < 2:
            nn.init.zeros_(parameter)
        else:
            added = name.endswith(("to_out.weight", "mlp.2.weight"))
            nn.init.normal_(parameter, std=0.02 / (2 * depth) ** 0.5 if added else 0.02)
