"""What fewer evaluations of a network cost in physics: velocity error against the steps of sampling."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vidworld.analysis.statistics import Interval, interval
from vidworld.core.clip import Clips
from vidworld.evaluation.bench import Bench
from vidworld.metrics.velocity import velocity_error
from vidworld.models.generative import GenerativeModel
from vidworld.models.world_model import WorldModel

STEPS = (1, 2, 4, 10)


def error_by_steps(
    bench: Bench, worlds: Sequence[GenerativeModel], clips: Clips, scenario: str, steps: Sequence[int] = STEPS
) -> dict[str, Any]:
    """A curve of the report: mean velocity error by pixels with its 95% interval, a line a world."""
    series = []
    for world in worlds:
        samplers = [GenerativeModel(world.network, world.name, count, world.shift) for count in steps]
        found = [mean_error(bench, sampler, clips) for sampler in samplers]
        line = {"label": world.name, "x": list(steps), "y": [each.value for each in found]}
        series.append(line | {"low": [each.low for each in found], "high": [each.high for each in found]})
    return {
        "name": f"Velocity error by evaluations of the network, {scenario}",
        "x_label": "evaluations a chunk",
        "y_label": "units/s",
        "series": series,
    }


def mean_error(bench: Bench, world: WorldModel, clips: Clips) -> Interval:
    """The world's velocity error by pixels over these clips, one future each."""
    truth = clips.tracks
    assert truth is not None
    frames = bench.decode(bench.roll_out(world, bench.encode(clips)).tokens[:, 0])
    errors = velocity_error(bench.by_pixels(frames, truth), truth, clips.dt_s, bench.context_frames)
    return interval(np.asarray(errors)[None], bounds=(0, np.inf))
