"""What the numbers of real video and of benchmarks mean; they are measured where their videos are continued."""

from vidworld.metrics.metric import Metric, by_benchmark

SHARE = (0.0, 1.0)
PERCENT = (0.0, 100.0)
ERROR: tuple[float, float] = (0.0, float("inf"))


def _metric(
    name: str, unit: str, higher_is_better: bool, bounds: tuple[float, float] | None, description: str
) -> Metric:
    return Metric(
        name, "", unit, higher_is_better, by_benchmark, takes="benchmark", bounds=bounds, description=description
    )


PICTURES = "share of the picture"
POSITION_ERROR = _metric(
    "position_error",
    PICTURES,
    False,
    ERROR,
    "Real video: how far from the truth things are, in pictures; what is missing is penalised by 0.41.",
)
LAW_DEVIATION = _metric(
    "law_deviation",
    PICTURES,
    False,
    None,
    "Real video: how far the path lies from the law of what happens; the truth has a deviation too.",
)
ADDED_DEVIATION = _metric(
    "added_deviation", PICTURES, False, None, "Real video: what a model adds to the truth's own deviation from the law."
)
PHYSICS_IQ_SPATIAL = _metric("physics_iq_spatial_iou", "share", True, SHARE, "Physics-IQ: where something moves.")
PHYSICS_IQ_SPATIOTEMPORAL = _metric(
    "physics_iq_spatiotemporal_iou", "share", True, SHARE, "Physics-IQ: where and when something moves."
)
PHYSICS_IQ_WEIGHTED = _metric(
    "physics_iq_weighted_spatial_iou", "share", True, SHARE, "Physics-IQ: where and how much moves."
)
PHYSICS_IQ_MSE = _metric("physics_iq_mse", "squared level", False, None, "Physics-IQ: pixel error.")
PHYSICS_IQ_SCORE = _metric(
    "physics_iq_score",
    "percent",
    True,
    PERCENT,
    "Physics-IQ's score: 100 where videos differ from the truth as two takes of a scene do.",
)
PHYSICS_IQ_VERIFIED_SCORE = _metric(
    "physics_iq_verified_score", "percent", True, PERCENT, "The same, as a mean over videos."
)
INVARIANCE = _metric(
    "physical_invariance_score", "share", True, SHARE, "Morpheus: how well what moves most keeps its mechanical energy."
)
CONTACT_ACCURACY = _metric(
    "contact_accuracy_score",
    "share",
    True,
    SHARE,
    "Physion: a linear probe of what is predicted says whether red touches yellow.",
)
PHYWORLD_ERROR = _metric(
    "phyworld_error",
    "units/s",
    False,
    ERROR,
    "phyworld: error of velocity (of the parabola: of place) by its own parser.",
)
RELATIVE_ACCURACY = _metric(
    "relative_accuracy_score",
    "share",
    True,
    SHARE,
    "Pairs whose possible video surprises less than the impossible one; a tie is wrong.",
)
ABSOLUTE_ACCURACY = _metric(
    "absolute_accuracy_score", "share", True, SHARE, "Videos on their side of one threshold of surprise."
)
AUROC_SCORE = _metric(
    "auroc_score", "share", True, SHARE, "How well surprise separates impossible from possible videos."
)
