"""What the numbers of real video and of benchmarks mean; they are measured where their videos are continued."""

from functools import partial
from typing import Any

from vidworld.metrics import Metric, by_benchmark

ERROR = (0.0, float("inf"))


def _score(name: str, description: str, unit: str = "share", higher_is_better: bool = True, **more: Any) -> Metric:
    more = {"takes": "benchmark", "bounds": (0.0, 1.0), "description": description} | more
    return Metric(name, "", unit, higher_is_better, by_benchmark, **more)


_percent = partial(_score, unit="percent", bounds=(0.0, 100.0))
_error = partial(_score, unit="share of the picture", higher_is_better=False, bounds=None)
POSITION_ERROR = _error(
    "position_error",
    "Real video: how far from the truth things are, in pictures; what is missing is penalised by 0.41.",
    bounds=ERROR,
)
LAW_DEVIATION = _error(
    "law_deviation", "Real video: how far the path lies from the law of what happens; the truth has a deviation too."
)
ADDED_DEVIATION = _error("added_deviation", "Real video: what a model adds to the truth's own deviation from the law.")
PHYSICS_IQ_SPATIAL_IOU = _score("physics_iq_spatial_iou", "Physics-IQ: where something moves.")
PHYSICS_IQ_SPATIOTEMPORAL_IOU = _score("physics_iq_spatiotemporal_iou", "Physics-IQ: where and when something moves.")
PHYSICS_IQ_WEIGHTED_SPATIAL_IOU = _score("physics_iq_weighted_spatial_iou", "Physics-IQ: where and how much moves.")
PHYSICS_IQ_MSE = _error("physics_iq_mse", "Physics-IQ: pixel error.", unit="squared level")
PHYSICS_IQ_SCORE = _percent(
    "physics_iq_score", "Physics-IQ's score: 100 where videos differ from the truth as two takes of a scene do."
)
PHYSICS_IQ_VERIFIED_SCORE = _percent("physics_iq_verified_score", "The same, as a mean over videos.")
PHYSICAL_INVARIANCE_SCORE = _score(
    "physical_invariance_score", "Morpheus: how well what moves most keeps its mechanical energy."
)
CONTACT_ACCURACY_SCORE = _score(
    "contact_accuracy_score", "Physion: a linear probe of what is predicted says whether red touches yellow."
)
PHYWORLD_ERROR = _error(
    "phyworld_error", "phyworld: error of velocity (of the parabola: of place) by its own parser.",
    unit="units/s", bounds=ERROR,
)  # fmt: skip
RELATIVE_ACCURACY_SCORE = _score(
    "relative_accuracy_score", "Pairs whose possible video surprises less than the impossible one; a tie is wrong."
)
ABSOLUTE_ACCURACY_SCORE = _score("absolute_accuracy_score", "Videos on their side of one threshold of surprise.")
AUROC_SCORE = _score("auroc_score", "How well surprise separates impossible from possible videos.")
