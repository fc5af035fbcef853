"""Error against what a clip was drawn with: inside the range trained on, and outside it.

A clip's speed is that of its fastest disc in the first frame, its radius the largest, its mass ratio that of the
heaviest disc to the lightest. A curve is over one of them: inside its range count the clips of `id` (interpolation),
outside it those of `ood` of which nothing else lies outside (extrapolation), and the clips of which both speed and
radius do are kept apart. Clips of `recombined` have values that were seen in pairs that were not: a fast, large disc.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import torch

from vidworld.analysis.labels import Models, estimate_of, model_label, model_rank, title
from vidworld.analysis.records import Curve, Series, Value
from vidworld.analysis.shortfalls import READOUT
from vidworld.analysis.statistics import interval
from vidworld.core.clip import Clips
from vidworld.metrics import METRICS
from vidworld.simulation import SCENARIOS
from vidworld.simulation.stage import Range

DRAWN = {
    "speed": ("velocity_error", "units/s"),
    "radius": ("velocity_error", "units"),
    "mass_ratio": ("outgoing_velocity_error", "heavy / light"),
}
"""Quantities with the metric that is drawn against each, and their unit."""
BINS = 4
"""Parts of the range trained on; each range outside it is one more."""
MIN_CLIPS = 3
"""Clips without which a bin is left out."""


@dataclass(frozen=True)
class Draw:
    """What a simulated clip was drawn with: a line of clips.csv."""

    identity: str
    task: str
    split: str
    speed: float  # units a second
    radius: float
    mass_ratio: float  # 1 for a single disc


def draws_of(clips: Clips, task: str, split: str) -> Iterator[Draw]:
    """What each of these clips was drawn with; a clip that begins without a disc has no line."""
    tracks = clips.truth
    absent = ~tracks.present[:, 0]
    speed = tracks.velocity[:, 0].norm(dim=-1).masked_fill(absent, 0.0).amax(dim=1)
    radius = tracks.radius.masked_fill(absent, 0.0).amax(dim=1)
    heavy = tracks.mass.masked_fill(absent, 0.0).amax(dim=1)
    light = tracks.mass.masked_fill(absent, torch.inf).amin(dim=1)
    numbers = zip(speed.tolist(), radius.tolist(), (heavy / light).tolist(), strict=True)
    for identity, clip, empty in zip(clips.identity, numbers, absent.all(dim=1).tolist(), strict=True):
        if not empty:
            yield Draw(identity, task, split, *clip)


def trained_range(task: str, quantity: str) -> Range:
    """What training draws this quantity from."""
    ranges = SCENARIOS[task].ranges
    low, high = ranges.speed if quantity == "speed" else ranges.radius
    return (1.0, (high / low) ** 2) if quantity == "mass_ratio" else (low, high)


def generalisation_curves(values: Sequence[Value], draws: Sequence[Draw], models: Models) -> list[Curve]:
    """A curve of the report for each task and quantity: a line a model, the range trained on shaded."""
    curves = []
    drawn = {draw.identity: draw for draw in draws}
    for task, (quantity, (metric, unit)) in product(dict.fromkeys(draw.task for draw in draws), DRAWN.items()):
        found: dict[str, list[tuple[Draw, float]]] = defaultdict(list)
        for value in values:
            wanted = (value.task, value.metric, value.readout) == (task, metric, READOUT)
            if wanted and value.identity in drawn and value.model != "truth":
                found[value.model].append((drawn[value.identity], value.value))
        of_model = {model: found[model] for model in sorted(found, key=lambda m: model_rank(m, models))}
        series = [_series(model, model_label(model, models), of_model[model], task, quantity) for model in of_model]
        if any(len(line.x) > 1 for line in series):
            words, y_label = title(quantity).lower(), f"{title(metric)}, {METRICS[metric].unit}"
            note = _groups(of_model, models) if quantity == "speed" else None
            shaded = [trained_range(task, quantity)]
            curves.append(Curve(f"{title(task)}: {words}", f"{words}, {unit}", y_label, series, note, shaded))
    return curves


def _series(model: str, label: str, found: Sequence[tuple[Draw, float]], task: str, quantity: str) -> Series:
    """A model's mean in each bin that has clips enough, at the mean of the quantity there."""
    x, means = [], []
    placed = [(getattr(d, quantity), value, _outside(d)) for d, value in found if d.split != "recombined"]
    for (low, high), where in _bins(task, quantity):
        inside = [(at, value) for at, value, outside in placed if low <= at <= high and where == outside]
        if len(inside) >= MIN_CLIPS:
            quantities, errors = np.array(inside).T
            x.append(float(quantities.mean()))
            means.append(interval(errors[None], METRICS[DRAWN[quantity][0]].bounds))
    y, low_, high_ = ([getattr(mean, name) for mean in means] for name in ("value", "low", "high"))
    return Series(label, x, y, low_, high_, model)


def _bins(task: str, quantity: str) -> list[tuple[Range, tuple[str, ...]]]:
    """Each bin, rising, and what of a clip in it lies outside the range trained on."""
    low, high = trained_range(task, quantity)
    ranges = SCENARIOS[task].ranges
    outside = ranges.speed_outside if quantity == "speed" else ranges.radius_outside
    edges, where = np.linspace(low, high, BINS + 1), (quantity,)
    if quantity == "mass_ratio":
        edges, outside, where = np.geomspace(low, high, BINS + 1), ((high, np.inf),), ("radius",)
    inside = [((float(a), float(b)), ()) for a, b in pairwise(edges)]
    return sorted([*inside, *((bounds, where) for bounds in outside)])


def _outside(draw: Draw) -> tuple[str, ...]:
    """What of the clip lies outside the range trained on."""
    if draw.split != "ood":
        return ()
    ranges = SCENARIOS[draw.task].ranges
    checked = (("speed", draw.speed, ranges.speed), ("radius", draw.radius, ranges.radius))
    return tuple(name for name, value, (low, high) in checked if not low <= value <= high)


def _groups(of_model: Mapping[str, Sequence[tuple[Draw, float]]], models: Models) -> str | None:
    """What each model scores on clips that no curve holds, in words."""
    notes = []
    for name, belongs in GROUPS.items():
        parts, count = [], 0
        for model, found in of_model.items():
            values = [value for draw, value in found if belongs(draw)]
            if len(values) >= MIN_CLIPS:
                mean, count = interval(np.array([values])), max(count, len(values))
                parts.append(f"{model_label(model, models)} {estimate_of(mean)}")
        if parts:
            notes.append(f"{name} ({count} clips): {', '.join(parts)}.")
    return " ".join(notes) or None


def _seen(draw: Draw) -> bool:
    """Whether the clip is of those trained on, with a disc as fast or as large as the recombined ones."""
    ranges = SCENARIOS[draw.task].ranges
    return draw.split == "id" and (draw.speed > ranges.fast or draw.radius > ranges.large)


GROUPS: dict[str, Callable[[Draw], bool]] = {
    "Inside, with a disc that is fast or one that is large": _seen,
    "Recombined, with a disc that is both": lambda draw: draw.split == "recombined",
    "Speed and radius both outside": lambda draw: len(_outside(draw)) == 2,
}
"""Sets of clips, by what they were drawn with."""
