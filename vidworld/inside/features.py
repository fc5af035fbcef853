"""From states to what probes are given: the window of cells about a disc, or all cells of the picture."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.evaluator import Evaluator
from vidworld.inside.concepts import Samples
from vidworld.models.states import Layers, cells_of, hidden_states

SIDE = 3
"""Rows and columns of a window: a disc and what it may have come from."""
CELLS = 8
"""Rows and columns of cells of a picture that is not cut into tokens."""


def _window(cell: Int[Tensor, "sample 2"]) -> tuple[Tensor, Tensor]:
    """Rows and columns of each window in a grid with a border of one cell."""
    near = torch.arange(SIDE)
    return (cell[:, :1] + near)[:, :, None], (cell[:, 1:] + near)[:, None, :]


def windows(
    states: Float[Tensor, "clip *layer h w channel"], clip: Int[Tensor, " sample"], cell: Int[Tensor, "sample 2"]
) -> Float[Tensor, "sample *layer feature"]:
    """The states of the cells about each sample's cell, row after row; zero beyond the picture."""
    padded = F.pad(states, (0, 0, 1, 1, 1, 1)).movedim((-3, -2), (1, 2))  # (clip, h, w, *layer, channel)
    found = padded[clip[:, None, None], *_window(cell)].flatten(1, 2).movedim(1, -2)
    return found.flatten(-2)


def in_grid(
    features: Float[Tensor, "sample feature"], clip: Int[Tensor, " sample"], cell: Int[Tensor, "sample 2"],
    clips: int, grid: tuple[int, int],
) -> Float[Tensor, "clip h w channel"]:  # fmt: skip
    """What `windows` would read as these features: added up where windows overlap, zero elsewhere."""
    values = features.unflatten(1, (SIDE, SIDE, -1))
    padded = features.new_zeros(clips, grid[0] + 2, grid[1] + 2, values.shape[-1])
    padded.index_put_((clip[:, None, None], *_window(cell)), values, accumulate=True)
    return padded[:, 1:-1, 1:-1]


def averaged(states: Layers, grid: tuple[int, int]) -> Layers:
    """The states of a model that has a grid of its own, over so many rows and columns."""
    *first, h, w, channel = states.shape
    if (h, w) == grid:
        return states
    pooled = F.adaptive_avg_pool2d(states.reshape(-1, h, w, channel).movedim(-1, 1), grid).movedim(1, -1)
    return pooled.reshape(*first, *pooled.shape[1:])


def grid_of(evaluator: Evaluator, shape: ClipShape) -> tuple[int, int]:
    """Rows and columns of cells: those of the tokens, or `CELLS` where a token is a whole picture."""
    _, h, w = evaluator.tokenizer.grid_of(shape.num_frames, shape.height_px, shape.width_px)
    return (CELLS, CELLS) if h == w == 1 else (h, w)


def features_of(
    model: Any, evaluator: Evaluator, samples: Sequence[Samples], grid: tuple[int, int], at_once: int, name: str = ""
) -> list[list[Float[Tensor, "sample feature"]]]:
    """Of each samples, which are of the same clips, the features by layer: the states after the last chunk shown."""
    clips = samples[0].clips
    aspect = clips.frames.shape[-2] / clips.frames.shape[-1]
    found: list[list[list[Tensor]]] = [[] for _ in samples]
    order: list[list[Tensor]] = [[] for _ in samples]
    for first in tqdm(range(0, len(clips), at_once), name, unit="batch", disable=None, leave=False):
        some = slice(first, first + at_once)
        with evaluator.accelerator.autocast():
            states = averaged(hidden_states(model, evaluator.encode(clips.at(some)))[:, -1:], grid)[:, 0].cpu()
        for number, each in enumerate(samples):
            mine = ((each.clip >= first) & (each.clip < first + len(states))).nonzero()[:, 0]
            clip = each.clip[mine] - first
            if each.place is None:
                read = states[clip].flatten(2)
            else:
                read = windows(states, clip, cells_of(each.place[mine], grid, aspect))
            found[number].append(list(read.unbind(dim=1)))
            order[number].append(mine)
    return [
        [torch.cat(layer)[torch.cat(rows).argsort()] for layer in zip(*batches, strict=True)]
        for batches, rows in zip(found, order, strict=True)
    ]
