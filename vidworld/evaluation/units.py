"""The parts of an evaluation: each is measured whole by one process, and kept on disk.

So an evaluation that was stopped goes on where it was, and gives the same numbers on any number of processes: what is
computed together is the same everywhere.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from tqdm import tqdm

from vidworld.analysis.records import Value
from vidworld.analysis.results import read_per_clip, write_per_clip
from vidworld.core.records import prepare_folder, states_of

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Part:
    """A few clips or quads of one task, to be measured together."""

    path: Path
    """Where its values are kept."""
    measured: Callable[[], Iterable[Value]]


def parts_folder(out: Path, sources: Any) -> Path:
    """The folder under OUT/parts for what is measured from these sources (JSON) by this very code.

    Of other sources, or after a change of the code, it has another name.
    """
    code = [state for state in states_of(PACKAGE) if state[0].endswith(".py")]
    text = json.dumps([code, sources], sort_keys=True)
    return prepare_folder(out / "parts" / hashlib.sha256(text.encode()).hexdigest()[:12])


def measure(parts: Sequence[Part], accelerator: Accelerator, name: str) -> None:
    """Measures the parts that are not there yet, shared by the processes; returns when all are.

    A kill leaves each of them whole or not at all.
    """
    mine = parts[accelerator.process_index :: accelerator.num_processes]
    for part in tqdm(mine, name, unit="part", disable=None if accelerator.is_main_process else True):
        if not part.path.exists():
            write_per_clip(part.path, part.measured())
    accelerator.wait_for_everyone()


def values_of(parts: Iterable[Part]) -> list[Value]:
    """The values of these parts, all of which were measured."""
    return [value for part in parts for value in read_per_clip(part.path)]


def few(count: int, most: int) -> list[range]:
    """The numbers up to `count` in pieces of at most so many, which are equal to one number or so."""
    size = -(-count // max(1, -(-count // most))) or 1
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def forget(out: Path) -> None:
    """Removes all parts, where what was made of them says the same."""
    shutil.rmtree(out / "parts", ignore_errors=True)
