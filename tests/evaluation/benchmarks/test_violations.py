"""Surprise at a benchmark's videos: each is measured once, by one process, and all processes know them all."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import samples
import torch
from accelerate import Accelerator
from torch import Tensor

from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.benchmarks import BENCHMARKS, continuation
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry
from vidworld.evaluation.benchmarks.continuation import BenchmarkContext, clip_of
from vidworld.evaluation.benchmarks.continuation import numbers_by_model as windows_by_model
from vidworld.evaluation.benchmarks.scoring import measure_videos
from vidworld.evaluation.evaluator import Evaluator, Subject
from vidworld.models.tokenizers import FrameTokenizer

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

    def __init__(self, name: str = "changed") -> None:
        self.name = name
        self.asked: list[str] = []

    def surprise(self, seen: Any, context_length: int, seeds: Any) -> Tensor:
        self.asked += seen.clips.identity
        return seen.clips.frames.float().mean(dim=(2, 3, 4))[:, 8:]


def surprises(folder: Path, kept: Path, processes: int) -> tuple[list[dict[str, Any]], list[Changed]]:
    """Of every process, and its model."""
    benchmark, barrier = BENCHMARKS["intphys"], Barrier(processes)
    models = [Changed() for _ in range(processes)]
    kept.mkdir(exist_ok=True)

    def one(number: int) -> dict[str, Any]:
        evaluator = Evaluator(FrameTokenizer(4, 32, 32), {}, Process(number, barrier), 8, 0)
        context = BenchmarkContext(evaluator, benchmark, SHAPE)
        subjects = [Subject("changed", models[number], "")]
        return windows_by_model(measure_videos(context, subjects, benchmark.entries(folder), kept, {}).values)[
            "changed"
        ]

    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(one, range(processes))), models


def test_processes_share_the_videos_and_know_them_all(tmp_path: Path) -> None:
    samples.intphys(tmp_path / "videos", count=80)
    (alone,), (model,) = surprises(tmp_path / "videos", tmp_path / "alone", 1)
    together, models = surprises(tmp_path / "videos", tmp_path / "together", 2)
    for found in together:
        assert found.keys() == alone.keys()
        assert all(np.array_equal(found[video], alone[video]) for video in alone)
    assert all(each.asked for each in models)
    assert sorted(models[0].asked + models[1].asked) == sorted(model.asked)
    (again,), (idle,) = surprises(tmp_path / "videos", tmp_path / "together", 1)
    assert again.keys() == alone.keys() and not idle.asked


def test_a_video_is_decoded_once_for_all_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples.intphys(tmp_path / "videos", count=80)
    read: list[str] = []

    def counted(benchmark: Benchmark, entry: Entry, size_px: int) -> Clips:
        read.append(entry.identity)
        return clip_of(benchmark, entry, size_px)

    monkeypatch.setattr(continuation, "clip_of", counted)
    benchmark = BENCHMARKS["intphys"]
    evaluator = Evaluator(FrameTokenizer(4, 32, 32), {}, Process(0, Barrier(1)), 8, 0)
    subjects = [Subject(name, Changed(name), "") for name in ("one", "two")]
    (tmp_path / "kept").mkdir()
    context, entries = BenchmarkContext(evaluator, benchmark, SHAPE), benchmark.entries(tmp_path / "videos")
    found = windows_by_model(measure_videos(context, subjects, entries, tmp_path / "kept", {}).values)
    assert sorted(read) == sorted(entry.identity for entry in entries)
    assert found.keys() == {"one", "two"}
