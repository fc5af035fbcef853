"""Locks between processes of one machine, or of a file system that has them."""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import TextIO

from vidworld.core.records import prepare_folder, writing


def hold(path: Path, wait: bool = True) -> TextIO | None:
    """A lock that one process has at a time, until it closes the file; without waiting None where another has it.

    Raises UserError: the file cannot be written.
    """
    prepare_folder(path.parent)
    with writing(path):
        file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError as error:  # where a file system has no locks nobody is kept out
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            raise
    return file


@contextmanager
def alone(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold a lock for a while; whether it is held, which without waiting it may not be."""
    with hold(path, wait) or nullcontext() as file:
        yield file is not None


@contextmanager
def free_folder(folder: Path) -> Iterator[Path]:
    """The first of folder_0, folder_1, … that no other process works in."""
    for number in count():
        out = folder.with_name(f"{folder.name}_{number}")
        with alone(out / "lock", wait=False) as mine:
            if mine:
                yield out
                return
