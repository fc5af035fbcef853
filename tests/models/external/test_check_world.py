"""vidworld check-world: what keeps the protocol passes, and each broken promise is one line."""

import json
from pathlib import Path

import pytest
import tiny_models
import torch

from vidworld import cli
from vidworld.core.errors import UserError

ROOT = Path(__file__).parents[3]
SMALL = ("--height", "24", "--width", "24")


def check(spec, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["check-world", spec, *SMALL, *arguments])
    return ended.value.code


def test_the_template_keeps_the_protocol_and_is_short(capsys):
    assert check("python:my_world.MyWorld") == 0
    assert "MyWorld: keeps the protocol with predict and surprise" in capsys.readouterr().out
    assert len((ROOT / "tests" / "support" / "my_world.py").read_text().splitlines()) < 60


BROKEN = {
    "Nothing": "Nothing has neither predict(context, num_frames, seeds) nor surprise(clips",
    "OtherArguments": "predict must take (context, num_frames, seeds)",
    "Floats": "predict gave a float32 tensor of shape (2, 8, 3, 24, 24), where a uint8 tensor of shape (2, 8,",
    "TooFew": "predict gave a uint8 tensor of shape (2, 7, 3, 24, 24)",
    "Dice": "predict: the same clips and seeds gave other frames the second time",
    "Remembers": "predict: other frames after the context changed the prediction: it sees the future",
    "Averages": "predict: a clip alone gave other frames than beside another",
    "NotANumber": "surprise of momentum/id/0/0/a gave nan; numbers up to 1e+18 would do",
    "PerClip": "surprise gave a float32 tensor of shape (2,), where a floating-point tensor of shape (2, 8)",
    "Numbers": "surprise gave a list",
    "Indifferent": "surprise: other frames after the context changed nothing",
    "Unshared": "surprise: one clip twice with one seed has two surprises",
    "ByName": "surprise: the same clips gave other numbers in another order and under other names",
    "Breaks": "predict: failed with RuntimeError: out of luck",
    "NeedsArguments": "NeedsArguments() failed (TypeError: ",
    "Leaves": "surprise: failed with Left: it called sys.exit()",
    "LeavesAtOnce": "LeavesAtOnce() failed (Left: it called sys.exit(0))",
    "NoSamples": "samples is 0; a whole number from 1 on would do",
    "Addressed": "fingerprint() gave <object object at 0x",
    "Unnamed": "fingerprint() failed with OSError: no weights",
    "Property": "predict failed with KeyError: 'weights'",
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_promise_is_said(name, capsys):
    assert check(f"python:faulty_worlds.{name}") == 2
    error = capsys.readouterr().err
    assert BROKEN[name] in error
    assert "Traceback" not in error
    assert all(line.startswith("error: ") for line in error.splitlines())


@pytest.mark.parametrize("device", ["meta", "cuda"])  # there, and on most machines not there
def test_what_a_model_sets_for_the_whole_process_is_set_back(device, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("faulty_worlds.Intrudes.device", device)
    assert check("python:faulty_worlds.Intrudes") == 0
    assert getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None) is None
    assert (torch.zeros(1).dtype, torch.zeros(1).device) == (torch.float32, torch.device("cpu"))
    assert torch.is_grad_enabled() and torch.get_float32_matmul_precision() == "highest"
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("my_world.MyWorld", "is no KIND:PATH; there are vjepa2, diffusers, videos, python"),
        ("pyhton:my_world.MyWorld", "did you mean python?"),
        ("python:MyWorld", "is no module.ClassName"),
        ("python:no_module.MyWorld", "there is no module no_module"),
        ("python:my_world.YourWorld", "the module my_world has no YourWorld"),
    ],
)
def test_what_names_no_world_is_said(spec, says, capsys):
    assert check(spec) == 2
    assert says in capsys.readouterr().err


def test_a_context_that_leaves_nothing_is_said(capsys):
    assert check("python:my_world.MyWorld", "--context-frames", "16") == 2
    assert "--context-frames 16" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--height", "0"], "--height 0: must be more than 0"),
        (["--height", "-4"], "--height -4: must be more than 0"),
        (["--num-frames", "0"], "--num-frames 0: must be more than 0"),
        (["--steps", "0"], "--steps 0: must be more than 0"),
        (["--num-frames", "100000000"], "--num-frames 100000000: are too many; at most 256 would do"),
        (["--height", "100000", "--width", "100000"], "--height 100000 --width 100000 --num-frames 16: are "),
    ],
)
def test_sizes_that_no_clip_can_have_are_one_line(arguments, says, capsys):
    assert check("python:my_world.MyWorld", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {says}")


@pytest.mark.parametrize(
    ("said", "line"),
    [("", "failed with UserError"), ("no weights\nlook there", "failed with UserError: no weights"), ("\nx", "failed")],
)
def test_what_a_model_refuses_is_one_line_with_its_name(said, line, monkeypatch, capsys):
    def refuses(self, context, num_frames, seeds):
        raise UserError(said)

    monkeypatch.setattr("faulty_worlds.Breaks.predict", refuses)
    assert check("python:faulty_worlds.Breaks") == 2
    (first,) = capsys.readouterr().err.splitlines()
    assert first.startswith(f"error: Breaks: predict: {line}") and "look there" not in first


def test_a_network_keeps_the_protocol(tmp_path, capsys):
    assert check(f"vjepa2:{tiny_models.save_vjepa2(tmp_path / 'vjepa2')}") == 0
    out = capsys.readouterr().out
    assert "vjepa2: it has no predict: it is measured by surprise alone" in out
    assert json.loads((tmp_path / "vjepa2" / "config.json").read_text())["model_type"] == "vjepa2"
