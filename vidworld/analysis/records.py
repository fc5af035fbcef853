"""What an evaluation leaves behind: each record is defined once here, written from it and read into it."""

import math
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from vidworld.core.errors import UserError
from vidworld.core.records import read_json

STRICT = ConfigDict(extra="forbid")

Number = Annotated[
    float,
    BeforeValidator(lambda x: math.nan if x is None else x),
    AfterValidator(lambda x: x if math.isfinite(x) else math.nan),
]
"""A measured number; NaN, which JSON writes as null, where nothing was measured."""


@plain_dataclass(frozen=True)
class RowKey:
    """What the values of one row have in common."""

    model: str
    readout: str | None
    task: str
    law: str
    split: str
    metric: str


@plain_dataclass(frozen=True)
class Value(RowKey):
    """One metric of one clip (or quadruplet): a line of per_clip.csv. There are many: they are not validated."""

    unit: str
    identity: str
    value: float
    seed: int


@dataclass(frozen=True, config=STRICT)
class Row:
    """One number of one model, with its interval and what it lies between."""

    model: str
    task: str
    law: str
    split: str
    metric: str
    value: Number
    low: Number
    high: Number
    n: int  # clips or quadruplets that count
    unit: str
    higher_is_better: bool | None  # None: the aim is the ceiling, and neither side of it is better
    floor: Number | None
    ceiling: Number | None
    seed: int | None  # of the training run; None over several
    readout: str | None
    headline: bool


@dataclass(frozen=True, config=STRICT)
class Model:
    label: str
    family: str  # what it is: `diffusion`, `jepa`, `regression`, or the kind of an external model
    spec: str  # what the configuration says: a run folder, or KIND:PATH


@dataclass(frozen=True, config=STRICT)
class Labels:
    """What each law says and each metric measures, in the order in which they are listed."""

    laws: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, config=STRICT)
class Results:
    """results.json: every number, and what the names in it mean."""

    schema: Literal[2]
    provenance: dict[str, Any]
    models: dict[str, Model]  # in the order of the configuration, which is that of columns and colours
    compare: tuple[tuple[str, str], ...]  # the pairs that are tested
    labels: Labels
    results: tuple[Row, ...]


@dataclass(frozen=True, config=STRICT)
class Verdict:
    """What the paired test says about one law and one pair of models."""

    law: str
    metric: str
    task: str
    first: str
    second: str
    statement: str
    better: str | None  # the better model's name; None where the data do not say
    p_value: Number  # Holm-corrected over the verdicts that stand beside this one
    difference: Number  # first less second
    low: Number
    high: Number
    n: int
    withheld: str | None = None  # why there is no verdict, where a control reaches the law's quadruplets
    other_forms: str = ""  # what other forms of surprise find, where that is something else
    runs: int = 1  # trainings of each of the two, the fewer; see `FAMILY_RUNS`
    scatter: tuple[Number, Number] = (math.nan, math.nan)  # standard deviation over runs, beyond what clips explain
    power: str = ""  # the same in words, with how many runs would show a difference; empty for one run
    solved: bool = False  # whether both models are at the ceiling: then who is better matters little


@dataclass(frozen=True, config=STRICT)
class Comparison:
    """comparison.json: what was held equal, what was not, and the verdicts. It is written last."""

    controlled: dict[str, bool] = Field(default_factory=dict)  # by pair, see `pair_name`
    differences: dict[str, list[str]] = Field(default_factory=dict)  # by pair: what keeps it from being controlled
    budgets: dict[str, dict[str, Any]] = Field(default_factory=dict)  # by model, of those that were trained here
    notes: list[str] = Field(default_factory=list)
    runs: int = 1  # trainings of each model, of which the verdicts speak, or of families; see `FAMILY_RUNS`
    verdicts: list[Verdict] = Field(default_factory=list)
    further_verdicts: list[Verdict] = Field(default_factory=list)
    tried: list[dict[str, Any]] = Field(default_factory=list)  # configurations that were tried on the way
    noise_levels: dict[str, list[float]] = Field(default_factory=dict)  # that a model's surprise is a mean over
    targets: dict[str, str] = Field(default_factory=dict)  # what a JEPA or regression model predicts
    inputs: str | None = None  # what all this was measured from: a folder with the same need not be measured again


def pair_name(first: str, second: str) -> str:
    """The key of a pair in comparison.json."""
    return f"{first} vs {second}"


@dataclass(frozen=True, config=STRICT)
class ShownRollout:
    """One clip as it was and as each model continued it: an MP4 a model."""

    task: str
    identity: str
    context_frames: Annotated[int, Field(ge=0)]
    fps: Annotated[float, Field(gt=0)]
    videos: dict[str, str]
    note: str | None = None


@dataclass(frozen=True, config=STRICT)
class SurprisePair:
    """Surprise per chunk of the horizon, for the possible and the impossible clip."""

    possible: list[Number]
    impossible: list[Number]


@dataclass(frozen=True, config=STRICT)
class Quadruplet:
    """A possible and an impossible clip of one quadruplet, frame by frame, and how much each surprised."""

    law: str
    identity: str
    frames: dict[Literal["possible", "impossible"], str]
    frames_per_chunk: Annotated[int, Field(ge=1)]
    chunk_start: Annotated[int, Field(ge=0)]
    surprise: dict[str, SurprisePair] = Field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True, config=STRICT)
class Series:
    """One line of a curve, in the colour of `model` where it belongs to one."""

    label: str
    x: list[float]
    y: list[Number]
    low: list[Number] | None = None
    high: list[Number] | None = None
    model: str | None = None


@dataclass(frozen=True, config=STRICT)
class Curve:
    name: str
    x_label: str
    y_label: str
    series: list[Series]
    note: str | None = None
    shaded: list[tuple[float, float]] = Field(default_factory=list)  # stretches of x: what was trained on


@dataclass(frozen=True, config=STRICT)
class Media:
    """media.json: what there is to look at. Paths are relative to the folder it lies in."""

    rollouts: list[ShownRollout] = Field(default_factory=list)
    quadruplets: list[Quadruplet] = Field(default_factory=list)
    curves: list[Curve] = Field(default_factory=list)
    generalisation: list[Curve] = Field(default_factory=list)  # error against what clips were drawn with


CALIBRATION_READOUTS = ("tracks", "pixels")
"""The positions themselves, and the positions located in pictures of them."""


@dataclass(frozen=True, config=STRICT)
class CalibrationRow:
    """One metric under one size of one injected error."""

    law: str
    metric: str
    readout: str
    fault: str
    size: float
    value: Number
    noise_floor: Number
    detection_limit: Number  # in the error's unit; NaN where no size tried leaves the floor
    low: Number
    high: Number
    n: int
    fault_unit: str
    unit: str
    task: str
    higher_is_better: bool | None
    monotone: Number  # Spearman's correlation of size and harm over all sizes: 1 where every larger error scores worse


@dataclass(frozen=True, config=STRICT)
class BaselineRow:
    """One metric of a model that needs no training, through the tracker."""

    model: str
    task: str
    law: str
    metric: str
    value: Number
    low: Number
    high: Number
    n: int
    unit: str


@dataclass(frozen=True, config=STRICT)
class Calibration:
    schema: Literal[3]
    provenance: dict[str, Any]
    results: list[CalibrationRow]
    baselines: list[BaselineRow]


@dataclass(frozen=True, config=STRICT)
class Bounds95:
    """A number and its 95% interval (percentiles of the bootstrap)."""

    value: Number
    low: Number
    high: Number


@dataclass(frozen=True, config=STRICT)
class ModelResults:
    """What the results of models begin with, beside those of physics."""

    schema: Literal[1]
    provenance: dict[str, Any]
    models: dict[str, Model]


RecordT = TypeVar("RecordT")


def read_as(kind: type[RecordT], path: Path) -> RecordT:
    """The record that a JSON file holds; UserError where it is missing, of another schema, or has a wrong field."""
    content = read_json(path)
    wanted = get_args(get_type_hints(kind).get("schema"))
    found = content.get("schema") if isinstance(content, dict) else None
    if wanted and found not in wanted:
        raise UserError(f"{path}: is of schema {found}, not {wanted[0]}; run the evaluation that wrote it again")
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        first, *rest = error.errors()
        where = ".".join(str(part) for part in first["loc"])
        more = f" (and {len(rest)} more)" if rest else ""
        said = f"{path}: {where + ': ' if where else ''}{first['msg']}{more}"
        raise UserError(f"{said}; run the evaluation that wrote it again") from error


def read_results(path: Path) -> Results:
    """What a results.json holds; UserError also where it has no row."""
    results = read_as(Results, path)
    if not results.results:
        raise UserError(f"{path}: has no results; run the evaluation that wrote it again")
    return results
