"""The state of a training, whole however it is spread over processes, and the checkpoints that it goes on from."""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vidworld.core.errors import UserError
from vidworld.core.records import (
    clear_folder,
    file_digest,
    publish_folder,
    read_json,
    remove_folder,
    write_json,
    writing,
)
from vidworld.models.schema import KeepConfig, TrainConfig
from vidworld.training.finished import Sources, differing
from vidworld.training.optimiser import full_tensor, shard_like

MANIFEST = "manifest.json"
"""SHA-256 of every other file of a checkpoint; the last file that is written."""


@dataclass(frozen=True)
class State:
    """What a checkpoint holds: tensors (a file each for network, average, optimiser), and all else as JSON has it."""

    tensors: dict[str, dict[str, Tensor]]
    numbers: dict[str, Any]


def averages(network: nn.Module, ema: EMAModel) -> Iterator[tuple[str, Tensor]]:
    """The averaged parameters by name."""
    for (name, _), shadow in zip(network.named_parameters(), ema.shadow_params, strict=True):
        yield name, shadow


def state_of(
    network: nn.Module, ema: EMAModel, optimisers: Sequence[Optimizer], schedules: Sequence[LambdaLR]
) -> State:
    """A copy in main memory, so that the training may go on while it is written. All processes must call it."""
    kept = _of_optimisers(network, optimisers)
    optimiser = {f"{name}.{key}": value for name, _, state in kept for key, value in state.items()}
    tensors = {"network": network.state_dict(), "average": dict(averages(network, ema)), "optimiser": optimiser}
    copies = {
        file: {name: full_tensor(value.detach()).to("cpu", copy=True).contiguous() for name, value in of_file.items()}
        for file, of_file in tensors.items()
    }
    groups = [[{k: v for k, v in g.items() if k != "params"} for g in o.param_groups] for o in optimisers]
    states = [schedule.state_dict() for schedule in schedules]
    return State(copies, {"average_steps": ema.optimization_step, "groups": groups, "schedules": states})


@torch.no_grad()
def restore(
    state: State, network: nn.Module, ema: EMAModel, optimisers: Sequence[Optimizer], schedules: Sequence[LambdaLR]
) -> None:
    """Set everything to what `state_of` gave, on any number of processes. All processes must call it."""
    for name, value in network.state_dict().items():
        value.copy_(shard_like(state.tensors["network"][name], value))
    for name, shadow in averages(network, ema):
        shadow.copy_(shard_like(state.tensors["average"][name], shadow))
    ema.optimization_step = state.numbers["average_steps"]
    for name, parameter, kept in _of_optimisers(network, optimisers):
        for key, value in _under(state.tensors["optimiser"], name).items():
            # What has the parameter's shape is spread as it is; else it is a count of steps.
            kept[key] = shard_like(value, parameter) if value.ndim else value.to(parameter.device)
    for optimiser, groups in zip(optimisers, state.numbers["groups"], strict=True):
        for group, numbers in zip(optimiser.param_groups, groups, strict=True):
            group.update({k: tuple(v) if isinstance(v, list) else v for k, v in numbers.items()})
    for schedule, numbers in zip(schedules, state.numbers["schedules"], strict=True):
        schedule.load_state_dict(numbers)


def _of_optimisers(
    network: nn.Module, optimisers: Sequence[Optimizer]
) -> Iterator[tuple[str, Tensor, dict[str, Tensor]]]:
    """Each parameter that an optimiser moves: its name, itself, and what is kept of it."""
    names = {parameter: name for name, parameter in network.named_parameters()}
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                yield names[parameter], parameter, optimiser.state[parameter]


def _under(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.rpartition(".")[2]: value for key, value in tensors.items() if key.rpartition(".")[0] == name}


def checkpoints(run_folder: Path) -> list[tuple[int, Path]]:
    """Steps and folders of the run's checkpoints, the oldest first."""
    found = (run_folder / "checkpoints").glob("step_*")
    return sorted((int(path.name[5:]), path) for path in found if path.name[5:].isdecimal())


def save_checkpoint(run_folder: Path, step: int, state: State, keep: KeepConfig) -> None:
    """Write the state, then remove the checkpoints that need not stay.

    A kill or a refusal at any moment leaves the checkpoints that were there. Raises UserError: the system refuses.
    """
    final = run_folder / "checkpoints" / f"step_{step:08d}"
    temporary = final.with_name(f".{final.name}.part")
    with writing(final):
        try:
            clear_folder(temporary)
            for name, tensors in state.tensors.items():
                save_file(tensors, temporary / f"{name}.safetensors")
            write_json(temporary / "state.json", {"step": step, **state.numbers})
            write_json(temporary / MANIFEST, {path.name: file_digest(path) for path in temporary.iterdir()})
            publish_folder(temporary, final)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        for old in _outdated(checkpoints(run_folder), keep):
            remove_folder(old)


def newest_checkpoint(run_folder: Path) -> tuple[int, Path] | None:
    """The newest checkpoint that is whole; each newer one is named in a line and put out of the way.

    None where there was never one. Raises UserError: there are some, and none is whole.
    """
    found = checkpoints(run_folder)
    for leftover in (run_folder / "checkpoints").glob(".step_*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for step, path in reversed(found):
        fault = _fault(step, path)
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
    """What `save_checkpoint` wrote; nothing is unpickled. Raises UserError: a file is missing or cannot be read."""
    numbers = read_json(path / "state.json")
    try:
        return State({file.stem: load_file(file) for file in path.glob("*.safetensors")}, numbers)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove it to go on from the one before") from error


def state_to_resume(
    config: TrainConfig, accelerator: Accelerator, resume: bool, sources: Sources
) -> tuple[int, State | None]:
    """The step to go on from and what was saved at it: that which the main process finds whole.

    Raises UserError: it is of another configuration, or `resume` is asked for with nothing there.
    """
    found = newest_checkpoint(config.out) if accelerator.is_main_process else None
    (newest,) = broadcast_object_list([found])
    if newest is None:
        if resume:
            raise UserError(f"{config.out}: no checkpoint to resume from; leave out --resume to start a new run there")
        return 0, None
    step, path = newest
    state = load_checkpoint(path)
    if changed := differing(state.numbers, config, sources):
        raise UserError(
            f"{path}: is of another configuration: {', '.join(changed)}; choose another out=FOLDER, or the "
            "configuration in its config.yaml"
        )
    return step, state


@contextmanager
def fitting(run_folder: Path, step: int) -> Iterator[None]:
    """Turns what a state raises that is not of this training into one line that names its checkpoint."""
    try:
        yield
    except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        place = run_folder / "checkpoints" / f"step_{step:08d}"
        raise UserError(f"{place}: does not fit this run ({reason}); remove it to go on from the one before") from error


class CheckpointWriter:
    """Write checkpoints beside the training, one at a time."""

    def __init__(self, run_folder: Path, keep: KeepConfig) -> None:
        self.run_folder, self.keep = run_folder, keep
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def save(self, step: int, state: State) -> None:
        """Begin to write; wait for the one before where that is not done."""
        self.wait()
        self._writing = self._thread.submit(save_checkpoint, self.run_folder, step, state, self.keep)

    def wait(self, must: bool = False) -> None:
        """Wait until nothing is being written. What could not be written is said, and tried again next time.

        Raises UserError: the last checkpoint could not be written and `must` be.
        """
        done, self._writing = self._writing, None
        try:
            if done is not None:
                done.result()
        except UserError as error:
            if must:
                raise
            print(f"warning: {error}; training goes on without this checkpoint", flush=True)


def _fault(step: int, path: Path) -> str | None:
    """What is wrong with the files of a checkpoint; None where they are those that were written at this step."""
    try:
        manifest = read_json(path / MANIFEST)
        if not {"state.json", "network.safetensors"} <= manifest.keys():
            return f"{MANIFEST} does not name its files"
        for name, digest in manifest.items():
            if not (path / name).exists():
                return f"{name} is missing"
            if file_digest(path / name) != digest:
                return f"{name} is not what was written"
    except (UserError, OSError, AttributeError):
        return f"{MANIFEST} is missing or unreadable"
    return _fault_of_state(step, path / "state.json")


def _fault_of_state(step: int, path: Path) -> str | None:
    """Why a state is not this step's: the name of a folder alone is not believed."""
    try:
        numbers = read_json(path)
        if numbers["step"] != step:
            return f"{path.name} is of step {numbers['step']}"
        if "config" in numbers and step > (steps := numbers["config"]["steps"]):
            return f"{path.name} is of a run of {steps} steps"
    except (UserError, LookupError, TypeError):
        return f"{path.name} holds no state"
    return None


def _outdated(found: list[tuple[int, Path]], keep: KeepConfig) -> list[Path]:
    kept = {path for _, path in found[-keep.last :]}
    kept |= {path for step, path in found if keep.every and step % keep.every == 0}
    others = [path for _, path in found if path not in kept]
    if keep.best and others:
        kept |= set(sorted((path for _, path in found), key=_loss)[: keep.best])
    return [path for path in others if path not in kept]


def _loss(path: Path) -> float:
    """Mean loss since the checkpoint before; infinite where it is not known."""
    with suppress(UserError, AttributeError, TypeError, ValueError):
        if (loss := read_json(path / "state.json").get("loss")) is not None:
            return float(loss)
    return float("inf")
