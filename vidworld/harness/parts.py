"""The parts of an evaluation: each is measured whole by one process, and kept on disk until all of them are.

So an evaluation that was stopped goes on where it was, and gives the same numbers on any number of processes: what is
computed together is the same everywhere.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from tqdm import tqdm

from vidworld import __version__
from vidworld.adapters.protocol import AdaptedWorld
from vidworld.adapters.registry import parse
from vidworld.harness.bench import Value
from vidworld.harness.results import read_per_clip, write_per_clip
from vidworld.record import prepare_folder


@dataclass(frozen=True)
class Part:
    """A few clips or quads of one task, to be measured together."""

    path: Path
    """Where its values are kept."""
    measured: Callable[[], Iterable[Value]]


def parts_folder(out: Path, sources: Any) -> Path:
    """The folder under OUT/parts for what is measured from these sources (JSON); of others it has another name."""
    text = json.dumps([__version__, sources], sort_keys=True)
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


def origin(text: str, world: AdaptedWorld) -> Any:
    """What tells that a world of others, named by [NAME=]KIND:PATH, is another one than before: its files' states."""
    spec = parse(text)
    path = Path(inspect.getfile(type(world.model)) if spec.kind == "python" else spec.path)
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    states = [(str(f.relative_to(path)), (stat := f.stat()).st_size, stat.st_mtime_ns) for f in files]
    return [spec, states]
