"""Calls of somebody else's code: what it sets of torch is set back, and where it ends the process, it has failed."""

import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager

import torch

_LONGEST = 300  # characters of a line of somebody else's that are passed on


class Left(Exception):
    """Somebody else's code tried to end the process."""


@contextmanager
def foreign() -> Iterator[None]:
    """Keep the folder, and torch's default dtype and device, whether gradients are kept, and the products' precision.

    Numbers of threads may be changed: they change no number of ours. Raises Left for `sys.exit`.
    """
    dtype, grad, precision = torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_float32_matmul_precision()
    # `get_default_device` makes a tensor there, which fails where the device is missing.
    device = getattr(getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None)
    try:
        with chdir(os.curdir):
            yield
    except SystemExit as error:
        raise Left(f"it called sys.exit({error.code if error.code is not None else ''})") from error
    finally:
        torch.set_default_device(None if device is None else device.device)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        if torch.get_float32_matmul_precision() != precision:
            torch.set_float32_matmul_precision(precision)


def first_line(error: Exception) -> str:
    """What it is and what it says, on one line that is not too long."""
    said = (str(error).splitlines() or [""])[0]
    said = said if len(said) <= _LONGEST else said[: _LONGEST - 3] + "..."
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
