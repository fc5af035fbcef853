"""Cues: what may tell a law's quadruplets from frames alone: no object followed, nothing hidden remembered, no contact.

A cue is a few numbers of every frame, and it is matched: how far the future's are from the past's, as they were on
average (`before`), as they last were (`last`) or as they would be if they went on in a straight line (`straight`). The
future that is nearer to a past passes for possible; turned round, the one that is farther. At one half a cue says
nothing either way.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy import ndimage
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

from vidworld.analysis.cues import FITTED, MIRRORED, ONE_OBJECT, RULES, CueAccuracy, LawCues
from vidworld.analysis.statistics import interval
from vidworld.core.clip import Frames
from vidworld.metrics.surprise import surprise_accuracy
from vidworld.simulation import LAWS
from vidworld.simulation.quadruplets import layout_of, quadruplets
from vidworld.simulation.simulated import BACKGROUND

CUES_VERSION = 2  # raised when a cue, or the model of all, comes to be another
RIDGE = 1e-3
SATURATED = 0.15  # a pixel whose channels differ by more is of a disc
MOSTLY_SHOWN = 0.6  # of the most that a half of a clip shows: of less, discs are half hidden and their middle is off
MIN_COLOR_PX = 4
FORMS = ("before", "last", "straight")
COPIES = {"copy of the last frame": 1, "copy of the chunk before": 4}
"""How far the first frames of the future are from those so many before, in pixels: of all of it where that is one."""
AWAY = 1e6  # squared distance from what one half of a clip shows and the other does not
QUADRUPLETS_AT_ONCE = 100
CLIPS_TOGETHER = 10  # whose pictures a processor's cache holds

Distances = Float[ndarray, "quad 2 2"]  # by past and future


class CueValues(NamedTuple):
    """A cue of some frames, and where it has a value."""

    value: Float[ndarray, "clip frame value"]
    there: Float[ndarray, "clip frame value"]  # 1 or 0


def cues_of(frames: Frames) -> dict[str, CueValues]:
    """Every cue of these frames, which are all of a past or all of a future."""
    parts = [_cues_of(few) for few in frames.split(CLIPS_TOGETHER)]
    return {
        name: CueValues(*(np.concatenate(each) for each in zip(*(part[name] for part in parts), strict=True)))
        for name in parts[0]
    }


def _cues_of(frames: Frames) -> dict[str, CueValues]:
    seen = frames.float() / 255
    most = seen.amax(2)
    color = most - seen.amin(2)
    disc = color > SATURATED
    high = seen > most[:, :, None] / 2
    code = (high[:, :, 0] + 2 * high[:, :, 1].byte() + 4 * high[:, :, 2].byte()) * disc  # 1 to 6: those of the palette
    masks = torch.stack([code == k for k in range(1, 7)], dim=2).float()
    area = masks.sum((-2, -1))
    objects = torch.tensor([[ndimage.label(one)[1] for one in clip] for clip in disc.numpy()])[..., None].float()
    found = {
        "number of colours": _everywhere((area > MIN_COLOR_PX).sum(-1, keepdim=True).float()),
        "number of objects": _everywhere(objects),
        "colour histogram": _everywhere(area),
        "brightness": _everywhere(seen.mean((2, 3, 4))[..., None]),
        "motion energy": _everywhere(seen.diff(dim=1).square().mean((2, 3, 4))[..., None]),
    }
    for name, weight in (("grey", (seen.mean(2) - BACKGROUND).clamp(min=0)), ("coloured", color * disc)):
        middle, moments, there = _moments(weight)
        found[f"centroid, {name}"] = CueValues(middle, there.repeat(2, -1))
        found[f"second moments, {name}"] = CueValues(moments, there.repeat(3, -1))
        found[f"spread, {name}"] = CueValues(moments[..., :2].sum(-1, keepdims=True), there)
    middle, _, there = _moments(color[:, :, None] * masks, MIN_COLOR_PX * SATURATED)
    found[ONE_OBJECT] = CueValues(*(each.reshape(*middle.shape[:2], -1) for each in (middle, there.repeat(2, -1))))
    return found


def _everywhere(value: Tensor) -> CueValues:
    return CueValues(value.double().numpy(), np.ones(value.shape))


def _moments(weight: Float[Tensor, "clip frame *any y x"], least: float = 1e-3) -> tuple[ndarray, ndarray, ndarray]:
    """The middle (x, y) of a picture, its second moments (xx, yy, xy) in pixels, and in which frames it is whole."""
    y, x = (torch.arange(n, dtype=torch.float64) - n / 2 for n in weight.shape[-2:])
    # Of each: 1, x, x squared.
    rows = (weight @ torch.stack([torch.ones_like(x), x, x.square()], dim=1).float()).double()
    total, across, squares = rows.sum(-2).unbind(-1)
    sums = [across, rows[..., 0] @ y, squares, rows[..., 0] @ y.square(), rows[..., 1] @ y]
    of_x, of_y, xx, yy, xy = (each / total.clamp(min=least) for each in sums)
    middle = torch.stack([of_x, of_y], dim=-1)
    moments = torch.stack([xx - of_x.square(), yy - of_y.square(), xy - of_x * of_y], dim=-1)
    there = (total >= MOSTLY_SHOWN * total.amax(1, keepdim=True)) & (total > least)
    return middle.numpy(), moments.numpy(), there.double().numpy()[..., None]


def distances(past: CueValues, future: CueValues, form: str) -> Float[ndarray, "clip"]:
    """How far each future is from what the cue makes of its past, squared."""
    time = np.arange(past.value.shape[1] + future.value.shape[1], dtype=np.float64)[None, :, None]
    before, after = np.split(time, [past.value.shape[1]], axis=1)
    shown, follows = past.there.sum(1, keepdims=True), future.there.sum(1, keepdims=True)
    mean = (past.value * past.there).sum(1, keepdims=True) / np.maximum(shown, 1)
    target, there = future.value, future.there
    if form == "before":
        expected = mean
        target = (target * there).sum(1, keepdims=True) / np.maximum(follows, 1)
        there = (follows > 0) * 1.0
    elif form == "last":
        last = (past.there * (before + 1)).argmax(1)[:, None]
        expected = np.take_along_axis(past.value, last, axis=1)
    else:
        when = (before * past.there).sum(1, keepdims=True) / np.maximum(shown, 1)
        scatter = (past.there * (before - when) ** 2).sum(1, keepdims=True)
        slope = (past.there * (before - when) * (past.value - mean)).sum(1, keepdims=True) / np.maximum(scatter, 1e-9)
        expected = mean + np.where(scatter > 0, slope, 0) * (after - when)
    error = ((target - expected) ** 2 * there).sum(1) / np.maximum(there.sum(1), 1)
    known, comes = shown[:, 0] > 0, follows[:, 0] > 0
    return np.asarray(np.where(known & comes, error, np.where(known == comes, 0.0, AWAY)).sum(-1))


def cue_distances(law: str, split: str, numbers: Sequence[int]) -> dict[str, Distances]:
    """Every cue's distance of every future from every past, by cue and form, of these quadruplets of a law.

    They are of the usual shape and seed 0, and begin to differ after 8 frames.
    """
    start, parts = 8, list[dict[str, Distances]]()
    for first in range(0, len(numbers), QUADRUPLETS_AT_ONCE):
        made = quadruplets(law, split, 0, numbers[first : first + QUADRUPLETS_AT_ONCE], start)
        frames = [made.a.frames, made.b.frames]
        pasts, futures = ([cues_of(each[:, part]) for each in frames] for part in (slice(start), slice(start, None)))
        found = {
            f"{cue}, {form}": _matrix([[distances(p[cue], f[cue], form) for f in futures] for p in pasts])
            for cue in pasts[0]
            for form in FORMS
        }
        for name, lag in COPIES.items():
            found[name] = _matrix([[_copied(p, f, start, lag) for f in frames] for p in frames])
        found[MIRRORED] = _matrix([[mirrored(p, f, start) for f in frames] for p in frames])
        parts.append(found)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _copied(past: Frames, future: Frames, start: int, lag: int) -> Float[ndarray, "clip"]:
    """The squared distance of the future from the past's last frame, or of its first chunk from the past's last."""
    end = min(start + lag, future.shape[1]) if lag > 1 else future.shape[1]
    before = past[:, start - lag : start]
    change = future[:, start:end].float() - before[:, : end - start].float()
    return change.square().mean((1, 2, 3, 4)).double().numpy()


def mirrored(past: Frames, future: Frames, start: int) -> Float[ndarray, "clip"]:
    """The squared distance of the future from the past backwards: the last frame comes first."""
    back = past[:, :start].flip(1)[:, : future.shape[1] - start].float()
    return (future[:, start : start + back.shape[1]].float() - back).square().mean((1, 2, 3, 4)).double().numpy()


def _matrix(by_past: list[list[ndarray]]) -> Distances:
    return np.stack([np.stack(row, axis=-1) for row in by_past], axis=1)


# --- all of them together, and what is kept of them ---


def evidence(found: Mapping[str, Distances]) -> Float[ndarray, "future cue"]:
    """How much nearer each future is to its own past than to the other's, -1 to 1, by each cue that is not the law."""
    cues = [each for name, each in found.items() if not name.startswith(RULES)]
    own = np.stack([np.concatenate([each[:, 0, 0], each[:, 1, 1]]) for each in cues], axis=1)
    other = np.stack([np.concatenate([each[:, 1, 0], each[:, 0, 1]]) for each in cues], axis=1)
    return np.asarray((other - own) / np.maximum(other + own, 1e-12))


def fitted(seen: Float[ndarray, "future cue"]) -> Float[ndarray, "cue"]:
    """The weights of a logistic regression of which past is a future's own, on all cues."""

    def loss(weights: ndarray) -> tuple[float, ndarray]:
        margin = seen @ weights
        gradient = -(expit(-margin)[:, None] * seen).mean(0) + RIDGE * weights
        return float(np.logaddexp(0, -margin).mean() + RIDGE / 2 * weights @ weights), gradient

    return np.asarray(minimize(loss, np.zeros(seen.shape[1]), jac=True, method="L-BFGS-B").x)


def measure_law(law: str, quadruplets_val: int, quadruplets_id: int) -> LawCues:
    """Every cue's accuracy on a law's quadruplets, layout by layout, and that of all together, fitted on others."""
    weights = fitted(evidence(cue_distances(law, "val", range(quadruplets_val))))
    found = cue_distances(law, "id", range(quadruplets_id))
    votes = evidence(found) @ weights
    right = ((votes > 0) + 0.5 * (votes == 0)).reshape(2, -1).mean(0)
    layouts = np.array([layout_of(f"{law}/id/0/{number}") for number in range(quadruplets_id)])
    accuracies = {name: surprise_accuracy(each[..., None]) for name, each in found.items()} | {FITTED: right}
    of_all = [_accuracy(name, "", values) for name, values in accuracies.items()]
    names = sorted(set(layouts)) if len(set(layouts)) > 1 else []
    of_each = [_accuracy(n, layout, values[layouts == layout]) for layout in names for n, values in accuracies.items()]
    return LawCues(LAWS.version(law), CUES_VERSION, (*of_all, *of_each))


def _accuracy(cue: str, layout: str, values: Float[ndarray, "quad"]) -> CueAccuracy:
    found = {name: round(value, 4) for name, value in vars(interval(values[None], (0.0, 1.0))).items()}
    return CueAccuracy(cue, layout, **found)
