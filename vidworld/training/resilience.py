"""What protects a run: it stops on a signal, ends when it hangs, skips spikes, and shows that it is alive."""

import faulthandler
import math
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any

from vidworld.core.errors import UserError
from vidworld.core.records import write_json
from vidworld.models.files import check_finite
from vidworld.models.schema import SpikeConfig, TrainConfig

STOPPED = 75
"""Exit code of a run that was stopped and goes on when it is started again (EX_TEMPFAIL of sysexits.h)."""
HUNG = 70
"""Exit code of a run that hung (EX_SOFTWARE of sysexits.h). It is not started again: it might hang for ever."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""SIGTERM is what Slurm sends a job that it preempts, SIGUSR1 what slurm/*.sbatch ask for before the time limit."""
MIN_HEARTBEAT_S = 10.0  # between two writings of a heartbeat


class Interruption:
    """Remembers the first of `SIGNALS` instead of dying of it, until it is released.

    What has nothing to save (a training that still starts) or keeps what it has done (an evaluation) just dies of
    them: `slurm/launch` takes a death by SIGUSR1 for the same wish.
    """

    def __init__(self) -> None:
        self.name = ""  # of the signal; empty where none came
        self._before: dict[signal.Signals, Any] = {s: signal.signal(s, self._remember) for s in SIGNALS}

    def release(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.name = self.name or signal.Signals(number).name


class Watchdog:
    """Ends the process where `beat` is not called for so many seconds: with a message and what each thread is at.

    A process that died or hangs keeps the others waiting in their next collective, which no exception leaves.
    """

    def __init__(self, timeout_s: float, who: str) -> None:
        self.timeout_s, self.who = timeout_s, who
        self._beats, self._over, self._after = threading.Event(), False, "the start"

    def beat(self, after: str) -> None:
        """Start the time again; `after` is what the message says was done last."""
        self._after = after
        self._beats.set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over = True
            self._beats.set()
            thread.join()

    def _watch(self) -> None:
        while not self._over:
            if not self._beats.wait(self.timeout_s):
                print(
                    f"error: {self.who}: nothing was done for {self.timeout_s:g} s after {self._after}; a process that "
                    "died or hangs keeps the others waiting. Started again, the run goes on from its last checkpoint; "
                    "a slow step needs a longer timeout_s",
                    file=sys.stderr,
                    flush=True,
                )
                # Not dump_traceback_later(exit=True), which has no message and another exit code.
                with suppress(OSError, ValueError):  # a stderr that is no file
                    faulthandler.dump_traceback()
                os._exit(HUNG)
            self._beats.clear()


class Spikes:
    """The losses of the last steps, against which a new one is judged."""

    def __init__(self, config: SpikeConfig) -> None:
        self.config = config
        self.recent: deque[float | None] = deque(maxlen=config.window)  # None for a step that was skipped
        self.skipped = 0  # over the whole run

    def is_one(self, loss: float, gradient_norm: float) -> bool:
        """Whether this step's update is to be skipped; the step is remembered."""
        usual = [value for value in self.recent if value is not None]
        known = len(self.recent) == self.config.window and bool(usual)
        leaps = known and loss > self.config.ratio * median(usual) > 0
        spike = leaps or not math.isfinite(loss) or not math.isfinite(gradient_norm)
        self.recent.append(None if spike else loss)
        self.skipped += spike
        return spike

    @property
    def too_many(self) -> bool:
        """Whether the run is to be given up."""
        return sum(value is None for value in self.recent) >= self.config.most

    def state(self) -> dict[str, Any]:
        return {"recent": list(self.recent), "skipped": self.skipped}

    def restore(self, state: dict[str, Any]) -> None:
        self.recent = deque(state["recent"], maxlen=self.config.window)
        self.skipped = state["skipped"]


def check_trained(model: Any, config: TrainConfig, skipped: int) -> None:
    """Raise UserError where no step was taken, or a weight is not finite: such a model is not to be written."""
    if skipped >= config.steps:
        raise UserError(
            f"{config.out}: no model is written, as no step was taken: the loss or the gradient of each was a spike or "
            "not finite; a lower optimiser.lr may help, in another out=FOLDER, or another tokenizer"
        )
    check_finite(model, config.out)


class Heartbeat:
    """RUN/heartbeat.json: the step, the rate and the time, replaced as a whole every few seconds."""

    def __init__(self, folder: Path, steps: int, step: int) -> None:
        self.path, self.steps = folder / "heartbeat.json", steps
        self._last_step, self._last_s, self._first = step, time.monotonic(), True

    def beat(self, step: int) -> None:
        """Write that a step is done, unless something was written a moment ago."""
        now = time.monotonic()
        if not self._first and now - self._last_s < MIN_HEARTBEAT_S and step < self.steps:
            return
        self._first = False
        rate = (step - self._last_step) / max(1e-9, now - self._last_s)
        signs = {
            "step": step,
            "steps": self.steps,
            "steps_per_s": round(rate, 4),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        with suppress(UserError):  # a full disk that lets the training go on is not to end it here
            write_json(self.path, signs)
        self._last_step, self._last_s = step, now
