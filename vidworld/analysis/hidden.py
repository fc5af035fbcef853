"""What an evaluation of hidden properties leaves behind: hidden.json."""

from pydantic.dataclasses import dataclass

from vidworld.analysis.records import STRICT, ModelResults, Number, Row

WITHOUT_MEMORY = "oracle_without_memory"
"""A physicist who sees how discs move, and takes all for elastic and of the mass of their size."""


@dataclass(frozen=True, config=STRICT)
class PropertyProbe:
    """What a ridge reads of the property from a model's state after one chunk, on clips that it was not fitted to."""

    model: str
    task: str
    split: str
    chunk: int
    frames: int
    """Frames that the model has seen then."""
    revealed: float
    """The share of the clips in which the reveal lies within them."""
    tested: float
    """That in which the test does."""
    r2: Number
    r2_low: Number
    r2_high: Number
    rank: Number
    """Share of pairs of clips in the right order; one half is chance."""
    rank_low: Number
    rank_high: Number
    covered: Number
    """Share of clips whose truth is within the 90% interval."""
    width: Number
    """Of that interval, over the one that knows nothing but the distribution."""
    n: int


@dataclass(frozen=True, config=STRICT)
class HiddenResults(ModelResults):
    """hidden.json: rows of rollouts from before and after the reveal (`split`), and readings of probes."""

    rows: list[Row]
    probes: list[PropertyProbe]
    contexts: dict[str, int]
    """Frames of context of each split."""
    failures: list[str]
