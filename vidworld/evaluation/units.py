"""Work units of an evaluation: each is measured whole by one process, and kept on disk with what it was made from.

So an evaluation that was stopped goes on where it was, and gives the same numbers on any number of processes: what is
computed together is the same everywhere. A unit that was made from something else is measured again; one of which a
metric has another version is measured again for that metric alone.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from tqdm import tqdm

from vidworld.analysis.records import Value
from vidworld.core.errors import UserError
from vidworld.core.records import read_json, write_json

Measure = Callable[[], Iterable[Value]]


@dataclass(frozen=True)
class Unit:
    """A few clips or quadruplets of one task, measured together for one subject."""

    folder: Path
    batch: str
    """Which clips: units of one batch are measured by one process, after one another."""
    subject: str
    made_from: str
    """The fingerprint of all that its values depend on but the metrics."""
    metrics: Mapping[str, int]
    """The version of each metric that may apply."""
    measure: Measure
    """Gives the values; those of metrics that are not stale are passed over."""

    @property
    def path(self) -> Path:
        """The file that its values are kept in."""
        return self.folder / f"{self.batch}.{self.subject}.json"

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What the file holds, where that was made from the same."""
        try:
            kept = read_json(self.path)
            if kept["made_from"] == self.made_from:
                return dict(kept)
        except (UserError, KeyError, TypeError):  # not there, or no file of ours
            pass
        return {"metrics": {}, "values": []}

    @property
    def stale(self) -> set[str]:
        """The metrics whose values are not there, or are of something else."""
        return {name for name, version in self.metrics.items() if self.kept["metrics"].get(name) != version}

    def update(self) -> None:
        """Measure what is stale and keep the rest; a kill leaves the file as it was or as it is to be."""
        stale = self.stale
        if not stale:
            return
        values = [value for value in self.values() if value.metric in self.metrics.keys() - stale]
        values += [value for value in self.measure() if value.metric in stale]
        rows = [list(astuple(value)) for value in values]
        write_json(self.path, {"made_from": self.made_from, "metrics": dict(self.metrics), "values": rows})
        del self.__dict__["kept"]

    def values(self) -> list[Value]:
        """What was measured."""
        cells = [dict(zip(Value.__dataclass_fields__, row, strict=True)) for row in self.kept["values"]]
        return [
            Value(**row | {"value": math.nan if row["value"] is None else row["value"]})
            for row in cells
            if row["metric"] in self.metrics
        ]


def measure(units: Sequence[Unit], accelerator: Accelerator, name: str) -> list[Value]:
    """The values of the units, of which the processes measure what is stale, each its share; all wait for all."""
    batches = list(dict.fromkeys(unit.batch for unit in units))
    mine = set(batches[accelerator.process_index :: accelerator.num_processes])
    pending = [unit for unit in units if unit.batch in mine and unit.stale]
    for unit in tqdm(pending, name, unit="unit", disable=None if accelerator.is_main_process else True):
        unit.update()
    accelerator.wait_for_everyone()
    for unit in units:
        unit.__dict__.pop("kept", None)
    return [value for unit in units for value in unit.values()]
