"""Work shared between threads that each keep to one core.

Clips are made while a network trains. If the many small operations that make them were each spread over all cores,
as torch would do by itself, every one of them would wait for a core that the network has: two teams of threads on
the same cores slow each other down a hundredfold.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The function's result for each item, from as many threads as torch may use."""
    return list(_pool().map(function, items))


@cache
def _pool() -> ThreadPoolExecutor:
    count = torch.get_num_threads()
    started = Barrier(count + 1)

    def start() -> None:
        torch.set_num_threads(1)  # of the thread that calls it
        started.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="clips", initializer=start)
    for _ in range(count):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(count)  # also what threads of others that start later get
    return pool


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of its parent's threads
