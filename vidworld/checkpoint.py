"""What a training leaves on disk: checkpoints to go on from, and the finished model."""

import os
import shutil
from pathlib import Path
from typing import TypeVar

from accelerate import Accelerator
from diffusers.models.modeling_utils import ModelMixin

from vidworld.errors import UserError
from vidworld.record import prepare_folder, read_json, write_json, writing

M = TypeVar("M", bound=ModelMixin)

KEPT = 2
"""Checkpoints that stay: the newest, and the one before it in case the newest is broken."""


def checkpoints(run_folder: Path) -> list[tuple[int, Path]]:
    """Steps and folders of the run's checkpoints, the oldest first."""
    found = (run_folder / "checkpoints").glob("step_*")
    return sorted((int(path.name.removeprefix("step_")), path) for path in found if path.name[5:].isdigit())


def save_checkpoint(accelerator: Accelerator, run_folder: Path, step: int) -> None:
    """Writes all that `load_checkpoint` needs; a kill at any moment leaves the checkpoints that were there."""
    final = run_folder / "checkpoints" / f"step_{step:08d}"
    temporary = final.with_name(f".{final.name}.part")
    with writing(final):
        if accelerator.is_main_process:
            shutil.rmtree(temporary, ignore_errors=True)
            prepare_folder(temporary)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(temporary), safe_serialization=True)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            _publish(temporary, final)
            for _, old in checkpoints(run_folder)[:-KEPT]:
                shutil.rmtree(old)


def load_checkpoint(accelerator: Accelerator, run_folder: Path) -> int:
    """The step of the newest checkpoint that can be read, everything that is prepared or registered set to it.

    Raises:
        UserError: there is none.
    """
    for step, path in reversed(checkpoints(run_folder)):
        try:
            accelerator.load_state(str(path))
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            accelerator.print(f"{path}: cannot be read ({error}); trying the one before")
            continue
        return step
    raise UserError(
        f"{run_folder}: no checkpoint to resume from; leave out --resume to start a new run there"
    )


def save_model(model: ModelMixin, run_folder: Path, record: dict[str, object]) -> None:
    """Writes RUN/model (weights and their config) and RUN/model/budget.json, both or neither."""
    final = run_folder / "model"
    temporary = run_folder / ".model.part"
    with writing(final):
        shutil.rmtree(temporary, ignore_errors=True)
        prepare_folder(temporary)
        model.save_pretrained(str(temporary), safe_serialization=True)
        write_json(temporary / "budget.json", record)
        _publish(temporary, final)


def load_model(kind: type[M], run_folder: Path) -> M:
    """The finished model of a run folder, in evaluation mode.

    Raises:
        UserError: there is none, or it is of another kind.
    """
    folder = run_folder / "model"
    if not (folder / "config.json").exists():
        raise UserError(f"{run_folder}: no finished model there; train it first, or name another run folder")
    found = read_json(folder / "config.json").get("_class_name")
    if found != kind.__name__:
        raise UserError(
            f"{run_folder}: holds a model of kind {found}, where one of kind {kind.__name__} is needed"
        )
    try:
        model: M = kind.from_pretrained(str(folder), local_files_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{folder}: cannot be read ({reason}); train it again") from error
    return model.eval()


def read_budget(run_folder: Path) -> dict[str, object]:
    """What the finished model of a run folder cost, and from which tokenizer and configuration it came."""
    path = run_folder / "model" / "budget.json"
    if not path.exists():
        raise UserError(f"{run_folder}: no finished model there; train it first, or name another run folder")
    budget: dict[str, object] = read_json(path)
    return budget


def _publish(temporary: Path, final: Path) -> None:
    """Puts a finished folder in its place, in one step where nothing stood there."""
    if final.exists():
        old = final.with_name(f".{final.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
        temporary.rename(final)
        shutil.rmtree(old)
    else:
        temporary.rename(final)
    directory = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
