"""What somebody else's code leaves behind is set back, and whatever it raises becomes one line."""

import asyncio
import sys
from dataclasses import replace

import pytest
import torch

from vidworld.core.clip import Clips
from vidworld.models.external import ExternalModel
from vidworld.models.external.foreign import Left, first_line, foreign
from vidworld.models.tokenizers import FrameTokenizer


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Wordless(Exception):
    def __str__(self):
        return None  # noqa: PLE0307 (as somebody may write it)


class Final(BaseException):
    pass


@pytest.mark.parametrize("error", [Final("the end"), GeneratorExit(), asyncio.CancelledError("late"), SystemExit(3)])
def test_what_is_no_exception_is_taken_for_leaving(error):
    with pytest.raises(Left), foreign():
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("wrong")])
def test_an_interruption_and_an_exception_pass(error):
    with pytest.raises(type(error)), foreign():
        raise error


def test_an_exception_that_cannot_say_what_it_is_has_a_name():
    assert first_line(Speechless()) == "Speechless" and first_line(Wordless()) == "Wordless"
    assert first_line(ValueError("two\nlines")) == "ValueError: two"


def test_torchs_modes_are_set_back():
    left_open = []
    with torch.no_grad(), foreign():
        assert not torch.is_grad_enabled()  # as outside
        for mode in (torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode()):
            mode.__enter__()
            left_open.append(mode)
        torch.set_autocast_enabled("cuda", True)
    assert not torch.is_autocast_enabled("cpu") and not torch.is_autocast_enabled("cuda")
    assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()
    torch.zeros(2).add_(1)
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    for mode in reversed(left_open):  # for the tests after this one
        mode.__exit__(None, None, None)
    torch.set_grad_enabled(True)
    torch.set_autocast_enabled("cpu", False)


@pytest.mark.parametrize("change", ["none", "closed"])
def test_the_standard_streams_are_set_back(change, monkeypatch, capfd):
    with capfd.disabled():
        monkeypatch.setattr(sys, "stdout", open(1, "w", closefd=False))  # noqa: SIM115
        with foreign():
            if change == "closed":
                sys.stdout.close()
            else:
                sys.stdout = None
        assert sys.stdout is not None and not sys.stdout.closed
        print("", end="", flush=True)


class Reuses:
    """Writes every answer into the same memory, as networks in CUDA graphs do."""

    def predict(self, context, num_frames, seeds):
        self.frames = getattr(self, "frames", torch.zeros(0, dtype=torch.uint8))
        self.frames.resize_(len(context), num_frames, *context.frames.shape[2:])
        return self.frames.copy_(context.frames[:, -1:].expand(-1, num_frames, -1, -1, -1))

    def surprise(self, clips, context_frames, seeds):
        self.numbers = getattr(self, "numbers", torch.zeros(0))
        self.numbers.resize_(len(clips), clips.frames.shape[1] - context_frames)
        found = clips.frames.float().diff(dim=1).square().mean(dim=(2, 3, 4))[:, context_frames - 1 :]
        return self.numbers.copy_(found)


def test_an_answer_is_ours_once_it_is_given():
    frames = torch.randint(0, 256, (2, 8, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    some_clips = Clips(frames, 8.0, ("a", "b"))
    model = ExternalModel("mine", Reuses(), FrameTokenizer(4, 4, 4))
    first = model.frames(some_clips, 4, [0] * len(some_clips))
    copy = first.clone()
    darker = replace(some_clips, frames=frames // 2)
    model.frames(darker, 4, [0] * len(some_clips))
    assert torch.equal(first, copy)
    found = model.surprise_by_frame(some_clips, 2, [0] * len(some_clips))
    kept = found.clone()
    model.surprise_by_frame(darker, 2, [0] * len(some_clips))
    assert torch.equal(found, kept)
