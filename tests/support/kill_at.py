"""A script in a process that is killed at a moment named by what the process is doing, not by the clock.

The process reports events as lines of text, each with the thing it happens to:

    rename FROM TO, renamed FROM TO      before and after a file or folder moves
    write FILE                           half of what is written at once is on disk
    load FILE                            tensors are about to be read
    flush FILE, remove PATH              about to be done
    video FILE                           an empty video is there
    forward CLASS                        a torch module is about to be called
    backward                             gradients of half of the network are there
    optimiser begins CLASS, optimiser ends CLASS
    average                              the EMA model is about to follow
    the names of FUNCTIONS               the function is about to be called
"""

import builtins
import importlib
import io
import multiprocessing
import os
import re
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from typing import Any, NamedTuple

FUNCTIONS = {"clips": "vidworld.simulation.simulated.render_scenes"}
"""Functions of the package that no library call gives away, by the name of their event."""
PRELOADED = (
    "accelerate",
    "av",
    "diffusers.models.modeling_utils",
    "diffusers.training_utils",
    "safetensors.torch",
    "scipy.optimize",
    "torch.utils.flop_counter",
)
"""What scripts import for seconds: imported once, in the process that the others are forked from."""
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(list(PRELOADED))


@dataclass(frozen=True)
class Moment:
    """Where a process dies: at the last of these events, each of which must follow the one before."""

    name: str
    events: Sequence[str]
    """Patterns of the shell's kind."""


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    """The exit code; negative: the signal that ended it."""
    output: str
    """At its end "killed at NAME" where it died at the moment."""


def run_until(moment: Moment, line: Sequence[str], environment: dict[str, str], log: Path) -> Ended:
    """Run a command line (the interpreter, a script, its arguments) until the moment, or to its end."""
    process = PROCESSES.Process(target=_run, args=(moment, line[1:], environment, log))
    process.start()
    process.join(timeout=300)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    assert code is not None, f"{moment.name}: the process hangs\n{log.read_text()}"
    return Ended(code, log.read_text())


def _run(moment: Moment, line: Sequence[str], environment: dict[str, str], log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.update(environment)
    kill = _Kill(moment)
    _watch_files(kill)
    _watch_libraries(kill)
    for event, function in FUNCTIONS.items():
        module, _, name = function.rpartition(".")
        _replace(importlib.import_module(module), name, kill, lambda *_, event=event, **__: event)
    # A kill drops what lies in a buffer.
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    sys.argv = list(line)
    runpy.run_path(line[0], run_name="__main__")


class _Kill:
    """What is still to happen before the moment."""

    def __init__(self, moment: Moment) -> None:
        self.name = moment.name
        self._awaited = [re.compile(translate(pattern)) for pattern in moment.events]
        self._lock = threading.RLock()

    def awaits(self, event: str) -> bool:
        """Whether the event is the next one of the moment's."""
        with self._lock:
            return bool(self._awaited and self._awaited[0].match(event))

    def is_at(self, event: str) -> bool:
        """Whether this event, which happens now, is the moment."""
        with self._lock:
            if not self.awaits(event):
                return False
            self._awaited.pop(0)
            return not self._awaited

    def happens(self, event: str) -> None:
        """Die where this event is the moment."""
        if self.is_at(event):
            self.die()

    def die(self) -> None:
        """End the process as a lost machine would: at once, with nothing tidied up."""
        os.write(1, f"killed at {self.name}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)


def _replace(
    owner: Any, name: str, kill: _Kill, before: Callable[..., str], after: Callable[..., str] | None = None
) -> None:
    """Report an event before a function, and another after it."""
    function = getattr(owner, name)

    def reporting(*arguments: Any, **options: Any) -> Any:
        kill.happens(before(*arguments, **options))
        result = function(*arguments, **options)
        if after is not None:
            kill.happens(after(*arguments, **options))
        return result

    setattr(owner, name, reporting)


def _path(file: Any, folder: int | None = None) -> str:
    """The path of a file, of an open file, or of a name in an open folder (Linux knows those of open ones)."""
    if isinstance(file, int):
        return str(Path(f"/proc/self/fd/{file}").readlink())
    path = os.fsdecode(file)
    return path if folder in (None, -1) else f"{_path(folder)}/{path}"


# --- files -------------------------------------------------------------------------------------------------


def _watch_files(kill: _Kill) -> None:
    for name in ("rename", "replace"):
        _replace(
            os,
            name,
            kill,
            lambda source, target: f"rename {_path(source)} {_path(target)}",
            lambda source, target: f"renamed {_path(source)} {_path(target)}",
        )
    _replace(os, "fsync", kill, lambda file: f"flush {_path(file)}")
    for name in ("unlink", "rmdir"):
        _replace(os, name, kill, lambda path, *, dir_fd=None: f"remove {_path(path, dir_fd)}")
    opened = io.open

    def reporting(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        result = opened(file, mode, *arguments, **options)
        if mode[0] in "wax" and kill.awaits(event := f"write {_path(file)}"):
            return _InHalves(result, lambda: kill.happens(event))
        return result

    io.open = builtins.open = reporting


class _InHalves:
    """A file that is written in two halves each time."""

    def __init__(self, file: Any, half_done: Callable[[], None]) -> None:
        self._file, self._half_done = file, half_done

    def write(self, data: Any) -> int:
        """Write all, as the file itself would."""
        half = len(data) // 2
        count = self._file.write(data[:half])
        self._file.flush()
        self._half_done()
        return count + self._file.write(data[half:])

    def __enter__(self) -> "_InHalves":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


# --- libraries ---------------------------------------------------------------------------------------------


def _watch_libraries(kill: _Kill) -> None:
    import av
    import safetensors.torch
    import torch
    from diffusers.training_utils import EMAModel
    from torch.nn.modules.module import register_module_forward_pre_hook
    from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    register_module_forward_pre_hook(lambda module, _: kill.happens(f"forward {type(module).__name__}"))
    for register, word in ((register_optimizer_step_pre_hook, "begins"), (register_optimizer_step_post_hook, "ends")):
        register(lambda optimiser, *_, word=word: kill.happens(f"optimiser {word} {type(optimiser).__name__}"))
    _replace(EMAModel, "step", kill, lambda *_: "average")
    _replace(safetensors.torch, "safe_open", kill, lambda path, *_, **__: f"load {_path(path)}")
    serialise, propagate, opened = safetensors.torch.serialize_file, torch.Tensor.backward, av.open

    def cut_off(tensors: Any, path: Any, *arguments: Any, **options: Any) -> None:
        serialise(tensors, path, *arguments, **options)
        if kill.is_at(f"write {_path(path)}"):
            os.truncate(path, Path(path).stat().st_size // 2)
            kill.die()

    def backward(loss: torch.Tensor, *arguments: Any, **options: Any) -> None:
        if kill.is_at("backward"):
            nodes = [loss.grad_fn]
            while further := [node for node, _ in nodes[-1].next_functions if node is not None]:
                nodes.append(further[0])
            nodes[len(nodes) // 2].register_prehook(lambda _: kill.die())
        propagate(loss, *arguments, **options)

    def video(path: Any, *arguments: Any, **options: Any) -> Any:
        result = opened(path, *arguments, **options)
        kill.happens(f"video {_path(path)}")
        return result

    safetensors.torch.serialize_file, torch.Tensor.backward, av.open = cut_off, backward, video
