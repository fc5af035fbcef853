"""What the numbers of real video and of benchmarks mean; they are measured where their videos are continued."""

from vidworld.metrics import Metric, by_benchmark

ERROR = (0.0, float("inf"))


def _score(name: str, description: str, unit: str = "share") -> Metric:
    bounds = {"share": (0.0, 1.0), "percent": (0.0, 100.0)}[unit]
    return Metric(name, "", unit, True, by_benchmark, takes="benchmark", bounds=bounds, description=description)


def _error(
    name: str, description: str, unit: str = "share of the picture", bounds: tuple[float, float] | None = None
) -> Metric:
    return Metric(name, "", unit, False, by_benchmark, takes="benchmark", bounds=bounds, description=description)


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
PHYSICS_IQ_MSE = _error("physics_iq_mse", "Physics-IQ: pixel error.", "squared level")
PHYSICS_IQ_SCORE = _score(
    "physics_iq_score",
    "Physics-IQ's score: 100 where videos differ from the truth as two takes of a scene do.",
    "percent",
)
PHYSICS_IQ_VERIFIED_SCORE = _score("physics_iq_verified_score", "The same, as a mean over videos.", "percent")
PHYSICAL_INVARIANCE_SCORE = _score(
    "physical_invariance_score", "Morpheus: how well what moves most keeps its mechanical energy."
)
CONTACT_ACCURACY_SCORE = _score(
    "contact_accuracy_score", "Physion: a linear probe of what is predicted says whether red touches yellow."
)
PHYWORLD_ERROR = _error(
    "phyworld_error", "phyworld: error of velocity (of the parabola: of place) by its own parser.", "units/s", ERROR
)
RELATIVE_ACCURACY_SCORE = _score(
    "relative_accuracy_score", "Pairs whose possible video surprises less than the impossible one; a tie is wrong."
)
ABSOLUTE_ACCURACY_SCORE = _score("absolute_accuracy_score", "Videos on their side of one threshold of surprise.")
AUROC_SCORE = _score("auroc_score", "How well surprise separates impossible from possible videos.")
