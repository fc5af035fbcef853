"""What a metric is: one function, its unit, which way is better, and where it applies."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float64
from numpy import ndarray

PerClip = Float64[ndarray, " clip"]
"""One value a clip (a quadruplet, for surprise); NaN where the metric does not apply to the clip."""


@dataclass(frozen=True)
class Metric:
    """One law's number, as the evaluation and the report know it."""

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


def by_benchmark(*arguments: object) -> PerClip:
    """The function of what is measured where its benchmark's videos are continued, by no function of tracks."""
    raise AssertionError("a benchmark's metric is measured in vidworld/evaluation")
