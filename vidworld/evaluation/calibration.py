"""What the evaluation can see, without a world: metrics under planted faults, and surprise as cues alone give it.

The noise floor is what the truth itself scores through a tracker or probe. The detection limit is the smallest size
tried from which on every fault's interval lies on the worse side of the floor's: an evaluation on so many
clips tells a fault of that size from none. Nothing is interpolated between sizes.

What surprise must not be mistaken for: a control sees frames alone. One that looks at the future only is at one half in
every form, by construction; what looks across the splice reads how far a cue of continuity goes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from functools import cache
from typing import get_args

import numpy as np
import torch
from einops import reduce
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import spearmanr
from torch import Tensor

from vidworld.analysis.records import CALIBRATION_READOUTS, BaselineRow, CalibrationRow, ControlRow
from vidworld.analysis.statistics import Interval, interval
from vidworld.core.clip import Clips, Tracks
from vidworld.core.clip_shape import ClipShape
from vidworld.core.shapes import Frames
from vidworld.evaluation.injected_errors import INJECTED_ERRORS, ErrorScene, InjectedError
from vidworld.evaluation.surprises import as_matrix
from vidworld.metrics import METRICS, Metric
from vidworld.metrics.surprise import Aggregation
from vidworld.models.world_model import constant_velocity, last_frame
from vidworld.simulation.quadruplets import Quadruplets, quadruplets
from vidworld.simulation.stage import PALETTE
from vidworld.simulation.tracker import MIN_RADIUS, after_context, locate_discs, with_strangers

DISCS_LOCATED_AT_ONCE = 5


def calibrate(
    setting: ClipShape, start: int, clips: int, faults: Sequence[InjectedError] = INJECTED_ERRORS
) -> Iterator[list[CalibrationRow]]:
    """The rows of one injected error after another, all sizes on the same clips; the horizon begins at `start`."""
    scene_of = cache(lambda scenario: ErrorScene.of(scenario, range(clips), setting))
    for fault in faults:
        yield list(_rows(fault, scene_of(fault.scenario), start))


def _rows(fault: InjectedError, scene: ErrorScene, start: int) -> Iterator[CalibrationRow]:
    sizes = (0.0, *fault.sizes)
    for readout in CALIBRATION_READOUTS:
        read = [_read(fault, size, scene, start, readout) for size in sizes]
        for metric in (METRICS[name] for name in fault.metrics):
            if metric.takes == "samples":  # two samples, as far to one side of the truth as to the other
                others = [_read(fault, -size, scene, start, readout) for size in sizes]
                found = [_measured(metric, list(pair), scene, start) for pair in zip(read, others, strict=True)]
            else:
                found = [_measured(metric, tracks, scene, start) for tracks in read]
            limit = smallest_seen(sizes, found, metric.higher_is_better)
            monotone = float(spearmanr(sizes, [_harm(each.value, metric) for each in found]).statistic)
            for size, each in zip(sizes, found, strict=True):
                yield CalibrationRow(
                    metric.law, metric.name, readout, fault.name, size, each.value, found[0].value, limit, each.low,
                    each.high, each.n, fault.unit, metric.unit, fault.scenario, metric.higher_is_better, monotone,
                )  # fmt: skip


def smallest_seen(sizes: Sequence[float], found: Sequence[Interval], higher_is_better: bool | None) -> float:
    """The smallest size from which on every interval lies beyond that of the first, which has no injected error.

    Beyond is worse, or on either side where neither is better. NaN where the largest size does not.
    """
    limit, floor = float("nan"), found[0]
    for size, each in reversed(list(zip(sizes[1:], found[1:], strict=True))):
        above = each.low > floor.high and higher_is_better is not True
        below = each.high < floor.low and higher_is_better is not False
        if not (above or below):
            return limit
        limit = size
    return limit


def measure_baselines(setting: ClipShape, start: int, clips: int, scenario: str) -> Iterator[BaselineRow]:
    """What the truth, a model that stands still and one that goes on as it did score on a scenario."""
    scene = ErrorScene.of(scenario, range(clips), setting)
    frames, rest = scene.render(scene.truth), setting.num_frames - start
    context = Clips(frames[:, :start], setting.fps, ("",) * clips, scene.truth.between(0, start))
    futures = {"truth": frames[:, start:], "copy_last": last_frame(context, rest)}
    futures["constant_velocity"] = constant_velocity(context, rest)
    for model, future in futures.items():
        tracks = read_pixels(future, scene.truth, start)
        for metric in METRICS.values():
            if metric.takes == "tracks" and scenario in metric.scenarios:
                found = _measured(metric, tracks, scene, start)
                yield BaselineRow(model, scenario, metric.law, metric.name, *astuple(found), metric.unit)


def read_pixels(future: Frames, truth: Tracks, start: int) -> Tracks:
    """Tracks of the frames from `start` on, located by colour, after the true context."""
    return after_context(located(future, *with_strangers(truth)), truth, start)


def located(
    frames: Frames, color: Float[Tensor, "clip object 3"], radius: Float[Tensor, "clip object"]
) -> Float[Tensor, "clip time object 2"]:
    """Where the discs are, a few clips at a time: three times faster than all at once, which no cache holds."""
    pieces = (each.split(DISCS_LOCATED_AT_ONCE) for each in (frames, color, radius))
    return torch.cat([locate_discs(*piece) for piece in zip(*pieces, strict=True)])


def _read(fault: InjectedError, size: float, scene: ErrorScene, start: int, readout: str) -> Tracks:
    tracks = fault.plant(scene.truth, size, scene.setting.dt_s, start)
    return tracks if readout == "tracks" else read_pixels(scene.render(tracks)[:, start:], scene.truth, start)


def _measured(metric: Metric, predicted: Tracks | list[Tracks], scene: ErrorScene, start: int) -> Interval:
    values = metric.function(predicted, scene.truth, scene.setting.dt_s, start)
    return interval(np.asarray(values)[None], metric.bounds)


def _harm(value: float, metric: Metric) -> float:
    """The value, turned so that more is worse."""
    if metric.higher_is_better is None:
        return abs(value - metric.ideal)
    return -value if metric.higher_is_better else value


# --- controls: scorers that know nothing of physics, on the same quads ---


def _discs_shown(frames: Frames, start: int) -> Float[Tensor, "clip frame"]:
    radius = torch.full((len(frames), len(PALETTE)), MIN_RADIUS)
    found = located(frames[:, start:], PALETTE.expand(len(frames), -1, -1), radius)
    return found.isfinite().all(dim=-1).sum(dim=-1).float()


CueScorer = Callable[[Frames, int], Float[Tensor, "clip frame"]]  # surprise of the frames from `start` on
SCORERS: dict[str, CueScorer] = {
    "blind": lambda frames, start: torch.zeros(len(frames), frames.shape[1] - start),
    # How bright the future is.
    "static_scene": lambda frames, start: frames[:, start:].float().mean(dim=(2, 3, 4)),
    # How many discs the future shows.
    "count_only": _discs_shown,
    # How much changes from frame to frame, from the last of the past on.
    "motion_energy": lambda frames, start: frames[:, start - 1 :].float().diff(dim=1).square().mean(dim=(2, 3, 4)),
    # How far the future is from the past's last frame.
    "still_life": lambda frames, start: (
        (frames[:, start:].float() - frames[:, start - 1 : start].float()).square().mean(dim=(2, 3, 4))
    ),
}
# without the maximum: each form is taken with both aggregations
FORMS = tuple(n for n, metric in METRICS.items() if metric.takes == "surprise" and n != "surprise_accuracy_maximum")


def measure_controls(law: str, setting: ClipShape, start: int, chunk_frames: int, count: int) -> Iterator[ControlRow]:
    """Every form of surprise accuracy of every scorer on a law's quads of the `id` split."""
    made = quadruplets(law, "id", 0, range(count), start, setting)
    for name, scorer in SCORERS.items():
        surprise = surprise_by(scorer, made, chunk_frames)
        for form in FORMS:
            for aggregation in get_args(Aggregation):
                values = METRICS[form].function(surprise, aggregation)
                found = interval(values[None], METRICS[form].bounds)
                yield ControlRow(law, name, form, aggregation, *astuple(found))


def surprise_by(scorer: CueScorer, made: Quadruplets, chunk_frames: int) -> Float[ndarray, "quad 2 2 chunk"]:
    """A scorer's surprise at every future after every past, a mean over the frames of each chunk."""
    order = (made.a, made.a_then_b, made.b_then_a, made.b)
    per_frame = torch.cat([scorer(clips.frames, made.splice_frame) for clips in order])
    return as_matrix(reduce(per_frame, "clip (chunk frame) -> clip chunk", "mean", frame=chunk_frames))
