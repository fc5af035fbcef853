"""Scripts of the repository that another script runs, one after the other."""

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from vidworld.core.errors import UserError
from vidworld.training.resilience import SIGNALS, STOPPED

ROOT = Path(__file__).parents[2]
GRACE_S = 120.0  # in which a training that is stopped saves


def run_command(command: Sequence[str], seen: Callable[[], None], may_fail: bool = False) -> str:
    """Run a script, calling `seen` while it runs; the message that it failed with, where it may.

    Raises SystemExit: it was stopped, to be started again (75, or a signal). UserError: it failed, and must not.
    """
    with tempfile.TemporaryFile("w+") as said, _stoppable():
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True)
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=2)
                seen()
        except BaseException:
            _end(process)
            raise
        said.seek(0)
        lines = said.read().splitlines()
    if process.returncode == 0:
        return ""
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if process.returncode == STOPPED or -process.returncode in SIGNALS:
        raise SystemExit(STOPPED)
    if process.returncode < 0:
        killed = signal.Signals(-process.returncode)
        lines.append(f"killed by {killed.name}" + (", often for lack of memory" if killed == signal.SIGKILL else ""))
    what = "\n".join(errors or lines[-20:]) or f"exit code {process.returncode}"
    if process.returncode != 2 or not errors or not may_fail:
        raise UserError(f"{shlex.join(command[1:4])}: {what}")
    return what


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a script and all that it started (a launcher passes no signal on), which may save where it was."""
    end = time.monotonic() + GRACE_S
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < end:
            time.sleep(0.1)
            process.poll()
            os.killpg(process.pid, 0)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM, which would end this process alone and leave the script running, as an exception in between."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(*_: object) -> NoReturn:
    raise SystemExit(STOPPED)
