"""What is used of the machine: bf16 where the processor multiplies it, and threads that each keep to one core.

Clips are made while a network trains. If the many small operations that make them were each spread over all cores,
as torch would do by itself, every one of them would wait for a core that the network has: two teams of threads on
the same cores slow each other down a hundredfold.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import Literal, TypeVar

import torch
from accelerate.utils import parse_flag_from_env

from vidworld.core.config import Precision

Item = TypeVar("Item")
Result = TypeVar("Result")


def precision(requested: Precision = "auto") -> Literal["no", "bf16", "fp16"]:
    """What accelerate calls it: `no` is float32.

    `auto` is bf16 on a processor that has instructions for it and float32 on any other, where a product in bf16 takes
    up to sixty times as long (DECISIONS.md, 2026-11-23).
    """
    if requested != "auto":
        return requested
    if torch.cuda.is_available() and not parse_flag_from_env("ACCELERATE_USE_CPU"):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported()
    return "bf16" if native else "no"


def product_dtype(requested: Precision = "auto") -> torch.dtype:
    """That of the products which autocast leaves alone, an optimiser's for one: never fp16, whose range is small."""
    return torch.float32 if precision(requested) == "no" else torch.bfloat16


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The function's result for each item, from as many threads as torch may use."""
    return list(_pool().map(function, items))


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made in another thread while the one before it is used."""
    _pool()  # from here, where torch takes all cores
    with one_core_pool(1, "ahead") as pool:
        missing = object()
        coming = pool.submit(next, items, missing)
        while (item := coming.result()) is not missing:
            coming = pool.submit(next, items, missing)
            yield item  # type: ignore[misc]


def one_core_pool(count: int, name: str) -> ThreadPoolExecutor:
    """Threads in which torch keeps to the thread that calls it; in all others it takes as many as before."""
    usual = torch.get_num_threads()
    started = Barrier(count + 1)

    def start() -> None:
        torch.set_num_threads(1)  # of the thread that calls it
        started.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix=name, initializer=start)
    for _ in range(count):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(usual)  # also what threads of others that start later get
    return pool


@cache
def _pool() -> ThreadPoolExecutor:
    return one_core_pool(torch.get_num_threads(), "clips")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of its parent's threads
