"""What a training leaves on disk: checkpoints to go on from, and the finished model."""

import hashlib
import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from vidworld.errors import UserError
from vidworld.finished import FORMAT, read_budget
from vidworld.record import prepare_folder, read_json, write_json, writing
from vidworld.schema import KeepConfig
from vidworld.state import State

M = TypeVar("M", bound=ModelMixin)

MANIFEST = "manifest.json"
"""SHA-256 of every other file of a checkpoint; the last file that is written."""


# --- checkpoints -------------------------------------------------------------------------------------------


def checkpoints(run_folder: Path) -> list[tuple[int, Path]]:
    """Steps and folders of the run's checkpoints, the oldest first."""
    found = (run_folder / "checkpoints").glob("step_*")
    return sorted((int(path.name.removeprefix("step_")), path) for path in found if path.name[5:].isdigit())


def save_checkpoint(run_folder: Path, step: int, state: State, keep: KeepConfig) -> None:
    """Writes the state, then removes the checkpoints that need not stay.

    A kill or a refusal at any moment leaves the checkpoints that were there.

    Raises:
        UserError: the system refuses to write it.
    """
    final = run_folder / "checkpoints" / f"step_{step:08d}"
    temporary = final.with_name(f".{final.name}.part")
    with writing(final):
        try:
            _clear(temporary)
            for name, tensors in state.tensors.items():
                save_file(tensors, temporary / f"{name}.safetensors")
            write_json(temporary / "state.json", {"step": step, **state.numbers})
            write_json(temporary / MANIFEST, {path.name: _digest(path) for path in temporary.iterdir()})
            _publish(temporary, final)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        for old in _outdated(checkpoints(run_folder), keep):
            _remove(old)


def newest_checkpoint(run_folder: Path) -> tuple[int, Path] | None:
    """The newest checkpoint that is whole; each newer one is named in a line and put out of the way.

    None where there was never one.

    Raises:
        UserError: there are some, and none is whole.
    """
    found = checkpoints(run_folder)
    for leftover in (run_folder / "checkpoints").glob(".step_*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for step, path in reversed(found):
        fault = _fault(path)
        if fault is None:
            return step, path
        print(f"{path}: {fault}; set aside, going back to the checkpoint before it", flush=True)
        aside = path.with_name(f"broken_{path.name}")
        with writing(aside):
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
    if found:
        raise UserError(
            f"{run_folder}: none of its checkpoints is whole; they are kept as checkpoints/broken_*, and started "
            "again without --resume the run begins anew"
        )
    return None


def load_checkpoint(path: Path) -> State:
    """What `save_checkpoint` wrote; nothing is unpickled.

    Raises:
        UserError: a file of it is missing or not what it should be.
    """
    numbers: dict[str, Any] = read_json(path / "state.json")
    try:
        return State({file.stem: load_file(file) for file in path.glob("*.safetensors")}, numbers)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); remove it to go on from the one before"
        ) from error


class CheckpointWriter:
    """Saves beside the training, one checkpoint at a time."""

    def __init__(self, run_folder: Path, keep: KeepConfig) -> None:
        self.run_folder, self.keep = run_folder, keep
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def save(self, step: int, state: State) -> None:
        """Begins to write; waits for the one before where that is not done."""
        self.wait()
        self._writing = self._thread.submit(save_checkpoint, self.run_folder, step, state, self.keep)

    def wait(self, must: bool = False) -> None:
        """Returns when nothing is being written. What could not be written is said, and tried again next time.

        Raises:
            UserError: the last checkpoint could not be written and `must` be.
        """
        done, self._writing = self._writing, None
        try:
            if done is not None:
                done.result()
        except UserError as error:
            if must:
                raise
            print(f"warning: {error}; training goes on without this checkpoint", flush=True)


def _fault(path: Path) -> str | None:
    """What is wrong with the files of a checkpoint; None where they are those that were written."""
    try:
        manifest = read_json(path / MANIFEST)
        for name, digest in manifest.items():
            if not (path / name).exists():
                return f"{name} is missing"
            if _digest(path / name) != digest:
                return f"{name} is not what was written"
    except (UserError, OSError, AttributeError):
        return f"{MANIFEST} is missing or unreadable"
    return None


def _outdated(found: list[tuple[int, Path]], keep: KeepConfig) -> list[Path]:
    """The checkpoints that no rule keeps."""
    kept = {path for _, path in found[-keep.last :]}
    kept |= {path for step, path in found if keep.every and step % keep.every == 0}
    others = [path for _, path in found if path not in kept]
    if keep.best and others:
        losses = {path: _loss(path) for _, path in found}
        kept |= set(sorted(losses, key=lambda path: losses[path])[: keep.best])
    return [path for path in others if path not in kept]


def _loss(path: Path) -> float:
    """Mean loss since the checkpoint before; infinite where it is not known."""
    try:
        loss = read_json(path / "state.json").get("loss")
    except UserError:
        loss = None
    return float("inf") if loss is None else float(loss)


# --- the finished model ------------------------------------------------------------------------------------


def save_model(model: ModelMixin, run_folder: Path, record: dict[str, object]) -> None:
    """Writes RUN/model (weights and their config) and RUN/model/budget.json, both or neither."""
    final = run_folder / "model"
    temporary = run_folder / ".model.part"
    with writing(final):
        try:
            _clear(temporary)
            model.save_pretrained(str(temporary), safe_serialization=True)
            identity = {"format": FORMAT, "fingerprint": fingerprint_of(model)}
            write_json(temporary / "budget.json", record | identity)
            _publish(temporary, final)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def load_model(kind: type[M], run_folder: Path) -> M:
    """The finished model of a run folder, in evaluation mode; safetensors only, nothing is unpickled.

    Raises:
        UserError: there is none, or it is of another kind or format.
    """
    read_budget(run_folder)
    folder = run_folder / "model"
    found = read_json(folder / "config.json").get("_class_name")
    if found != kind.__name__:
        raise UserError(
            f"{run_folder}: holds a model of kind {found}, where one of kind {kind.__name__} is needed"
        )
    try:
        model: M = kind.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{folder}: cannot be read ({reason}); train it again") from error
    return model.eval()


def fingerprint_of(network: nn.Module) -> str:
    """Twelve hexadecimal digits that differ when any weight of the network differs."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


# --- folders that are whole or not there -------------------------------------------------------------------


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    prepare_folder(folder)


def _remove(folder: Path) -> None:
    """Takes a folder away in one step, then its files."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def _publish(temporary: Path, final: Path) -> None:
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


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
