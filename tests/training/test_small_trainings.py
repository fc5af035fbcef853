"""Trainings of a few steps, as a user would run them: few-step samplers, and tokens of another precision."""

import json
import shutil

import numpy as np
import pytest
from scripts import run
from small_runs import train, train_here

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name in ("tokenizer", "diffusion"):
        assert train_here(name, folder / name) == 0
    return folder


def test_a_diffusion_model_learns_to_sample_in_few_steps(runs, capsys):
    """And what fewer steps cost is measured, of clips of the shape that it was trained on."""
    teacher = f"diffusion={runs / 'diffusion'}"
    assert train_here("few_step", runs / "acts", teacher, "data.scenarios={two_room: 1}") == 2
    assert "takes 0 numbers of action a chunk, and the clips of this training have" in capsys.readouterr().err
    assert train_here("few_step", runs / "few_step", teacher) == 0
    assert run("eval/run_steps.py", runs, "--clips", "2") == 0
    curves = json.loads((runs / "steps.json").read_text())["curves"]
    assert [[each["label"] for each in curve["series"]] for curve in curves] == [["diffusion", "few_step"]] * 2
    assert all(np.isfinite(each["y"]).all() for curve in curves for each in curve["series"])


def test_tokens_of_another_precision_are_others(runs, tmp_path):
    shutil.copytree(runs / "tokenizer", tmp_path / "tokenizer")
    assert len(list((tmp_path / "tokenizer" / "tokens").iterdir())) == 1
    again = train("regression", tmp_path / "regression", "steps=2", "mixed_precision=bf16")
    assert again.returncode == 0, again.stderr
    assert len(list((tmp_path / "tokenizer" / "tokens").iterdir())) == 2
