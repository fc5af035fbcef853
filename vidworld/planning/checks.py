"""Offline checks of a model that takes actions, on an environment's clips: whether what it imagines depends on them.

A model that ignores its actions can have a low error, and no planner can do anything with it. So its error under the
actions that were done is compared with its error under those of other clips, which have the same distribution.
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.analysis.planning import ActionCheck
from vidworld.analysis.statistics import interval
from vidworld.core.clip import Clips
from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.presentation import names_of
from vidworld.models.world_model import Encoded, Futures
from vidworld.planning.imagination import futures_at_once, imagine, in_its_space

CHECKS_VERSION = 1  # raised when the checks come to give other values
IGNORED = 1.1
"""A factor up to which actions hardly matter (Source: MMBench2, arXiv 2606.27326: shuffle ratio)."""
OTHER_CLIPS = 15
"""Clips whose actions are tried in place of a clip's own."""


def check_actions(
    name: str, model: Any, evaluator: Evaluator, clips: Clips, context_frames: int, environment: str
) -> ActionCheck:
    """How much worse the model's futures fit under others' actions, and the rank of the true ones among these.

    Raises ModelFailure: the model fails. UserError: fewer than two clips, or clips without actions.
    """
    errors = energies(name, model, evaluator, clips, context_frames).double().cpu()
    true, others = errors[:, 0], errors[:, 1:]
    ratio = (others.mean(dim=1).clamp_min(1e-12).log() - true.clamp_min(1e-12).log()).numpy()
    factor = interval(np.asarray(ratio)[None])
    better = (others < true[:, None]).double() + 0.5 * (others == true[:, None]).double()
    ranks = interval(better.mean(dim=1).numpy()[None], bounds=(0.0, 1.0))
    size, least = math.exp(factor.value), math.exp(factor.low)
    return ActionCheck(
        environment=environment, model=name, clips=len(clips), error_true=float(true.mean()),
        error_shuffled=float(others.mean()), factor=size, factor_low=least, rank=ranks.value, rank_low=ranks.low,
        rank_high=ranks.high, top=float((true < others.amin(dim=1)).double().mean()),
        ignores=size <= IGNORED or least <= 1.0 or ranks.high >= 0.5,
    )  # fmt: skip


def energies(
    name: str, model: Any, evaluator: Evaluator, clips: Clips, context_frames: int
) -> Float[Tensor, "clip sample"]:
    """The squared error of each clip's imagined future: first under its own actions, then under other clips'.

    In the space that the model predicts in. Raises ModelFailure, UserError: as `check_actions`.
    """
    if clips.actions is None or len(clips) < 2:
        raise UserError(f"{name}: actions are checked on two clips or more that have some")
    shown = Clips(clips.frames, clips.fps, tuple(names_of(clips.frames)), actions=clips.actions.float())
    chunk = evaluator.tokenizer.patch_size[0]
    start = context_frames // chunk
    seen = evaluator.encode(shown)
    assert seen.actions is not None
    own, count = seen.actions[:, start:], min(OTHER_CLIPS, len(clips) - 1)
    done = torch.stack([own.roll(-k, dims=0) for k in range(count + 1)], dim=1)
    return energies_under(name, model, evaluator, seen, start, done)


def energies_under(
    name: str, model: Any, evaluator: Evaluator, seen: Encoded, start: int, done: Futures
) -> Float[Tensor, "clip sample"]:
    """The squared error of what is imagined after the first `start` chunks if each of these is done, in its space.

    Raises ModelFailure.
    """
    few, found = max(1, futures_at_once(evaluator.accelerator.device) // done.shape[1]), []
    for first in range(0, len(seen.tokens), few):
        some = slice(first, first + few)
        part = Encoded(seen.clips.at(some), seen.tokens[some])
        imagined = imagine(name, model, evaluator, part.chunks(0, start), done[some]).embeddings
        true = in_its_space(model, evaluator, part.tokens)[:, None, start:].to(imagined)
        found.append((imagined - true).square().mean(dim=(2, 3, 4, 5)))
    return torch.cat(found)
