"""What an evaluation has measured so far, part by part on disk, so that one that was stopped goes on where it was."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidworld.harness.bench import Value
from vidworld.harness.results import read_per_clip, write_per_clip
from vidworld.record import prepare_folder


@dataclass(frozen=True)
class Parts:
    """A folder of finished parts, all measured from the same sources."""

    folder: Path

    @staticmethod
    def of(out: Path, sources: Any) -> "Parts":
        """Those under OUT/parts that were measured from these sources (JSON); of others the folder has another name."""
        text = json.dumps(sources, sort_keys=True)
        return Parts(prepare_folder(out / "parts" / hashlib.sha256(text.encode()).hexdigest()[:12]))

    def measure(self, name: str, measured: Callable[[], Iterable[Value]]) -> None:
        """Writes the part of this name, unless it is there; a kill leaves it whole or not at all."""
        path = self.folder / f"{name}.csv"
        if not path.exists():
            write_per_clip(path, measured())

    def values(self, names: Iterable[str]) -> list[Value]:
        """The values of these parts, all of which were measured."""
        return [value for name in names for value in read_per_clip(self.folder / f"{name}.csv")]


def state_of(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of a file or of every file in a folder: what tells that it was changed."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return [(str(f.relative_to(path)), (stat := f.stat()).st_size, stat.st_mtime_ns) for f in files]
