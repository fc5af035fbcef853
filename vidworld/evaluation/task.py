"""What an evaluation is made of: tasks, which turn models and a configuration into work units, and these units.

A unit is measured whole by one process, and kept on disk with what it was made from. So an evaluation that was stopped
goes on where it was, and gives the same numbers on any number of processes: what is computed together is the same
everywhere. A unit that was made from something else is measured again; one of which a metric has another version is
measured again for that metric alone.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from vidworld.analysis.records import Value
from vidworld.core.counter_rng import public
from vidworld.core.errors import UserError
from vidworld.core.hardware import precision
from vidworld.core.records import fingerprint, read_json, write_json
from vidworld.evaluation import TASKS
from vidworld.evaluation.evaluator import Evaluator, ModelFailure, Subject, tools_of
from vidworld.evaluation.presentation import PRESENTATION_VERSION, clip_seed
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.metrics import METRICS, Metric, PerClip
from vidworld.models.external.foreign import first_line
from vidworld.simulation import LAWS, NUISANCE_VERSION, SIMULATOR_VERSION
from vidworld.simulation.simulated import SimulatedClips
from vidworld.video.real import RealClips

Measure = Callable[[], Iterable[Value]]
TaskPlace = tuple[str, str, int]  # task, split and seed of values
SCALE = 2  # pixels of the report's videos and strips of frames for each of a clip; the page enlarges videos further


@dataclass(frozen=True)
class Unit:
    """A few clips or quadruplets of one task, measured together for one subject."""

    folder: Path
    batch: str  # which clips: units of one batch are measured by one process, after one another
    subject: str
    made_from: str  # the fingerprint of all that its values depend on but the metrics
    metrics: Mapping[str, int]  # the version of each metric that may apply
    measure: Measure  # gives the values; those of metrics that are not stale are passed over

    @property
    def path(self) -> Path:
        """The file that its values are kept in."""
        return self.folder / f"{self.batch}.{self.subject}.json"

    @property
    def kept(self) -> tuple[dict[str, int], list[Value]]:
        """The versions of metrics and the values that the file holds, where that is whole and made from the same."""
        try:
            found = read_json(self.path)
            values = [_value(*row) for row in found["values"]]
            if found["made_from"] == self.made_from and found.get("count", len(values)) == len(values):
                return dict(found["metrics"]), values
        except (UserError, AttributeError, KeyError, TypeError, ValueError):  # not there, or no file of ours
            pass
        return {}, []

    @property
    def stale(self) -> set[str]:
        """The metrics whose values are not there, or are of something else."""
        kept, _ = self.kept
        return {name for name, version in self.metrics.items() if kept.get(name) != version}

    def update(self) -> None:
        """Measure what is stale and keep the rest; a kill leaves the file as it was or as it is to be."""
        stale = self.stale
        if not stale:
            return
        values = [value for value in self.values() if value.metric in self.metrics.keys() - stale]
        values += [value for value in self.measure() if value.metric in stale]
        rows = [list(astuple(value)) for value in values]
        record = {"made_from": self.made_from, "metrics": dict(self.metrics), "count": len(rows), "values": rows}
        write_json(self.path, record)

    def values(self) -> list[Value]:
        """What was measured."""
        return [value for value in self.kept[1] if value.metric in self.metrics]


def _value(*row: Any) -> Value:
    """A row of a unit's file. Raises TypeError, ValueError: it is none."""
    *before, value, seed = row
    return Value(*(*before, math.nan if value is None else float(value), seed))


@runtime_checkable
class WorkUnit(Protocol):
    """What one process measures whole, and keeps on disk."""

    @property
    def batch(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def stale(self) -> object:
        """False, or empty, where nothing is to be measured."""

    def update(self) -> None: ...
    def values(self) -> Sequence[Any]: ...


class Outcome(NamedTuple):
    values: list[Any]  # of the subjects that did not fail
    failures: dict[str, str]  # by `who_fails`, a line; what was measured of it is kept, and no part of the values


def measure(units: Sequence[WorkUnit], accelerator: Accelerator, name: str) -> Outcome:
    """The values of the units, of which the processes measure what is stale, each its share; all wait for all.

    A subject that fails is not measured any further where it failed; the others are.
    """
    batches = list(dict.fromkeys(unit.batch for unit in units))
    mine = set(batches[accelerator.process_index :: accelerator.num_processes])
    pending = [unit for unit in units if unit.batch in mine and unit.stale]
    failures: dict[str, str] = {}
    for unit in tqdm(pending, name, unit="unit", disable=None if accelerator.is_main_process else True):
        if who_fails(unit) not in failures:
            try:
                unit.update()
            except ModelFailure as failure:
                place = getattr(unit, "place", "")
                failures[who_fails(unit)] = f"{failure} (in {place})" if place else str(failure)
    accelerator.wait_for_everyone()
    if accelerator.num_processes > 1:  # each knows what failed in any
        failures = dict(pair for each in gather_object([failures]) for pair in each.items())
    return Outcome([v for unit in units if who_fails(unit) not in failures for v in unit.values()], failures)


def who_fails(unit: WorkUnit) -> str:
    """The subject, and where it fails, if the unit says so: it may do elsewhere."""
    place = getattr(unit, "place", "")
    return f"{unit.subject} in {place}" if place else unit.subject


# --- tasks: functions that turn models and a configuration into work units ---


def settings_of(config: PhysicsConfig) -> dict[str, Any]:
    """What the values of simulated clips and of benchmarks depend on, whichever model they are of."""
    shown = {"presentation": PRESENTATION_VERSION, "shape": vars(config.shape), "context_frames": config.context_frames}
    drawn = {"seed": public(str(clip_seed(config))), "precision": precision(config.mixed_precision)}
    return {"tools": tools_of(config), **shown, **drawn}


def simulated_clips(config: PhysicsConfig, scenario: str, split: str) -> SimulatedClips:
    """The clips of a scenario under one of the configuration's conditions, whose name their identities have."""
    drawn, shape, _, count = config.conditions[split]
    return SimulatedClips(scenario, drawn, clip_seed(config), count, shape, nuisance=config.nuisance, called=split)


@dataclass(frozen=True)
class Setup:
    """What a task makes its units of."""

    config: PhysicsConfig
    evaluator: Evaluator
    subjects: Sequence[Subject]
    real: RealClips | None
    folder: Path  # where units are kept

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What the values of every unit depend on, whichever model they are of."""
        nuisance = [self.config.nuisance, NUISANCE_VERSION]
        return settings_of(self.config) | {"simulator": SIMULATOR_VERSION, "nuisance": nuisance}

    def without(self, failures: Iterable[str]) -> "Setup":
        """The same without these models, and what the configuration says of them."""
        gone = set(failures)
        subjects = [subject for subject in self.subjects if subject.name not in gone]
        return replace(self, config=self.config.without(gone), subjects=subjects)

    @property
    def laws(self) -> list[str]:
        named = self.config.laws
        return [law for law in LAWS if not LAWS[law].legacy] if named == "all" else list(named)

    def metrics(self, *inputs: str) -> list[Metric]:
        """The metrics that are measured and take one of these inputs."""
        chosen = METRICS if self.config.metrics == "all" else self.config.metrics
        return [metric for name in chosen if (metric := METRICS[name]).takes in inputs]

    def clips(self, scenario: str, split: str) -> SimulatedClips:
        """The clips of a scenario under the condition of this name (`conditions` of the configuration)."""
        return simulated_clips(self.config, scenario, split)

    def evaluator_of(self, split: str) -> Evaluator:
        """What they are measured with, whose context is that condition's."""
        return replace(self.evaluator, context_frames=self.config.conditions[split].context_frames)

    def unit(
        self, batch: str, subject: Subject | None, depends_on: object, metrics: Iterable[Metric], measure: Measure
    ) -> Unit:
        """The unit of a batch of clips and a subject.

        subject: None for the references, measured once for all models: the truth, and what the tokenizer keeps of it.
        depends_on: what its values depend on beside settings and subject: versions of task, scenario or law.
        """
        return Unit(
            self.folder,
            batch,
            "references" if subject is None else subject.name,
            fingerprint(self.settings, depends_on, None if subject is None else subject.made_from),
            {metric.name: METRICS.version(metric.name) for metric in metrics},
            measure,
        )


@dataclass(frozen=True)
class Task:
    """What models are measured by."""

    units: Callable[[Setup], Iterator[Unit]]
    shown: Callable[[Setup, Path], dict[str, list[dict[str, Any]]]] = field(default=lambda setup, folder: {})
    """What the report shows of it, after writing pictures and videos below the folder: a part of media.json."""
    version: int = 1  # of another package's; its units say it in what they depend on, too


@dataclass(frozen=True)
class Case:
    """What values that are measured together have in common."""

    model: str
    readout: str | None
    task: str
    split: str
    seed: int

    def values(
        self, metric: Metric, identities: Sequence[str], numbers: Sequence[float], law: str | None = None
    ) -> Iterator[Value]:
        """A value for each clip that the metric applies to: a finite number."""
        for identity, number in zip(identities, numbers, strict=True):
            if math.isfinite(number):
                place = (self.model, self.readout, self.task, metric.law if law is None else law, self.split)
                yield Value(*place, metric.name, metric.unit, identity, float(number), self.seed)


def applied(metric: Metric, count: int, *given: Any) -> PerClip:
    """What a metric says of so many clips. Raises UserError: one of another package fails, or gives something else."""
    if metric.name in METRICS.builtin:
        return metric.function(*given)
    try:
        numbers = np.asarray(metric.function(*given), dtype=np.float64)
        wrong = (
            "" if numbers.shape == (count,) else f"gave numbers of shape {numbers.shape}, where ({count},) is wanted"
        )
    except Exception as error:  # of somebody else's function
        wrong = f"failed with {first_line(error)}"
    if wrong:
        raise UserError(f"metric {metric.name}: {wrong}; mend it and start again: what was measured is kept")
    return numbers


def units_of_tasks(names: Iterable[str], setup: Setup) -> Iterator[Unit]:
    """The units of tasks. Raises UserError: a task of another package fails, or gives something else."""
    for name in names:
        try:
            units = list(TASKS[name].units(setup))
            wrong = next((f"gave a {type(unit).__name__}" for unit in units if not isinstance(unit, Unit)), "")
        except Exception as error:
            if name in TASKS.builtin or isinstance(error, UserError):
                raise
            wrong = f"failed with {first_line(error)}"
        if wrong:
            raise UserError(f"task {name}: {wrong}; it must give work units (docs/adding.md)")
        yield from units


def media_name(identity: str) -> str:
    """What the files that show a clip or quadruplet begin with."""
    return re.sub(r"[^\w.-]", "_", identity)


def pieces(count: int, most: int) -> list[range]:
    """The numbers up to `count` in pieces of at most so many, which are equal to one number or so."""
    size = -(-count // max(1, -(-count // most))) or 1
    return [range(start, min(start + size, count)) for start in range(0, count, size)]
