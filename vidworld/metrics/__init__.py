"""The metrics, one small module a law; `METRICS` is what the evaluation reads.

A new metric is a function, a `Metric` and its line here, or an entry point of another package.
"""

from vidworld.core.registry import Registry
from vidworld.metrics.metric import Metric, PerClip

METRICS: Registry[Metric] = Registry(
    "metric",
    "vidworld.metrics",
    {
        "velocity_error": "vidworld.metrics.velocity:VELOCITY_ERROR",
        "motion_ratio": "vidworld.metrics.velocity:MOTION_RATIO",
        "determinism_spread": "vidworld.metrics.velocity:DETERMINISM_SPREAD",
        "momentum_drift": "vidworld.metrics.momentum:MOMENTUM_DRIFT",
        "energy_drift": "vidworld.metrics.momentum:ENERGY_DRIFT",
        "contact_time_error": "vidworld.metrics.collision:CONTACT_TIME_ERROR",
        "outgoing_velocity_error": "vidworld.metrics.collision:OUTGOING_VELOCITY_ERROR",
        "restitution_error": "vidworld.metrics.collision:RESTITUTION_ERROR",
        "interpenetration": "vidworld.metrics.collision:INTERPENETRATION",
        "reappearance": "vidworld.metrics.permanence:REAPPEARANCE",
        "reappearance_error": "vidworld.metrics.permanence:REAPPEARANCE_ERROR",
        "reappearance_delay": "vidworld.metrics.permanence:REAPPEARANCE_DELAY",
        "phantom_objects": "vidworld.metrics.permanence:PHANTOM_OBJECTS",
        "surprise_accuracy": "vidworld.metrics.surprise:ACCURACY",
        "surprise_accuracy_usual": "vidworld.metrics.surprise:ACCURACY_USUAL",
        "surprise_accuracy_within_quadruplet": "vidworld.metrics.surprise:ACCURACY_WITHIN_QUADRUPLET",
        "surprise_accuracy_maximum": "vidworld.metrics.surprise:ACCURACY_MAXIMUM",
        "surprise_auroc": "vidworld.metrics.surprise:AUROC",
        "psnr": "vidworld.metrics.reconstruction:PSNR",
        "centroid_error": "vidworld.metrics.reconstruction:CENTROID_ERROR",
        "position_error": "vidworld.metrics.benchmarks:POSITION_ERROR",
        "law_deviation": "vidworld.metrics.benchmarks:LAW_DEVIATION",
        "added_deviation": "vidworld.metrics.benchmarks:ADDED_DEVIATION",
        "physics_iq_spatial_iou": "vidworld.metrics.benchmarks:PHYSICS_IQ_SPATIAL",
        "physics_iq_spatiotemporal_iou": "vidworld.metrics.benchmarks:PHYSICS_IQ_SPATIOTEMPORAL",
        "physics_iq_weighted_spatial_iou": "vidworld.metrics.benchmarks:PHYSICS_IQ_WEIGHTED",
        "physics_iq_mse": "vidworld.metrics.benchmarks:PHYSICS_IQ_MSE",
        "physics_iq_score": "vidworld.metrics.benchmarks:PHYSICS_IQ_SCORE",
        "physics_iq_verified_score": "vidworld.metrics.benchmarks:PHYSICS_IQ_VERIFIED_SCORE",
        "physical_invariance_score": "vidworld.metrics.benchmarks:INVARIANCE",
        "contact_accuracy_score": "vidworld.metrics.benchmarks:CONTACT_ACCURACY",
        "phyworld_error": "vidworld.metrics.benchmarks:PHYWORLD_ERROR",
        "relative_accuracy_score": "vidworld.metrics.benchmarks:RELATIVE_ACCURACY",
        "absolute_accuracy_score": "vidworld.metrics.benchmarks:ABSOLUTE_ACCURACY",
        "auroc_score": "vidworld.metrics.benchmarks:AUROC_SCORE",
    },
)

__all__ = ["METRICS", "Metric", "PerClip"]
