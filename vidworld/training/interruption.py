"""Being asked to stop: by a scheduler that needs the machine, or shortly before a time limit."""

import signal
from types import FrameType
from typing import Any

EXIT_CODE = 75
"""Of a run that was stopped and goes on when it is started again (EX_TEMPFAIL of sysexits.h)."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""SIGTERM is what Slurm sends a job that it preempts, SIGUSR1 what slurm/*.sbatch ask for before the time limit."""


class Interruption:
    """Remembers the first of `SIGNALS` instead of dying of it, until it is released.

    What has nothing to save (a training that still starts) or keeps what it has done (an evaluation) just dies of
    them: `slurm/launch` takes a death by SIGUSR1 for the same wish.
    """

    def __init__(self) -> None:
        self.name = ""
        """Of the signal; empty where none came."""
        self._before: dict[signal.Signals, Any] = {s: signal.signal(s, self._remember) for s in SIGNALS}

    def release(self) -> None:
        """Gives the signals back their former meaning."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.name = self.name or signal.Signals(number).name
