"""What a diffusion network takes from the data is taken once: a run that goes on or starts from another keeps it."""

import shutil

import pytest
import torch
from safetensors.torch import load_file
from scripts import ROOT, run

from vidworld.models.preconditioning import Changes

SMALL = ["data.clips=64", "data.shape.height_px=32", "data.shape.width_px=32", "global_batch_size=4"]
SHORT = ["steps=6", "save_every=3", "mixed_precision=no", "compile=false", "model.width=32", "model.heads=1", *SMALL]


def train(folder, out, *overrides):
    fitted = ["model.prediction=fitted", f"tokenizer={folder / 'tokenizer'}", "model.depth=1"]
    config = ROOT / "configs" / "demo" / "diffusion.yaml"
    return run("train/train_world_model.py", "--config", config, f"out={folder / out}", *SHORT, *fitted, *overrides)


def weights(folder):
    return load_file(folder / "model" / "diffusion_pytorch_model.safetensors")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    config, out = ROOT / "configs" / "demo" / "tokenizer.yaml", f"out={folder / 'tokenizer'}"
    assert run("train/train_tokenizer.py", "--config", config, out, *SHORT, "model.channels=8", "model.depth=1") == 0
    assert train(folder, "whole") == 0
    return folder


@pytest.fixture
def unfitted(monkeypatch):
    """No fit may be made."""

    def refuse(self, tokens):
        raise AssertionError("fitted again")

    monkeypatch.setattr(Changes, "fit", refuse)


def test_the_finished_model_has_the_fit(trained):
    found = weights(trained / "whole")
    basis, variance = found["changes.basis"], found["changes.variance"]
    assert not torch.equal(basis, torch.eye(8))
    torch.testing.assert_close(basis.T @ basis, torch.eye(8), atol=1e-5, rtol=0)
    assert float(variance.max() / variance.min()) > 2


def test_a_run_that_was_stopped_goes_on_with_its_fit_to_the_same_weights(trained, tmp_path, unfitted):
    (tmp_path / "tokenizer").symlink_to(trained / "tokenizer")
    shutil.copytree(trained / "whole", tmp_path / "whole")
    shutil.rmtree(tmp_path / "whole" / "model")
    assert train(tmp_path, "whole", "--resume") == 0
    first, again = weights(trained / "whole"), weights(tmp_path / "whole")
    assert first.keys() == again.keys()
    for key, value in first.items():
        assert torch.equal(value, again[key]), key


def test_a_run_that_starts_from_another_keeps_the_others_fit(trained, unfitted):
    assert train(trained, "further", f"start={trained / 'whole'}", "seed=1") == 0
    for name in ("changes.basis", "changes.variance"):
        assert torch.equal(weights(trained / "further")[name], weights(trained / "whole")[name])
