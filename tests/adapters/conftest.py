"""Lets the tests here import `tiny_models`: pytest's importlib mode adds no folder by itself. A small bench."""

import sys
from pathlib import Path

import pytest
from accelerate import Accelerator

from vidworld.harness.bench import Bench
from vidworld.tokenizer.frames import FrameTokenizer

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def bench():
    """Clips of 24 px, 16 frames, the first 8 of them shown; frames as they are."""
    return Bench(FrameTokenizer(4, 24, 24), {}, Accelerator(cpu=True), 8, 0)
