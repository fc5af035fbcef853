"""Calls of somebody else's code: what it sets for the whole process is set back, and where it leaves, it has failed."""

import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager

import torch

_LONGEST = 300  # characters of a line of somebody else's that are passed on


class Left(Exception):
    """Somebody else's code tried to end the process."""


@contextmanager
def foreign() -> Iterator[None]:
    """Keep the folder, and torch's default dtype and device, as they are. Raises Left for `sys.exit`."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    try:
        with chdir(os.curdir):
            yield
    except SystemExit as error:
        raise Left(f"it called sys.exit({error.code if error.code is not None else ''})") from error
    finally:
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(device)


def first_line(error: Exception) -> str:
    """What it is and what it says, on one line that is not too long."""
    said = (str(error).splitlines() or [""])[0]
    said = said if len(said) <= _LONGEST else said[: _LONGEST - 3] + "..."
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
