"""The metrics, one small module a law; `METRICS` is what the evaluation reads.

A new law is one short file with functions and a `METRICS` tuple, and its line here.
"""

from vidworld.metrics import collision, momentum, permanence, reconstruction, surprise, velocity
from vidworld.metrics.metric import Metric, PerClip

MODULES = (velocity, momentum, collision, permanence, surprise, reconstruction)
METRICS: dict[str, Metric] = {metric.name: metric for module in MODULES for metric in module.METRICS}

__all__ = ["METRICS", "Metric", "PerClip"]
