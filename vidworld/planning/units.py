"""Work units of planning: a few rows (of episodes, checks or videos) that one process makes and keeps in one file.

They go through `measure` of evaluation/task.py, as all work units do.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vidworld.core.errors import UserError
from vidworld.core.records import read_json, write_json
from vidworld.evaluation.task import media_name


@dataclass(frozen=True)
class PlanningUnit:
    """Rows of one agent that are made together."""

    folder: Path
    batch: str
    """Units of one batch are made by one process, after one another."""
    subject: str
    """The agent."""
    made_from: str
    """The fingerprint of all that the rows depend on."""
    kind: type
    """The dataclass of its rows."""
    measure: Callable[[], Sequence[Any]]
    place: str = ""
    """The environment: a subject that fails there is measured in others."""
    needs: Callable[[Any], Path | None] = lambda row: None
    """A file that belongs to a row: without it the row is made again."""

    @property
    def path(self) -> Path:
        return self.folder / f"{media_name(self.batch)}.{self.subject}.json"

    @property
    def stale(self) -> bool:
        """Whether its rows are not there, or are of something else."""
        return self._kept is None

    def update(self) -> None:
        """Make what is stale; a kill leaves the file as it was or as it is to be."""
        if self.stale:
            rows = [asdict(row) for row in self.measure()]
            write_json(self.path, {"made_from": self.made_from, "count": len(rows), "rows": rows})

    def values(self) -> list[Any]:
        """What was made."""
        return self._kept or []

    @property
    def _kept(self) -> list[Any] | None:
        try:
            kept = read_json(self.path)
            if kept["made_from"] != self.made_from:
                return None
            # What was no number is null in the file.
            given = [{key: math.nan if value is None else value for key, value in row.items()} for row in kept["rows"]]
            rows = [self.kind(**row) for row in given]
            if kept.get("count", len(rows)) != len(rows):
                return None
        except (UserError, KeyError, TypeError, ValueError):  # not there, or no file of ours
            return None
        files = [self.needs(row) for row in rows]
        return rows if all(file is None or file.exists() for file in files) else None
