"""Exported worlds: a file says what the network says, and what cannot be exported is refused in a line."""

import json
import sys

import pytest
import torch

from vidworld import cli
from vidworld.core.errors import UserError
from vidworld.evaluation import export as export_command
from vidworld.evaluation.export import EXPORT_FORMS, FewStep, JepaStep, export
from vidworld.models.diffusion import DiffusionTransformer, sample
from vidworld.models.files import sampling_shift_of, save_model
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.tokenizers.autoencoder import Autoencoder

SMALL = {"channels": 6, "width": 32, "heads": 2}


def random_weights(network):
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.fixture
def seen():
    return torch.randn(1, 2, 2, 2, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def noise():
    return torch.randn(1, 1, 2, 2, 6, generator=torch.Generator().manual_seed(2))


def test_a_few_steps_are_those_of_the_sampler(seen, noise):
    network = random_weights(DiffusionTransformer(**SMALL, depth=1, flow_map=True))

    def denoised(tokens, level, following):
        here, there = (torch.full((1, 1), x) for x in (level, following))
        kv_caches = network.prefill(seen[:, :-1])
        return network(tokens, here, seen[:, -1:], kv_caches, towards=there)[0]

    with torch.no_grad():
        expected = sample(denoised, noise, 4, 3.0)
        assert torch.allclose(FewStep(network, 4, 3.0)(seen, noise), expected, atol=1e-4)


def test_a_jepa_of_embeddings_is_refused():
    with pytest.raises(UserError, match="family regression"):
        JepaStep(JointEmbeddingPredictor(**SMALL, encoder_depth=1, predictor_depth=1, target="ema"))


def test_without_onnx_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="vidworld\\[export\\]"):
        export(torch.nn.Identity(), "nothing", (2, 2), 6, tmp_path)


@pytest.mark.parametrize("kind", ["jepa", "few_step"])
def test_every_form_says_what_the_network_says(kind, seen, noise, tmp_path):
    for package in ("onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    if kind == "jepa":
        step = JepaStep(random_weights(JointEmbeddingPredictor(**SMALL, encoder_depth=1, predictor_depth=1)))
    else:
        step = FewStep(random_weights(DiffusionTransformer(**SMALL, depth=1, flow_map=True)), 2, 3.0)
    forms = export(step, kind, (2, 2), 6, tmp_path)
    with torch.no_grad():
        expected = step(seen, noise)
        for form, (found, path) in forms.items():
            assert path is None or path.stat().st_size > 1000
            off = (found(seen, noise) - expected).abs().max() / expected.abs().max()
            assert off < (0.1 if form == "ONNX int8" else 1e-4), form


def test_the_command_names_what_is_missing(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", str(tmp_path)])
    assert ended.value.code == 2
    assert "tokenizer: no finished model there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "config"), [("few_step", {"shift": 8.0, "sampling_shift": 5.0}), ("diffusion", {"shift": 5.0})]
)
def test_an_exported_world_samples_at_the_levels_it_was_trained_for(name, config, tmp_path, monkeypatch):
    models = {
        "tokenizer": Autoencoder(channels=6, width=32, depth=1, heads=1),
        "regression": JointEmbeddingPredictor(**SMALL, encoder_depth=1, predictor_depth=1),
        name: DiffusionTransformer(**SMALL, depth=1, flow_map=name == "few_step"),
    }
    for each, model in models.items():
        save_model(model, tmp_path / each, {"config": config} if each == name else {})
    exported = {}
    monkeypatch.setattr(export_command, "export", lambda module, name, *_: exported.update({name: module}))
    monkeypatch.setattr(export_command, "measure_forms", lambda *_: [])
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", str(tmp_path)])
    assert ended.value.code == 0
    assert exported[name].levels == pytest.approx([1, 15 / 16, 5 / 6, 5 / 8, 0])
    assert json.loads((tmp_path / "export" / "export.json").read_text())["shift"] == 5.0
    save_model(models[name], tmp_path / name, {})
    with pytest.raises(UserError, match="lacks the shift of its training"):
        sampling_shift_of(tmp_path / name)


@pytest.mark.slow
def test_the_command_writes_a_row_a_world_and_form(tmp_path):
    for package in ("onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    models = {
        "tokenizer": Autoencoder(channels=6, width=32, depth=1, heads=1),
        "regression": random_weights(JointEmbeddingPredictor(**SMALL, encoder_depth=1, predictor_depth=1)),
        "few_step": random_weights(DiffusionTransformer(**SMALL, depth=1, flow_map=True)),
    }
    for name, model in models.items():
        save_model(model, tmp_path / name, {"config": {"shift": 8.0, "sampling_shift": 8.0}})
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", str(tmp_path), "--clips", "2", "--steps", "1"])
    assert ended.value.code == 0
    rows = json.loads((tmp_path / "export" / "export.json").read_text())["rows"]
    assert len(rows) == 8
    assert {row["form"] for row in rows} == set(EXPORT_FORMS)
    for row in rows:
        assert row["latency_ms"] > 0
        assert row["file"] is None or (tmp_path / "export" / row["file"]).exists()
        assert all(low <= value <= high for value, low, high in row["error"].values())
