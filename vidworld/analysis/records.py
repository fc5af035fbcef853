"""What was measured: one value a clip, and one row over clips."""

from dataclasses import dataclass

READOUTS = ("tracks", "pixels")
"""The positions themselves, and the positions located in pictures of them."""
FUTURE_ONLY = ("blind", "static_scene", "count_only")


@dataclass(frozen=True)
class Value:
    """One metric of one clip (or quad): a line of the per-clip table."""

    world: str
    readout: str | None
    task: str
    law: str
    split: str
    metric: str
    unit: str
    identity: str
    value: float
    seed: int


@dataclass(frozen=True)
class Row:
    """One number of one world, with its interval and what it lies between."""

    world: str
    task: str
    law: str
    split: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    """Clips or quads that count."""
    unit: str
    higher_is_better: bool | None
    """None: the aim is the ceiling, and neither side of it is better."""
    floor: float | None
    ceiling: float | None
    seed: int | None
    """Of the training run; None over several."""
    readout: str | None
    headline: bool


@dataclass(frozen=True)
class CalibrationRow:
    """One metric under one size of one fault."""

    law: str
    metric: str
    readout: str
    fault: str
    size: float
    value: float
    noise_floor: float
    detection_limit: float
    """In the fault's unit; NaN where no size tried leaves the floor."""
    low: float
    high: float
    n: int
    fault_unit: str
    unit: str
    task: str
    higher_is_better: bool | None
    monotone: float
    """Spearman's correlation of size and harm over all sizes: 1 where every larger fault scores worse."""


@dataclass(frozen=True)
class BaselineRow:
    """One metric of a world that needs no training, through the pixel read-out."""

    world: str
    task: str
    law: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    unit: str


@dataclass(frozen=True)
class ControlRow:
    """One form of surprise under one scorer."""

    law: str
    scorer: str
    form: str
    aggregation: str
    value: float
    low: float
    high: float
    n: int
