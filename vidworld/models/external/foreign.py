"""Calls of somebody else's code: what it sets of torch is set back, and where it ends the process, it has failed."""

import os
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager

import torch

_LONGEST = 300  # characters of a line of somebody else's that are passed on


class Left(Exception):
    """Somebody else's code tried to end the process."""


@contextmanager
def foreign() -> Iterator[None]:
    """Keep the folder, the standard streams and torch's modes: default dtype and device, gradients, inference,
    autocast, and the products' precision.

    Numbers of threads may be changed: they change no number of ours. Raises Left for `sys.exit`, and for whatever else
    is no Exception but the user's own interruption.
    """
    dtype, grad, precision = torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_float32_matmul_precision()
    # `get_default_device` makes a tensor there, which fails where the device is missing.
    device = getattr(getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None)
    casts = {kind: (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")}
    streams = sys.stdout, sys.stderr
    try:
        with chdir(os.curdir), torch.inference_mode(torch.is_inference_mode_enabled()):
            torch.set_grad_enabled(grad)
            yield
    except (Exception, KeyboardInterrupt):
        raise
    except SystemExit as error:
        raise Left(f"it called sys.exit({error.code if error.code is not None else ''})") from error
    except BaseException as error:
        raise Left(f"it raised {first_line(error)}") from error
    finally:
        for name, number, stream in (("stdout", 1, streams[0]), ("stderr", 2, streams[1])):
            closed = getattr(stream, "closed", False)
            setattr(sys, name, open(number, "w", closefd=False) if closed else stream)  # noqa: SIM115 (it stays open)
        for kind, (enabled, cast) in casts.items():
            torch.set_autocast_enabled(kind, enabled)
            torch.set_autocast_dtype(kind, cast)
        torch.set_default_device(None if device is None else device.device)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        if torch.get_float32_matmul_precision() != precision:
            torch.set_float32_matmul_precision(precision)


def first_line(error: BaseException) -> str:
    """What it is and what it says, on one line that is not too long."""
    try:
        said = (str(error).splitlines() or [""])[0]
    except Exception:  # somebody else's exception, which cannot even say what it is
        said = ""
    said = said if len(said) <= _LONGEST else said[: _LONGEST - 3] + "..."
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
