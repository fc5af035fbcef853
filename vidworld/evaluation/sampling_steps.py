"""What fewer evaluations of a network cost in physics: velocity error against the steps of sampling."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vidworld.analysis.statistics import Interval, interval
from vidworld.core.clip import Clips
from vidworld.evaluation.evaluator import Evaluator
from vidworld.metrics.velocity import velocity_error
from vidworld.models.dit import GenerativeModel
from vidworld.models.world_model import WorldModel

STEPS = (1, 2, 4, 10)


def error_by_steps(
    evaluator: Evaluator, models: Sequence[GenerativeModel], clips: Clips, scenario: str, steps: Sequence[int] = STEPS
) -> dict[str, Any]:
    """A curve of the report: mean velocity error by pixels with its 95% interval, a line a model."""
    series = []
    for model in models:
        samplers = [GenerativeModel(model.network, model.name, count, model.shift, model.levels) for count in steps]
        found = [mean_error(evaluator, sampler, clips) for sampler in samplers]
        line = {"label": model.name, "x": list(steps), "y": [each.value for each in found]}
        series.append(line | {"low": [each.low for each in found], "high": [each.high for each in found]})
    return {
        "name": f"Velocity error by evaluations of the network, {scenario}",
        "x_label": "evaluations a chunk",
        "y_label": "units/s",
        "series": series,
    }


def mean_error(evaluator: Evaluator, model: WorldModel, clips: Clips) -> Interval:
    """The model's velocity error by pixels over these clips, one future each."""
    truth = clips.tracks
    assert truth is not None
    frames = evaluator.decode(evaluator.roll_out(model, evaluator.encode(clips)).tokens[:, 0])
    errors = velocity_error(evaluator.by_pixels(frames, truth), truth, clips.dt_s, evaluator.context_frames)
    return interval(np.asarray(errors)[None], bounds=(0, np.inf))
