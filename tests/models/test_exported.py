"""Exported networks: stepped by their files they say what the network says, whatever is asked of them."""

import json
import sys

import pytest
import torch

from vidworld.core.clip import Clips
from vidworld.core.errors import UserError
from vidworld.models import exported
from vidworld.models.diffusion import DiffusionTransformer, GenerativeModel
from vidworld.models.exported import EXPORT_RECORD, as_exported, write_exported
from vidworld.models.jepa import JointEmbeddingPredictor, PredictiveModel
from vidworld.models.live import LiveRollout
from vidworld.models.probe import TokenDecoder
from vidworld.models.world_model import Encoded

CHANNELS, GRID = 6, (2, 3)
SMALL = {"channels": CHANNELS, "width": 16, "heads": 2}
PREDICTIVE = {"encoder_depth": 1, "predictor_depth": 1}


def drawn(network):
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


def of_family(family, actions=0):
    """A tiny model."""
    acts = {"action_channels": actions}
    if family in ("diffusion", "fitted"):
        prediction = "fitted" if family == "fitted" else "edm"
        network = DiffusionTransformer(**SMALL, **acts, depth=1, modulation_rank=8, prediction=prediction)
        if network.changes is not None:
            network.changes.fit(seen_clips().tokens)
        return GenerativeModel(drawn(network), family, 2, 8.0, (0.5, 0.9))
    target = "frozen" if family == "regression" else "ema"
    network = drawn(JointEmbeddingPredictor(**SMALL, **PREDICTIVE, **acts, target=target))
    decoder = None if family == "regression" else drawn(TokenDecoder(16, CHANNELS, GRID, 16, 1))
    return PredictiveModel(network, family, decoder)


def seen_clips(actions=0):
    tokens = torch.randn(3, 5, *GRID, CHANNELS, generator=torch.Generator().manual_seed(0))
    done = torch.randn(3, 20, actions // 4, generator=torch.Generator().manual_seed(1)) if actions else None
    frames = torch.zeros(3, 20, 3, 4, 6, dtype=torch.uint8)
    return Encoded(Clips(frames, 10.0, ("a", "b", "c"), actions=done), tokens)


def answers(model, actions):
    """All that is ever asked of a model."""
    seen = seen_clips(actions)
    done = seen.actions
    futures = None if done is None else done[:, None, 2:].expand(-1, 2, -1, -1)
    yield model.rollout(seen.chunks(0, 2), 3, 2 if actions else 1, [1, 2, 3], futures).tokens
    yield model.surprise(seen, 2, [1, 2, 3])
    live = LiveRollout("it", model, seen.tokens[:1], None if done is None else done[:1], 0, window=4)
    for _ in range(5):
        yield live.step(None if done is None else done[:1, :1])[1]


class InTorch:
    """A file, without one: what it would compute."""

    def __init__(self, part):
        self.part = part

    def __call__(self, **given):
        with torch.no_grad():
            found = self.part(given)
        return list(found) if isinstance(found, tuple) else [found]


@pytest.mark.parametrize("actions", [0, 8])
@pytest.mark.parametrize("family", ["regression", "jepa", "diffusion", "fitted"])
def test_by_steps_a_model_says_what_it_says_in_one_pass(family, actions, tmp_path, monkeypatch):
    model = of_family(family, actions)
    parts = {name: part for name, part, _, _ in exported._parts(model, GRID)}
    assert set(parts) == {"step"} | ({"encode", "target", "decode"} if family == "jepa" else set())
    record = {"format": exported.EXPORT_FORMAT, "fingerprint": "x", "files": [f"{name}.onnx" for name in parts]}
    (tmp_path / EXPORT_RECORD).write_text(json.dumps(record))
    for name in parts:
        (tmp_path / f"{name}.onnx").touch()
    monkeypatch.setattr(exported, "OnnxFile", lambda path: InTorch(parts[path.stem]))
    other = as_exported(model, tmp_path, "onnx", "x")
    assert all(parameter.is_meta for parameter in other.network.parameters())
    for expected, found in zip(answers(model, actions), answers(other, actions), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    if actions:
        with pytest.raises(UserError, match="shown clips without any"):
            next(answers(other, 0))


def test_files_of_other_weights_or_none_are_said(tmp_path):
    with pytest.raises(UserError, match="no exported model there; `vidworld export RUN` writes it"):
        as_exported(of_family("regression"), tmp_path, "onnx", "x")
    (tmp_path / EXPORT_RECORD).write_text('{"format": 2, "fingerprint": "y", "files": ["step.onnx"]}')
    with pytest.raises(UserError, match="was exported from other weights, where regression was to be; export it again"):
        as_exported(of_family("regression"), tmp_path, "onnx", "x")
    with pytest.raises(UserError, match=r"lacks step\.onnx, where regression was to be; export it again"):
        as_exported(of_family("regression"), tmp_path, "onnx", "y")


def test_without_onnx_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="vidworld\\[export\\]"):
        exported.OnnxFile(tmp_path / "step.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match="vidworld\\[export\\]"):
        write_exported(of_family("regression"), GRID, tmp_path, "x")


@pytest.mark.slow
@pytest.mark.parametrize("family", ["regression", "jepa", "diffusion", "fitted"])
def test_files_say_what_the_network_says(family, tmp_path):
    for package in ("onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    model = of_family(family, 8)
    write_exported(model, GRID, tmp_path, "x")
    for form, tolerance in (("onnx", 1e-4), ("int8", 0.3)):
        other = as_exported(model, tmp_path, form, "x")
        for expected, found in zip(answers(model, 8), answers(other, 8), strict=True):
            assert float((found - expected).abs().mean()) < tolerance * float(expected.abs().mean()), form
    (tmp_path / "step.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"step\.onnx: cannot be read"):
        as_exported(model, tmp_path, "onnx", "x")
