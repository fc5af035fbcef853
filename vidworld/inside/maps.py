"""Where in the picture a model is surprised, and where it looks from where something is hidden."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vidworld.analysis.bootstrap import Resampled
from vidworld.core.clip import Clips, Tracks
from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.presentation import shared_names
from vidworld.inside.probes import ratio_over
from vidworld.models.layers import Attention
from vidworld.models.states import Layer, cells_of, layers_of, teacher_forced
from vidworld.models.world_model import Encoded, acted
from vidworld.simulation.quadruplets import Quadruplets

SurpriseMap = Float[Tensor, "clip chunk h w"]
Near = Bool[Tensor, "clip chunk h w"]
"""Cells that something is about."""


@torch.no_grad()
def surprise_by_cell(model: Any, seen: Encoded, context_length: int, seeds: Sequence[int]) -> SurpriseMap:
    """What a model's surprise is the mean of, at every chunk after the context. Raises UserError: it has none."""
    network = getattr(model, "network", None)
    if hasattr(model, "squared_errors"):
        errors = [
            (squared[:, 0].mean(dim=-1) / level[..., None].square()).unflatten(0, (len(model.levels), -1)).mean(dim=0)
            for squared, level in model.squared_errors(seen, context_length, seeds)
        ]
        return torch.stack(errors, dim=1)
    if not hasattr(network, "compared"):
        raise UserError(f"{model.name}: has no surprise by cell; one of our families would do")
    _, predicted, target = network.compared(seen.tokens, acted(network, seen))  # type: ignore[union-attr]
    errors_of_all: SurpriseMap = (predicted - target[:, 1:]).square().mean(dim=-1)[:, context_length - 1 :]
    return errors_of_all


class Surprises(NamedTuple):
    """Of quadruplets: what is known of a possible clip and of the impossible one with another future."""

    possible: SurpriseMap
    impossible: SurpriseMap
    near: Near
    """Cells that a disc is in or beside which is elsewhere in the other future."""


def surprises_of(model: Any, evaluator: Evaluator, pairs: Quadruplets) -> Surprises:
    """The maps after the splice, of A's future after A's past and after B's."""
    seeds, maps = evaluator.seeds(shared_names(pairs)), []
    for clips in (pairs.a, pairs.b_then_a):
        with evaluator.accelerator.autocast():
            maps.append(surprise_by_cell(model, evaluator.encode(clips), evaluator.context_length, seeds).float().cpu())
    grid, a, b = (maps[0].shape[2], maps[0].shape[3]), pairs.a.truth, pairs.b.truth
    apart = ~((a.position - b.position).norm(dim=-1) < 0.1) & (a.present | b.present)
    chunk = evaluator.tokenizer.patch_size[0]
    near = [visited(each, apart & (each.visible > 0), grid, chunk, pairs.a, beside=True) for each in (a, b)]
    start = evaluator.context_length
    return Surprises(maps[0], maps[1], (near[0] | near[1])[:, start:])


def visited(
    tracks: Tracks, counted: Bool[Tensor, "clip time object"], grid: tuple[int, int], chunk: int, clips: Clips,
    beside: bool = False,
) -> Near:  # fmt: skip
    """The cells that the discs' middles are in during each chunk, and with `beside` those next to them."""
    h, w = grid
    found = torch.zeros(*counted.shape[:2], h + 2, w + 2, dtype=torch.bool)
    clip, time, disc = (counted & ~tracks.position.isnan().any(dim=-1)).nonzero(as_tuple=True)
    cell = cells_of(tracks.position[clip, time, disc].float(), grid, clips.frames.shape[-2] / clips.frames.shape[-1])
    for row in (0, 1, 2) if beside else (1,):
        for column in (0, 1, 2) if beside else (1,):
            found[clip, time, cell[:, 0] + row, cell[:, 1] + column] = True
    near: Near = found[:, :, 1:-1, 1:-1].unflatten(1, (-1, chunk)).any(dim=2)
    return near


def share_of_excess(maps: Surprises) -> tuple[Resampled, float]:
    """How much of what the impossible first chunk surprises more lies near what is impossible, and the even share."""
    excess = (maps.impossible - maps.possible)[:, 0].clamp_min(0).flatten(1)
    near = maps.near[:, 0].flatten(1)
    kept = near.any(dim=1) & (excess.sum(dim=1) > 0)
    share = (excess * near).sum(dim=1)[kept] / excess.sum(dim=1)[kept]  # every clip counts the same
    even = float(near[kept].float().mean()) if bool(kept.any()) else float("nan")
    return ratio_over(share, torch.ones_like(share), torch.arange(len(share))), even


@torch.no_grad()
def attention_of(network: Any, seen: Encoded) -> dict[str, Float[Tensor, "clip head cell seen"]]:
    """Of each layer that sees more than one chunk: how the cells of the last chunk attend to all cells seen."""
    found: dict[str, Tensor] = {}
    cells = seen.tokens.shape[2] * seen.tokens.shape[3]
    handles = [
        cast(nn.Module, layer.block.attention).register_forward_hook(_weighs(layer, cells, found))
        for layer in layers_of(network)
    ]
    try:
        teacher_forced(network, seen.tokens, acted(network, seen))
    finally:
        for handle in handles:
            handle.remove()
    return found


def _weighs(layer: Layer, cells: int, found: dict[str, Tensor]) -> Any:
    def keep(attention: nn.Module, given: tuple[Any, ...], gives: Any) -> None:
        assert isinstance(attention, Attention)
        x, rotary = given[0], given[1]
        if x.shape[1] > 1:
            q, k, _ = attention.projected(x, rotary)
            scores = (q[:, :, -cells:] * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
            found[layer.name] = scores.float().softmax(dim=-1).cpu()

    return keep


def looks_back(
    weights: Float[Tensor, "clip head cell seen"], cell: Int[Tensor, "clip 2"], was: Near
) -> Float[Tensor, "clip head"]:
    """The share of attention from a cell that lies on these cells of the chunks seen."""
    from_there = weights[torch.arange(len(cell)), :, cell[:, 0] * was.shape[3] + cell[:, 1]]
    share: Float[Tensor, "clip head"] = (from_there * was.flatten(1)[:, None]).sum(dim=-1)
    return share
