"""Surprise at a benchmark's films: each is asked about once, by one process, and all processes know them all."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import samples
import torch
from accelerate import Accelerator
from torch import Tensor

from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.benchmarks import BENCHMARKS
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.violations import surprise_of_films
from vidworld.models.tokenizers.frames import FrameTokenizer

SHAPE = ClipShape(num_frames=16, fps=10.0, height_px=32, width_px=32)


class Process(Accelerator):
    """One of several, as far as sharing goes."""

    device = torch.device("cpu")
    process_index = num_processes = 0
    is_main_process = False

    def __init__(self, number: int, barrier: Barrier) -> None:
        self.process_index, self.num_processes, self.barrier = number, barrier.parties, barrier
        self.is_main_process = number == 0

    def autocast(self, autocast_handler: Any = None) -> Any:
        return nullcontext()

    def wait_for_everyone(self) -> None:
        self.barrier.wait(timeout=60)


class Changed:
    """Is surprised by brightness."""

    name = "changed"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def surprise(self, seen: Any, context_length: int, seeds: Any) -> Tensor:
        self.asked += seen.clips.identity
        return seen.clips.frames.float().mean(dim=(2, 3, 4))[:, 8:]


def surprises(folder: Path, kept: Path, processes: int) -> tuple[list[dict[str, Any]], list[Changed]]:
    """Of every process, and its world."""
    benchmark, barrier = BENCHMARKS["intphys"], Barrier(processes)
    worlds = [Changed() for _ in range(processes)]

    def one(number: int) -> dict[str, Any]:
        evaluator = Evaluator(FrameTokenizer(4, 32, 32), {}, Process(number, barrier), 8, 0)
        return surprise_of_films(evaluator, worlds[number], benchmark, benchmark.entries(folder), SHAPE, kept)

    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(one, range(processes))), worlds


def test_processes_share_the_films_and_know_them_all(tmp_path: Path) -> None:
    samples.intphys(tmp_path / "films", count=80)
    (alone,), (world,) = surprises(tmp_path / "films", tmp_path / "alone", 1)
    together, worlds = surprises(tmp_path / "films", tmp_path / "together", 2)
    for found in together:
        assert found.keys() == alone.keys()
        assert all(np.array_equal(found[film], alone[film]) for film in alone)
    assert all(each.asked for each in worlds)
    assert sorted(worlds[0].asked + worlds[1].asked) == sorted(world.asked)
    (again,), (idle,) = surprises(tmp_path / "films", tmp_path / "together", 1)
    assert again.keys() == alone.keys() and not idle.asked
