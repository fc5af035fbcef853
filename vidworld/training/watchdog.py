"""Signs of life: a heartbeat file for those who watch a run, and an end for a run that hangs."""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from vidworld.core.errors import UserError
from vidworld.core.records import write_json

HEARTBEAT_S = 10.0
"""Least time between two writings of a heartbeat."""
EXIT_CODE = 70
"""Of a run that hung (EX_SOFTWARE of sysexits.h); it is not started again by itself, lest it hang for ever."""


class Heartbeat:
    """RUN/heartbeat.json: the step, the rate and the time, replaced as a whole every few seconds."""

    def __init__(self, folder: Path, steps: int, step: int) -> None:
        self.path = folder / "heartbeat.json"
        self.steps = steps
        self._told_step, self._told_s = step, time.monotonic()
        self._first = True

    def beat(self, step: int) -> None:
        """Tells of a step that is done, unless it has told of one a moment ago."""
        now = time.monotonic()
        if not self._first and now - self._told_s < HEARTBEAT_S and step < self.steps:
            return
        self._first = False
        rate = (step - self._told_step) / max(1e-9, now - self._told_s)
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
        self._told_step, self._told_s = step, now


class Watchdog:
    """Ends the process with a message where `beat` is not called for so many seconds.

    A process that died or hangs keeps the others waiting in their next collective, which no exception leaves.
    """

    def __init__(self, timeout_s: float, who: str) -> None:
        self.timeout_s, self.who = timeout_s, who
        self._beats = threading.Event()
        self._over = False
        self._after = "the start"

    def beat(self, after: str) -> None:
        """Starts the time again; `after` says in the message what was done last."""
        self._after = after
        self._beats.set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watches while the body runs."""
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
                os._exit(EXIT_CODE)
            self._beats.clear()
