"""The metrics, by the laws that they measure; `METRICS` is what the evaluation reads.

A new metric is a function, a `Metric` of it (`metric_of`) and its name here, or an entry point of another package.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float64
from numpy import ndarray

from vidworld.core.registry import Registry

PerClip = Float64[ndarray, " clip"]  # one value a clip (a quad, for surprise); NaN where the metric does not apply


@dataclass(frozen=True)
class Metric:
    """One law's number, as the evaluation and the report know it: its function, its unit, and where it applies."""

    name: str
    law: str
    unit: str
    higher_is_better: bool | None  # None: neither way by itself; the truth's value is the aim (a motion ratio of 1)
    function: Callable[..., PerClip]
    scenarios: tuple[str, ...] = ()  # where it can apply, that of its verdict first; of quadruplets the law names them
    takes: Literal["tracks", "samples", "pictures", "surprise", "frames", "places", "worlds", "benchmark"] = "tracks"
    """`tracks`: (predicted, truth, dt_s, start). `samples`: the same with a list of predicted tracks, one or more.
    `pictures`: the `Pictures` of vidworld/metrics/appearance.py, predicted ones and true ones with their tracks.
    `surprise`: (surprise) of shape (quad, past, future, chunk). `frames`: (frames, true frames). `places`: (places,
    places in the true frames, size of a pixel). `worlds`: (predicted, truth, dt_s, start), each tracks of a scene as it
    is and with one thing changed (vidworld/metrics/interventions.py). `benchmark`: nothing, see `by_benchmark`."""
    headline: bool = False
    bounds: tuple[float, float] | None = None  # of a mean over clips, where it has some; (0, inf) for counts
    ideal: float = 0.0  # what the truth scores
    description: str = ""  # what it measures, in a sentence for the page
    version: int = 1  # of another package's; for ours the registry says it

    def __call__(self, *given: Any, **named: Any) -> PerClip:
        return self.function(*given, **named)


def metric_of(
    law: str, unit: str, description: str, higher_is_better: bool | None = False, **more: Any
) -> Callable[[Callable[..., PerClip]], Metric]:
    """A decorator that makes a function the metric of its name; `more` are other fields of a `Metric`."""
    given = {"description": description, **more}
    return lambda function: Metric(function.__name__, law, unit, higher_is_better, function, **given)


def by_benchmark(*arguments: object) -> PerClip:
    """The function of what is measured where its benchmark's videos are continued, by no function of tracks."""
    raise AssertionError("a benchmark's metric is measured in vidworld/evaluation")


_METRICS_OF = {
    "velocity": "velocity_error motion_ratio momentum_drift energy_drift",
    "samples": "energy_score error_of_mean best_of_n_error determinism_spread",
    "collision": "contact_time_error outgoing_velocity_error restitution_error interpenetration",
    "permanence": "reappearance reappearance_error reappearance_delay phantom_objects",
    "appearance": "object_integrity static_scene_error hidden_visible",
    "surprise": "surprise_accuracy surprise_accuracy_usual surprise_accuracy_within_quadruplet "
    "surprise_accuracy_maximum surprise_auroc",
    "reconstruction": "psnr centroid_error",
    "interventions": "effect_error passed_on_error unaffected_drift chain_reach chain_order chain_time_error",
    "hidden": "implied_rank outcome_rank property_error implied_spread",
    "benchmarks": "POSITION_ERROR LAW_DEVIATION ADDED_DEVIATION PHYSICS_IQ_SPATIAL_IOU PHYSICS_IQ_SPATIOTEMPORAL_IOU "
    "PHYSICS_IQ_WEIGHTED_SPATIAL_IOU PHYSICS_IQ_MSE PHYSICS_IQ_SCORE PHYSICS_IQ_VERIFIED_SCORE "
    "PHYSICAL_INVARIANCE_SCORE CONTACT_ACCURACY_SCORE PHYWORLD_ERROR RELATIVE_ACCURACY_SCORE ABSOLUTE_ACCURACY_SCORE "
    "AUROC_SCORE",
}
"""By module, in the order of tables, where the `Metric` stands; in small letters it is the metric's name."""

METRICS: Registry[Metric] = Registry(
    "metric",
    "vidworld.metrics",
    {
        place.lower(): f"vidworld.metrics.{module}:{place}"
        for module, places in _METRICS_OF.items()
        for place in places.split()
    },
    versions={
        "determinism_spread": 2,  # of found objects only, in units
        **dict.fromkeys(("implied_rank", "outcome_rank", "property_error"), 2),  # where the truth is legible
    },
    of="vidworld.metrics:Metric",
)
