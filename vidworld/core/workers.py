"""Work in processes of their own: a library that ends its process costs the one piece of work that it was at."""

import ctypes
import faulthandler
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TextIO, TypeVar

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

MOST_WORKERS = 16
GIVEN_BACK_BYTES = 2**18  # of memory, from which on a worker gives it back at once
M_MMAP_THRESHOLD = -3  # Source: malloc.h of glibc
AHEAD = 4  # jobs a worker that are handed out at a time, so that few are in doubt where a process dies


def usual_workers() -> int:
    """As many as this process may use processors, sixteen at most."""
    return min(MOST_WORKERS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def each_apart(
    work: Callable[[_Job], _Result], jobs: Sequence[_Job], workers: int, preload: Sequence[str] = ()
) -> Iterator[tuple[int, _Result | None]]:
    """The number of each job with its result, as they are done; None for one during which its process died.

    work: a function of a module, since it is called in other processes. preload: modules that these import once for
    all. What the work raises is raised here. Where a process dies, the jobs in doubt are done again one by one.
    """
    waiting = list(range(len(jobs)))
    while waiting:
        lost: list[int] = []
        with _pool(min(workers, len(waiting)), preload) as pool:
            running: dict[Future[_Result], int] = {}
            try:
                while waiting or running:
                    while waiting and not lost and len(running) < AHEAD * workers:
                        number = waiting.pop(0)
                        running[pool.submit(work, jobs[number])] = number
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        number = running.pop(future)
                        try:
                            yield number, future.result()
                        except BrokenProcessPool:
                            lost.append(number)
                    if lost and not running:
                        break
            except BrokenProcessPool:  # it broke while a job was handed out
                lost += [number, *running.values()]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        for number in sorted(lost):
            yield number, _alone(work, jobs[number], preload)


@contextmanager
def ends_if_stalled(seconds: float) -> Iterator[Callable[[], None]]:
    """Ends this process, one of `each_apart`, unless what it yields is called again within so many seconds."""

    def goes_on() -> None:
        faulthandler.dump_traceback_later(seconds, exit=True, file=_nowhere())

    goes_on()
    try:
        yield goes_on
    finally:
        faulthandler.cancel_dump_traceback_later()


def gives_memory_back(block_bytes: int) -> None:
    """From now on each block of so many bytes goes back to the system as soon as it is free, where glibc is used.

    It would keep them, and what is small between them.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, block_bytes)


@cache
def _nowhere() -> TextIO:
    return Path(os.devnull).open("w")


def _alone(work: Callable[[_Job], _Result], job: _Job, preload: Sequence[str]) -> _Result | None:
    with _pool(1, preload) as pool, suppress(BrokenProcessPool):
        return pool.submit(work, job).result()
    return None


def _pool(workers: int, preload: Sequence[str]) -> ProcessPoolExecutor:
    """Processes that inherit no thread and no lock of this one."""
    try:
        context = get_context("forkserver")
        context.set_forkserver_preload(list(preload))
    except ValueError:  # Windows
        context = get_context("spawn")  # type: ignore[assignment]
    return ProcessPoolExecutor(workers, mp_context=context, initializer=gives_memory_back, initargs=(GIVEN_BACK_BYTES,))
