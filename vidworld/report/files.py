"""What a run folder holds for its report: files checked on the way in, nothing else is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidworld.analysis.records import Calibration, CalibrationRow, Comparison, Media, Results, read_as, read_results
from vidworld.core.errors import UserError
from vidworld.core.records import read_json, read_jsonl


@dataclass(frozen=True)
class TrainingRun:
    """One training run: where it ran, how it went."""

    name: str
    provenance: dict[str, Any]
    metrics: list[dict[str, Any]]


@dataclass(frozen=True)
class RunFolder:
    """Everything a report is made of."""

    name: str
    physics: Path
    results: Results
    comparison: Comparison
    media: Media
    trainings: dict[str, TrainingRun]
    """In the order in which they were started."""
    calibration: list[CalibrationRow]
    """Empty where `make calibrate` was not run beside it."""


def read_run(folder: Path) -> RunFolder:
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
    runs = {path.parent for path in folder.glob("*/heartbeat.json")}
    runs |= {path.parent.parent for path in folder.glob("*/model/budget.json")}
    trainings = sorted(map(_training, runs), key=lambda run: (str(run.provenance.get("started")), run.name))
    return RunFolder(
        name=folder.resolve().name,
        physics=physics,
        results=read_results(physics / "results.json"),
        comparison=read_as(Comparison, physics / "comparison.json"),
        media=read_as(Media, media) if media.is_file() else Media(),
        trainings={run.name: run for run in trainings},
        calibration=read_as(Calibration, calibration).results if calibration.is_file() else [],
    )


def media_bytes(run: RunFolder, path: str) -> bytes:
    """The content of a file that `media.json` names; UserError where it is missing or outside `physics`."""
    file = (run.physics / path).resolve()
    if not file.is_relative_to(run.physics.resolve()):
        raise UserError(f"{run.physics / 'media.json'}: {path!r} lies outside {run.physics}")
    if not file.is_file():
        raise UserError(f"{run.physics / 'media.json'}: names {path!r}, which is not there")
    return file.read_bytes()


def _training(folder: Path) -> TrainingRun:
    file, metrics = folder / "provenance.json", folder / "metrics.jsonl"
    provenance = read_json(file) if file.is_file() else {}
    if not isinstance(provenance, dict):
        raise UserError(f"{file}: should hold names with values, holds a {type(provenance).__name__}")
    return TrainingRun(folder.name, provenance, read_jsonl(metrics) if metrics.is_file() else [])
