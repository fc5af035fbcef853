"""Checks that cannot hurt each other: each in a process of its own, for a limited time, whatever happens in it."""

import math
import multiprocessing
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

Status = Literal["passed", "failed", "skipped"]
# spawn, as a process that is forked cannot use a CUDA device that the first one has touched
PROCESSES = multiprocessing.get_context("spawn")
MAX_GRACE_S = 10.0
"""How long a check that is over its limit may take to end its own processes."""


@dataclass(frozen=True)
class Setup:
    """What all checks of one run share."""

    folder: Path
    """Where trainings go."""
    logs: Path
    """Where each check's output goes."""
    cpu: bool = False
    small: bool = False
    """Networks and clips of a size that a CPU finishes in seconds."""
    steps: int = 50
    """Of each training."""
    patience: float = 1.0
    """How many times its limit each check may take."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of every check's process, set before anything heavy is imported."""


@dataclass(frozen=True)
class Check:
    """One thing to verify."""

    name: str
    function: str
    """`module:function`, imported only in the check's process. It takes the setup and `arguments`, returns a Finding,
    and raises Skipped or Failed."""
    arguments: tuple[Any, ...] = ()
    limit_s: float = 150.0
    """On a GPU."""
    skip: str = ""
    """Why it cannot run here, where that is known beforehand."""


@dataclass(frozen=True)
class Finding:
    """What a check that passed found."""

    detail: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


class Skipped(Exception):
    """The check cannot run here; the text is the reason."""


class Failed(Exception):
    """The check ran and found a fault, with the numbers that show it."""

    def __init__(self, detail: str, numbers: Mapping[str, float] | None = None) -> None:
        super().__init__(detail)
        self.numbers = dict(numbers or {})


@dataclass(frozen=True)
class Outcome:
    """How a check ended, as check_gpu.json has it."""

    name: str
    status: Status
    detail: str
    numbers: dict[str, float]
    seconds: float


def run_checks(checks: Sequence[Check], setup: Setup, jobs: int) -> Iterator[Outcome]:
    """The outcome of each check, `jobs` at a time, in the order in which they end."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield from (f.result() for f in as_completed([pool.submit(run_check, c, setup) for c in checks]))
    except BaseException:  # Ctrl-C must not wait for the limits
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            _stop(process)
        raise
    pool.shutdown()


def run_check(check: Check, setup: Setup) -> Outcome:
    """The outcome of one check, which is "failed" also where its process crashes or exceeds the limit."""
    if check.skip:
        return Outcome(check.name, "skipped", check.skip, {}, 0.0)
    began, limit_s = time.monotonic(), check.limit_s * setup.patience
    receiving, sending = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_work, args=(check, setup, sending), name=check.name)
    process.start()
    sending.close()
    status: Status = "failed"
    detail, numbers = f"exceeded its limit of {limit_s:g} s", {}
    try:
        if receiving.poll(limit_s):
            status, detail, numbers = receiving.recv()
    except EOFError:
        process.join()
        detail = f"its process ended with exit code {process.exitcode}"
    finally:
        _stop(process)
        receiving.close()
    seconds = round(time.monotonic() - began, 2)
    return Outcome(check.name, status, detail, {k: float(v) for k, v in numbers.items()}, seconds)


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of its text, which torch continues over many."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _work(check: Check, setup: Setup, sending: Connection) -> None:
    """Run the check in this process, which leads a group of its own, and send how it ended."""
    os.setsid()
    os.environ.update(setup.environment)
    name = re.sub(r"[^a-zA-Z0-9]+", "_", check.name)
    log = os.open(setup.logs / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    status, numbers = "failed", {}
    try:
        module, _, function = check.function.partition(":")
        finding = getattr(import_module(module), function)(setup, *check.arguments)
        status, detail, numbers = "passed", finding.detail, finding.numbers
        if wrong := [name for name, value in numbers.items() if not math.isfinite(value)]:
            status, detail = "failed", f"not finite: {', '.join(wrong)}"
    except Skipped as reason:
        status, detail = "skipped", str(reason)
    except Failed as fault:
        detail, numbers = str(fault), fault.numbers
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        detail = first_line(error)
    sending.send((status, detail, dict(numbers)))
    sys.stdout.flush()


def _stop(process: BaseProcess) -> None:
    """End the process and all that it started; nothing where they have ended."""
    process.join(0.2)  # one that has sent its outcome is ending by itself
    if process.is_alive():  # torchrun ends its workers, which are in groups of their own, only when it is asked to
        _signal(process, signal.SIGTERM)
        process.join(MAX_GRACE_S)
    _signal(process, signal.SIGKILL)
    process.join()


def _signal(process: BaseProcess, number: signal.Signals) -> None:
    assert process.pid is not None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
        return
    with suppress(ProcessLookupError):  # it does not lead a group yet
        if process.is_alive():
            os.kill(process.pid, number)
