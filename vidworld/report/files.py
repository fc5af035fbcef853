"""What a run folder holds for its report: files checked on the way in, nothing else is read."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from vidworld.analysis.labels import STAGES
from vidworld.core.errors import UserError
from vidworld.core.records import read_json, read_jsonl

Number = Annotated[float | None, AfterValidator(lambda x: x if x is None or math.isfinite(x) else None)]
"""A measured number; None where it does not apply (null, NaN and infinities in the file)."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


_Kind = TypeVar("_Kind", bound=_Record)


class Row(_Record):
    """One number of one world: a line of `results.json`."""

    world: str
    task: str
    law: str
    split: str
    metric: str
    value: Number
    low: Number = None
    high: Number = None
    n: int
    unit: str | None = None
    higher_is_better: bool | None = None
    floor: Number = None
    ceiling: Number = None
    seed: int | None = None
    readout: str | None = None
    headline: bool = False


class Results(_Record):
    """`results.json`."""

    version: Literal[1] = Field(alias="schema")
    provenance: dict[str, Any] = {}
    results: list[Row] = Field(min_length=1)


class Verdict(_Record):
    """What the paired test says about one law. `contrast` names the difference: "jepa - diffusion"."""

    law: str
    statement: str
    better: str | None = None
    metric: str = "surprise_accuracy"
    task: str | None = None
    p_value: Number = None
    difference: Number = None
    low: Number = None
    high: Number = None
    contrast: str | None = None
    withheld: str | None = None
    other_forms: str = ""


class Comparison(_Record):
    """`comparison.json`: what was held equal, what was not, and the verdicts."""

    controlled: bool
    runs: int | None = None
    differences: list[str] = []
    budgets: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    tried: list[dict[str, Any]] = []
    verdicts: list[Verdict] = []
    further_verdicts: list[Verdict] = []
    jepa_target: str | None = None
    diffusion_level: float | None = None


class Rollout(_Record):
    """One clip as it was and as each world continued it: an MP4 a world."""

    task: str
    identity: str
    context_frames: int = Field(ge=0)
    fps: float = Field(gt=0)
    videos: dict[str, str]
    note: str | None = None


class SurprisePair(_Record):
    """Surprise per chunk of the horizon, for the possible and the impossible clip."""

    possible: list[Number]
    impossible: list[Number]


class Quad(_Record):
    """A possible and an impossible clip of one quad, as film strips, and how much each surprised."""

    law: str
    identity: str
    frames: dict[Literal["possible", "impossible"], str]
    frames_per_chunk: int = Field(ge=1)
    chunk_start: int = Field(ge=0)
    surprise: dict[str, SurprisePair] = {}
    note: str | None = None


class Series(_Record):
    """One line of a curve, in the colour of `world` where it belongs to one."""

    label: str
    x: list[float]
    y: list[Number]
    low: list[Number] | None = None
    high: list[Number] | None = None
    world: str | None = None


class Curve(_Record):
    """One measured curve: a quantity against a setting."""

    name: str
    x_label: str
    y_label: str
    series: list[Series]
    note: str | None = None
    shaded: list[tuple[float, float]] = []
    """Stretches of the setting to set off: what was trained on."""


class Media(_Record):
    """`media.json`: what there is to look at. Paths are relative to the folder it lies in."""

    rollouts: list[Rollout] = []
    quads: list[Quad] = []
    curves: list[Curve] = []
    generalisation: list[Curve] = []
    """Error against what clips were drawn with, the range trained on shaded."""


class Limit(_Record):
    """A line of `calibration.json`: from which size on a metric sees a fault that was planted."""

    law: str
    metric: str
    readout: str
    task: str
    fault: str
    fault_unit: str
    unit: str
    noise_floor: float
    detection_limit: Number = None
    n: int


class Calibration(_Record):
    """`calibration.json`."""

    version: Literal[1] = Field(alias="schema")
    results: list[Limit]


@dataclass(frozen=True)
class Stage:
    """One training run: what it was asked, where it ran, how it went."""

    name: str
    config: dict[str, Any]
    provenance: dict[str, Any]
    metrics: list[dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """Everything a report is made of."""

    name: str
    physics: Path
    results: Results
    comparison: Comparison
    media: Media
    stages: dict[str, Stage]
    calibration: list[Limit]
    """Empty where `make calibrate` was not run beside it."""


def read_run(folder: Path) -> Run:
    """The run in this folder.

    `physics/results.json` and `physics/comparison.json` are required; media and training runs may be absent, and so may
    `calibration/calibration.json` beside the folder.
    Raises: UserError that names the first file which is missing or not what it should be.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such run folder; make one with `make demo` or eval/run_physics.py")
    physics = folder / "physics"
    for name in ("results.json", "comparison.json"):
        if not (physics / name).is_file():
            raise UserError(f"{physics / name}: not there; eval/run_physics.py writes it")
    media, calibration = physics / "media.json", folder.parent / "calibration" / "calibration.json"
    return Run(
        name=folder.resolve().name,
        physics=physics,
        results=_record(Results, physics / "results.json"),
        comparison=_record(Comparison, physics / "comparison.json"),
        media=_record(Media, media) if media.is_file() else Media(),
        stages={name: _stage(folder / name) for name in STAGES if (folder / name).is_dir()},
        calibration=_record(Calibration, calibration).results if calibration.is_file() else [],
    )


def media_bytes(run: Run, path: str) -> bytes:
    """The content of a file that `media.json` names.

    Raises: UserError where it is missing, or lies outside the physics folder.
    """
    file = (run.physics / path).resolve()
    if not file.is_relative_to(run.physics.resolve()):
        raise UserError(f"{run.physics / 'media.json'}: {path!r} lies outside {run.physics}")
    if not file.is_file():
        raise UserError(f"{run.physics / 'media.json'}: names {path!r}, which is not there")
    return file.read_bytes()


def _record(kind: type[_Kind], file: Path) -> _Kind:
    try:
        return kind.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first, *rest = error.errors()
        where = ".".join(str(part) for part in first["loc"])
        more = f" (and {len(rest)} more)" if rest else ""
        raise UserError(f"{file}: {where + ': ' if where else ''}{first['msg']}{more}") from None


def _stage(folder: Path) -> Stage:
    config, provenance, metrics = (folder / n for n in ("config.yaml", "provenance.json", "metrics.jsonl"))
    return Stage(
        name=folder.name,
        config=_mapping(config, _read_yaml(config)) if config.is_file() else {},
        provenance=_mapping(provenance, read_json(provenance)) if provenance.is_file() else {},
        metrics=read_jsonl(metrics) if metrics.is_file() else [],
    )


def _read_yaml(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file}: is not YAML ({str(error).splitlines()[0]})") from None


def _mapping(file: Path, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UserError(f"{file}: should hold names with values, holds a {type(content).__name__}")
    return content
