"""A network's state after each chunk that it has seen, as features that a ridge reads: what it remembers of a disc."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from vidworld.core.clip import Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.evaluation.evaluator import Evaluator
from vidworld.models.diffusion import DiffusionTransformer
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.world_model import Encoded

CLIPS_READ_AT_ONCE = 16
StateFeatures = Float[ndarray, "clip chunk feature"]


def has_states(model: Any) -> bool:
    """Whether a model is one of ours, whose network can be looked into."""
    return isinstance(getattr(model, "network", None), DiffusionTransformer | JointEmbeddingPredictor)


def state_features(model: Any, evaluator: Evaluator, seen: Encoded, disc: int) -> StateFeatures:
    """The stream of the last block, from which the next chunk is predicted: at the disc's cell, and its mean."""
    network, parts = model.network, []
    block: nn.Module = (network.blocks if isinstance(network, DiffusionTransformer) else network.predictor)[-1]
    for start in range(0, len(seen.tokens), CLIPS_READ_AT_ONCE):
        tokens = seen.tokens[start : start + CLIPS_READ_AT_ONCE]
        kept: list[Tensor] = []
        hook = block.register_forward_hook(lambda module, given, gives, kept=kept: kept.append(gives[0]))
        try:
            with torch.no_grad(), evaluator.accelerator.autocast():
                if isinstance(network, DiffusionTransformer):
                    network.prefill(tokens)
                else:
                    network.predict(network.context_embeddings(tokens))
        finally:
            hook.remove()
        parts.append(kept[-1].float().cpu())
    return _about(torch.cat(parts), seen, disc)


def token_features(seen: Encoded, disc: int) -> StateFeatures:
    """The same of the tokens of each chunk alone: what shows at the moment, without any memory."""
    return _about(seen.tokens.flatten(2, 3).float().cpu(), seen, disc)


def _about(stream: Float[Tensor, "clip t cell width"], seen: Encoded, disc: int) -> StateFeatures:
    """At the cell in which the disc is at each chunk's end, and the mean over all cells."""
    h, w = seen.tokens.shape[2:4]
    tracks = seen.clips.tracks
    assert tracks is not None
    cell = _cells(tracks, disc, stream.shape[1], (h, w))
    own = stream.gather(2, cell[..., None, None].expand(-1, -1, 1, stream.shape[-1]))[:, :, 0]
    return np.asarray(torch.cat((own, stream.mean(dim=2)), dim=-1).double().numpy())


def _cells(tracks: Tracks, disc: int, chunks: int, grid: Sequence[int]) -> Tensor:
    """The number of the disc's cell in each chunk's last frame."""
    h, w = grid
    step = tracks.position.shape[1] // chunks
    place = tracks.position[:, step - 1 :: step, disc] / (WORLD_SIZE / w)
    column, row = (place[..., i].long().clamp(0, most - 1) for i, most in ((0, w), (1, h)))
    return row * w + column
