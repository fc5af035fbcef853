"""Files that are never half written, what produced a result, and fingerprints of what things were made of."""

import csv
import errno
import hashlib
import io
import json
import math
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from vidworld import __version__
from vidworld.core.errors import UserError

PACKAGES = (
    "torch", "accelerate", "diffusers", "transformers", "datasets", "decord", "av", "numpy", "scipy", "safetensors",
)  # fmt: skip
"""The packages whose version can change a number."""


# --- files -------------------------------------------------------------------------------------------------


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system refuses (no space, no permission) into one line that names the path."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path}: cannot be written ({reason}); free or choose another place") from error


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Turns a place of temporary files that is full into one line that says for what there is no room."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        full = f"{tempfile.gettempdir()}: has no room for {what}"
        raise UserError(f"{full}; free some, or name another place with TMPDIR") from error


def prepare_folder(path: Path) -> Path:
    """The folder, made where it is missing; UserError where nothing can be written in it."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe.{os.getpid()}"
        probe.touch()
        probe.unlink(missing_ok=True)  # a process of the same number on another machine may have been faster
    return path


def write_text(path: Path, text: str) -> None:
    """Write the whole file or leave what was there, whenever the process is killed.

    Half of a surrogate pair, which UTF-8 cannot hold, is written as JSON says it: `\\ud800`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path):
        try:
            with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write valid JSON as `write_text` does; NaN and infinity become null, arrays lists."""
    write_text(path, json.dumps(plain(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def write_csv(path: Path, kind: type, rows: Iterable[Any]) -> None:
    """Writes the names of the dataclass's fields and a line for each of its instances as `write_text` does."""
    names = [field.name for field in fields(kind)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *([getattr(row, name) for name in names] for row in rows)])
    write_text(path, text.getvalue())


def append(path: Path, data: bytes) -> None:
    """Adds all of it to the file, or nothing where it is refused."""
    with writing(path), path.open("ab", buffering=0) as file:
        size = file.tell()
        if file.write(data) < len(data):  # what was left of a disk that is full now
            file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def append_jsonl(path: Path, row: Mapping[str, Any]) -> None:
    append(path, as_line(row))


def as_line(row: Mapping[str, Any]) -> bytes:
    """A line of JSON; NaN and infinity become null, half of a surrogate pair is written as `write_text` does."""
    return (json.dumps(plain(row), allow_nan=False, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def read_json(path: Path) -> Any:
    """The value of a JSON file; UserError where there is no such file, or it is not JSON."""
    text = _read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not JSON ({error})") from error


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; a last line that a kill cut off (it has no end) is not one.

    Raises: UserError where there is no such file, or a whole line of it is not a JSON object.
    """
    rows = []
    for number, line in enumerate(_read_text(path).split("\n")[:-1], start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise UserError(f"{path}: line {number} is not a JSON object; mend it or take the line out")
        rows.append(row)
    return rows


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # somebody's editor may have begun it with a byte-order mark
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not text in UTF-8") from error


def plain(value: Any) -> Any:
    """The same in what JSON has; a non-finite number is None."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):  # a tensor, or an array or number of numpy
        return plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


# --- folders that are whole or not there ------------------------------------------------------------------


def clear_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    prepare_folder(folder)


def remove_folder(folder: Path) -> None:
    """Takes a folder away in one step, then its files."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def publish_folder(temporary: Path, final: Path) -> None:
    """Puts a finished folder in its place, its files on the disk before their names are."""
    for path in temporary.iterdir():
        _flush(path)
    old = final.with_name(f".{final.name}.old")
    if final.exists():
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
    temporary.rename(final)
    _flush(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    """Returns when what was written to a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- provenance --------------------------------------------------------------------------------------------


DIGITS = 12
"""Hexadecimal: among a million different things, any two share a fingerprint with a chance of one in 500."""


def fingerprint(*things: Any) -> str:
    """Twelve hexadecimal digits of SHA-256 over values that JSON has, whatever the order of keys.

    A path or a time of modification belongs in none: the same content elsewhere is the same. What JSON does not have
    (a path, a tensor) is a TypeError, a number that is not finite a ValueError.
    """
    return hashlib.sha256(_canonical(things)).hexdigest()[:DIGITS]


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":")).encode()


class ListFingerprint:
    """The `fingerprint` of a list of values that are added one after another and not kept."""

    def __init__(self) -> None:
        self._hash, self._between = hashlib.sha256(b"[["), b""

    def add(self, values: Iterable[Any]) -> None:
        """TypeError and ValueError as `fingerprint`."""
        for value in values:
            self._hash.update(self._between + _canonical(value))
            self._between = b","

    def __str__(self) -> str:
        whole = self._hash.copy()
        whole.update(b"]]")
        return whole.hexdigest()[:DIGITS]


def provenance(seed: int, command: Sequence[str] | None = None) -> dict[str, Any]:
    """What produced a result: code, packages, machine, seed, command (that of this process by default), time.

    `commit` and `dirty` are None where vidworld does not run from a git checkout.
    """
    import torch

    from vidworld.core.hardware import precision

    commit, dirty = _checkout()
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    return {
        "commit": commit,
        "dirty": dirty,
        "versions": {"vidworld": __version__} | {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device.type,
        "auto_precision": precision(),
        "device_name": torch.cuda.get_device_name() if device.type == "cuda" else None,
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "seed": seed,
        "command": shlex.join(sys.argv if command is None else command),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _checkout() -> tuple[str | None, bool | None]:
    """The commit of the checkout that this file is tracked in, and whether anything but results/ differs from it."""
    here = Path(__file__).resolve()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        # A virtual environment may lie in somebody else's checkout: only one that tracks this file counts.
        git("ls-files", "--error-unmatch", here.name)
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", ":/", ":(top,exclude)results"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
