"""Checkpoints, records of a run and models that are damaged: each is set aside, or one line that names the file."""

import json
from pathlib import Path

import pytest
import torch
from scripts import ROOT

from vidworld.core.config import load
from vidworld.core.errors import UserError
from vidworld.core.records import file_digest
from vidworld.models import files
from vidworld.models.files import FORMAT, check_tokenizer, check_whole, fingerprint_in, load_model, read_budget
from vidworld.models.schema import KeepConfig, ProbeConfig, TokenizerConfig
from vidworld.models.tokenizers import load_tokenizer
from vidworld.models.tokenizers.autoencoder import Autoencoder
from vidworld.training.checkpoint import State, checkpoints, fitting, newest_checkpoint, save_checkpoint
from vidworld.training.finished import is_finished
from vidworld.training.run_log import RunLog


def test_a_probe_that_cannot_be_made_is_refused_when_its_configuration_is_read():
    probe = ROOT / "configs" / "demo" / "probe.yaml"
    with pytest.raises(UserError, match="a probe learns where simulated objects are"):
        load(ProbeConfig, probe, ["data.scenarios={}", "data.real=x"])
    with pytest.raises(UserError, match="heads are 64 wide"):
        load(ProbeConfig, probe, ["width=200"])


# --- checkpoints ---


def saved(run_folder, *steps, **numbers):
    for step in steps:
        save_checkpoint(run_folder, step, State({"network": {"weight": torch.zeros(2)}}, numbers), KeepConfig(last=9))


def test_a_checkpoint_is_not_believed_by_its_name(tmp_path, capsys):
    saved(tmp_path, 2, 4, config={"steps": 6})
    newest = tmp_path / "checkpoints" / "step_00000004"
    newest.rename(newest.with_name("step_99999999"))
    assert newest_checkpoint(tmp_path)[0] == 2
    assert "step_99999999: state.json is of step 4; set aside" in capsys.readouterr().out
    saved(tmp_path, 9, config={"steps": 6})
    assert newest_checkpoint(tmp_path)[0] == 2
    assert "state.json is of a run of 6 steps" in capsys.readouterr().out


@pytest.mark.parametrize("manifest", ["{}", "[]", "3", '{"state.json": "0"}'])
def test_a_manifest_that_names_nothing_is_broken(manifest, tmp_path, capsys):
    saved(tmp_path, 2, 4)
    (tmp_path / "checkpoints" / "step_00000004" / "manifest.json").write_text(manifest)
    assert newest_checkpoint(tmp_path)[0] == 2
    assert "manifest.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    "state", ["[]", "{}", '"x"', '{"step": 4, "config": []}', '{"step": 4, "config": {"steps": "x"}}']
)
def test_a_state_that_is_none_is_broken_whatever_the_manifest_says(state, tmp_path, capsys):
    saved(tmp_path, 2, 4)
    folder = tmp_path / "checkpoints" / "step_00000004"
    (folder / "state.json").write_text(state)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"state.json": file_digest(folder / "state.json")}))
    saved(tmp_path, 5)  # ranks the others by their loss, which this one has not
    assert checkpoints(tmp_path)[-1][0] == 5
    (tmp_path / "checkpoints" / "step_00000005").rename(tmp_path / "checkpoints" / "step_²")  # no number
    assert newest_checkpoint(tmp_path)[0] == 2
    assert "state.json holds no state" in capsys.readouterr().out


@pytest.mark.parametrize("error", [KeyError("spikes"), RuntimeError("sizes\nof tensors"), TypeError()])
def test_what_a_checkpoint_lacks_is_one_line_that_names_it(error):
    with (
        pytest.raises(UserError, match=r"step_00000004: does not fit this run \([^\n]*\); remove it"),
        fitting(Path("o"), 4),
    ):
        raise error


# --- the records of a run that goes on ---


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("metrics.jsonl", "{}\n", "line 1 has no step and seconds"),
        ("metrics.jsonl", '{"step": 1, "seconds": 1}\n{"step": "x", "seconds": 1}\n', "line 2 has no step"),
        ("provenance.json", "[]", "is no record of a run"),
        ("provenance.json", '{"resumed": 3}', "is no record of a run"),
    ],
)
def test_damaged_records_of_a_run_are_one_line(file, text, says, tmp_path):
    config = TokenizerConfig(out=tmp_path)
    RunLog(tmp_path, config, 0, trackers=()).write(1, {"loss": 1.0})
    RunLog(tmp_path, config, 0, resumed_step=1, trackers=())
    (tmp_path / file).write_text(text)
    with pytest.raises(UserError, match=says) as caught:
        RunLog(tmp_path, config, 0, resumed_step=1, trackers=())
    assert file in str(caught.value) and "\n" not in str(caught.value)


# --- models ---


@pytest.fixture
def model(tmp_path):
    """The run folder of a small tokenizer that is whole."""
    network = Autoencoder(channels=8, width=32, depth=1, heads=1, grid=(4, 4))
    files.save_model(network, tmp_path, {"tokenizer": "its tokenizer", "config": {}})
    return tmp_path


@pytest.mark.parametrize("damage", ["missing", "cut", "longer", "empty", "headless"])
def test_a_finished_model_whose_weights_are_damaged_is_said(damage, model):
    check_whole(model)
    path = model / "model" / files.WEIGHTS
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        changed = {"cut": content[:-9], "longer": content + b"x", "empty": b"", "headless": b"\0" * 100}
        path.write_bytes(changed[damage])
    with pytest.raises(UserError, match=r"safetensors: is .*; remove the run's folder model/ and train it again"):
        check_whole(model)


@pytest.mark.parametrize("text", ["[]", "{", '{"_class_name": "Autoencoder", "width": "x"}'])
def test_a_damaged_configuration_of_a_model_is_one_line(text, model):
    (model / "model" / "config.json").write_text(text)
    for ask in (load_tokenizer, lambda folder: load_model(Autoencoder, folder)):
        with pytest.raises(UserError, match=str(model)) as caught:
            ask(model)
        assert "\n" not in str(caught.value)


def test_a_damaged_budget_is_one_line(model):
    path = model / "model" / "budget.json"
    path.write_text(json.dumps({"format": FORMAT}))
    with pytest.raises(UserError, match=r"budget\.json: is damaged, as it has no fingerprint"):
        fingerprint_in(model)
    path.write_text("[]")
    for ask in (read_budget, fingerprint_in, lambda folder: is_finished(TokenizerConfig(out=folder))):
        with pytest.raises(UserError, match=r"budget\.json: is damaged, as it holds no JSON object"):
            ask(model)


def test_a_model_of_another_tokenizer_is_refused_where_one_is_named(model):
    check_tokenizer(None, "another")
    check_tokenizer(model, "its tokenizer")
    with pytest.raises(UserError, match="trained on the tokens of tokenizer its tokenizer, and this one is another"):
        check_tokenizer(model, "another")
