"""Scorers that know nothing of physics, on the same quads: what surprise must not be mistaken for.

Each sees frames alone. One that looks at the future only is at one half in every form, by construction; what
looks across the splice reads how far a cue of continuity goes.
"""

from collections.abc import Callable, Iterator
from typing import get_args

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from vidworld.analysis.records import ControlRow
from vidworld.analysis.statistics import interval
from vidworld.core.clip_shape import ClipShape
from vidworld.core.shapes import Frames
from vidworld.evaluation.calibration import located
from vidworld.metrics import METRICS
from vidworld.metrics.surprise import Aggregation
from vidworld.simulation.quadruplets import Quadruplets, quadruplets
from vidworld.simulation.stage import PALETTE
from vidworld.simulation.tracker import MIN_RADIUS

CueScorer = Callable[[Frames, int, int], Float[Tensor, "clip chunk"]]
"""Surprise of the chunks from frame `start` on, each of so many frames."""
# without the maximum: each form is taken with both aggregations
FORMS = tuple(n for n, metric in METRICS.items() if metric.takes == "surprise" and n != "surprise_accuracy_maximum")


def blind(frames: Frames, start: int, chunk_frames: int) -> Float[Tensor, "clip chunk"]:
    return torch.zeros(len(frames), (frames.shape[1] - start) // chunk_frames)


def static_scene(frames: Frames, start: int, chunk_frames: int) -> Float[Tensor, "clip chunk"]:
    """How bright the future is."""
    return _by_chunk(frames[:, start:].float().mean(dim=(2, 3, 4)), chunk_frames)


def count_only(frames: Frames, start: int, chunk_frames: int) -> Float[Tensor, "clip chunk"]:
    """How many discs the future shows."""
    radius = torch.full((len(frames), len(PALETTE)), MIN_RADIUS)
    found = located(frames[:, start:], PALETTE.expand(len(frames), -1, -1), radius)
    return _by_chunk(found.isfinite().all(dim=-1).sum(dim=-1).float(), chunk_frames)


def motion_energy(frames: Frames, start: int, chunk_frames: int) -> Float[Tensor, "clip chunk"]:
    """How much changes from frame to frame, from the last of the past on."""
    steps = frames[:, start - 1 :].float().diff(dim=1).square().mean(dim=(2, 3, 4))
    return _by_chunk(steps, chunk_frames)


def still_life(frames: Frames, start: int, chunk_frames: int) -> Float[Tensor, "clip chunk"]:
    """How far the future is from the past's last frame."""
    away = (frames[:, start:].float() - frames[:, start - 1 : start].float()).square().mean(dim=(2, 3, 4))
    return _by_chunk(away, chunk_frames)


_SCORERS = (blind, static_scene, count_only, motion_energy, still_life)
SCORERS: dict[str, CueScorer] = {scorer.__name__: scorer for scorer in _SCORERS}


def measure_controls(law: str, setting: ClipShape, start: int, chunk_frames: int, count: int) -> Iterator[ControlRow]:
    """Every form of surprise accuracy of every scorer on a law's quads of the `id` split."""
    made = quadruplets(law, "id", 0, range(count), start, setting)
    for name, scorer in SCORERS.items():
        surprise = surprise_by(scorer, made, chunk_frames)
        for form in FORMS:
            for aggregation in get_args(Aggregation):
                values = METRICS[form].function(surprise, aggregation)
                found = interval(values[None], METRICS[form].bounds)
                yield ControlRow(law, name, form, aggregation, found.value, found.low, found.high, found.n)


def surprise_by(scorer: CueScorer, made: Quadruplets, chunk_frames: int) -> Float[ndarray, "quad 2 2 chunk"]:
    """A scorer's surprise at every future after every past."""
    order = (made.a, made.a_then_b, made.b_then_a, made.b)
    scores = [scorer(clips.frames, made.splice_frame, chunk_frames) for clips in order]
    matrix: ndarray = torch.stack(scores, dim=1).view(len(made), 2, 2, -1).double().numpy()
    return matrix


def _by_chunk(per_frame: Float[Tensor, "clip frame"], chunk_frames: int) -> Float[Tensor, "clip chunk"]:
    return per_frame.unflatten(1, (-1, chunk_frames)).mean(dim=2)
