"""A network's state after each chunk that it has seen, as features that a ridge reads: what it remembers of a disc."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.evaluation.evaluator import Evaluator
from vidworld.models.diffusion import DiffusionTransformer
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.states import cells_of, hidden_states
from vidworld.models.world_model import Encoded

CLIPS_READ_AT_ONCE = 16
StateFeatures = Float[Tensor, "clip chunk feature"]


def has_states(model: Any) -> bool:
    """Whether a model is one of ours, whose network can be looked into."""
    return isinstance(getattr(model, "network", None), DiffusionTransformer | JointEmbeddingPredictor)


def state_features(model: Any, evaluator: Evaluator, seen: Encoded, disc: int) -> StateFeatures:
    """The state that the next chunk is predicted from, at the cell where the disc is at each chunk's end, and its mean.

    model: one of ours, whose state is that after its last block; None for the tokens of each chunk alone: what shows at
    the moment, without any memory.
    """
    clips, chunks, h, w, _ = seen.tokens.shape
    states, tracks = [], seen.clips.tracks
    assert tracks is not None
    for start in range(0, clips, CLIPS_READ_AT_ONCE):
        some = slice(start, start + CLIPS_READ_AT_ONCE)
        with evaluator.accelerator.autocast():
            states.append(hidden_states(model, Encoded(seen.clips.at(some), seen.tokens[some]))[:, :, -1].cpu())
    stream, step = torch.cat(states), seen.clips.frames.shape[1] // chunks
    aspect = seen.clips.frames.shape[-2] / seen.clips.frames.shape[-1]
    row, column = cells_of(tracks.position[:, step - 1 :: step, disc], (h, w), aspect).unbind(dim=-1)
    own = stream[torch.arange(clips)[:, None], torch.arange(chunks), row, column]
    return torch.cat((own, stream.flatten(2, 3).mean(dim=2)), dim=-1).double()
