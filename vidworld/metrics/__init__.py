"""The metrics, one small module a law; `METRICS` is what the evaluation reads.

A new metric is a function, a `Metric` and its name here, or an entry point of another package.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float64
from numpy import ndarray

from vidworld.core.registry import Registry

PerClip = Float64[ndarray, " clip"]
"""One value a clip (a quad, for surprise); NaN where the metric does not apply to the clip."""


@dataclass(frozen=True)
class Metric:
    """One law's number, as the evaluation and the report know it: its function, its unit, and where it applies."""

    name: str
    law: str
    unit: str
    higher_is_better: bool | None
    """None: neither way is better by itself; the truth's value is the aim (a motion ratio of 1)."""
    function: Callable[..., PerClip]
    scenarios: tuple[str, ...] = ()
    """Scenarios where it can apply, that of its verdict first; empty for quadruplets, whose law names theirs."""
    takes: Literal["tracks", "samples", "surprise", "frames", "places", "benchmark"] = "tracks"
    """`tracks`: (predicted, truth, dt_s, start). `samples`: the same with a list of predicted tracks.
    `surprise`: (surprise) of shape (quad, past, future, chunk). `frames`: (frames, true frames). `places`: (places,
    places in the true frames, size of a pixel). `benchmark`: nothing, see `by_benchmark`."""
    headline: bool = False
    bounds: tuple[float, float] | None = None
    """The range that a mean over clips can have, where it has one; (0, inf) for counts."""
    ideal: float = 0.0
    """What the truth scores."""
    description: str = ""
    """What it measures, in a sentence for the page."""
    version: int = 1
    """Of another package's; for ours the registry says it."""


def by_benchmark(*arguments: object) -> PerClip:
    """The function of what is measured where its benchmark's videos are continued, by no function of tracks."""
    raise AssertionError("a benchmark's metric is measured in vidworld/evaluation")


_METRICS_OF = {
    "velocity": "velocity_error motion_ratio determinism_spread",
    "momentum": "momentum_drift energy_drift",
    "collision": "contact_time_error outgoing_velocity_error restitution_error interpenetration",
    "permanence": "reappearance reappearance_error reappearance_delay phantom_objects",
    "surprise": "surprise_accuracy surprise_accuracy_usual surprise_accuracy_within_quadruplet "
    "surprise_accuracy_maximum surprise_auroc",
    "reconstruction": "psnr centroid_error",
    "benchmarks": "position_error law_deviation added_deviation physics_iq_spatial_iou physics_iq_spatiotemporal_iou "
    "physics_iq_weighted_spatial_iou physics_iq_mse physics_iq_score physics_iq_verified_score "
    "physical_invariance_score contact_accuracy_score phyworld_error relative_accuracy_score absolute_accuracy_score "
    "auroc_score",
}
"""By module, in the order of tables; the `Metric` there has the same name in capitals."""

METRICS: Registry[Metric] = Registry(
    "metric",
    "vidworld.metrics",
    {
        name: f"vidworld.metrics.{module}:{name.upper()}"
        for module, names in _METRICS_OF.items()
        for name in names.split()
    },
)
