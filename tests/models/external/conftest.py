"""A small evaluator."""

import pytest
from accelerate import Accelerator

from vidworld.evaluation.evaluator import Evaluator
from vidworld.models.tokenizers import FrameTokenizer


@pytest.fixture(scope="session")
def evaluator():
    """Clips of 24 px, 16 frames, the first 8 of them shown; frames as they are."""
    return Evaluator(FrameTokenizer(4, 24, 24), {}, Accelerator(cpu=True), 8, 0)
