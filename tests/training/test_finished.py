"""What a run folder's records tell: done before, of another configuration, of networks that have changed since."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vidworld.core.config import resolved
from vidworld.core.errors import UserError
from vidworld.models.files import FORMAT, WEIGHTS, fingerprint_in, read_budget
from vidworld.models.schema import DataConfig, ProbeConfig, TokenizerConfig
from vidworld.simulation import SCENARIOS
from vidworld.training import finished
from vidworld.training.finished import data_sources, is_finished

SOURCES = {"tokenizer": "a tokenizer", "jepa": "a predictor"}


@pytest.fixture
def config(tmp_path):
    """That of a probe which lies finished in its folder."""
    return probe(tmp_path / "probe")


def probe(out, **record):
    """The configuration of a probe whose record says this besides."""
    config = ProbeConfig(out=out, tokenizer=out.parent / "tokenizer", jepa=out.parent / "jepa")
    budget = {"config": resolved(config), "format": FORMAT, "fingerprint": "a probe"} | SOURCES | record
    (out / "model").mkdir(parents=True)
    (out / "model" / "budget.json").write_text(json.dumps(budget, default=str))
    written(out)
    return config


def written(out):
    """The other files of a model, whose weights are one number."""
    (out / "model" / "config.json").write_text("{}")
    save_file({"weight": torch.zeros(1)}, out / "model" / WEIGHTS)


def test_the_same_again_is_finished(config, capsys):
    assert is_finished(config, SOURCES)
    assert "nothing to do" in capsys.readouterr().out
    assert fingerprint_in(config.out) == "a probe"


def test_a_probe_of_a_predictor_that_was_trained_again_in_its_place_is_another(config):
    with pytest.raises(UserError, match=r"the jepa that is read \(a predictor, now another\)"):
        is_finished(config, SOURCES | {"jepa": "another"})


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_a_finished_model_that_is_damaged_is_said(config, name):
    path = config.out / "model" / name
    whole = path.read_bytes()
    path.write_bytes(b"[]" if name == "config.json" else whole[:-2])
    with pytest.raises(UserError, match=rf"{name}: is damaged.*; remove the run's folder model/ and train it again"):
        is_finished(config, SOURCES)
    path.unlink()
    with pytest.raises(UserError, match=name):
        is_finished(config, SOURCES)
    for budget in ("[]", json.dumps({"format": FORMAT})):
        (config.out / "model" / "budget.json").write_text(budget)
        with pytest.raises(UserError, match=r"budget\.json: is damaged"):
            fingerprint_in(config.out)


def test_other_real_clips_are_another_training_and_the_same_elsewhere_are_not(tmp_path):
    def training(real):
        return TokenizerConfig(out=tmp_path / "tokenizer", data=DataConfig(real=real))

    (tmp_path / "tokenizer" / "model").mkdir(parents=True)
    budget = {"config": resolved(training(tmp_path / "real")), "format": FORMAT, "real_clips": "abc"}
    (tmp_path / "tokenizer" / "model" / "budget.json").write_text(json.dumps(budget))
    written(tmp_path / "tokenizer")
    assert is_finished(training(tmp_path / "moved"), {"real_clips": "abc"})
    for config, clips in ((training(tmp_path / "real"), "def"), (training(None), None)):
        with pytest.raises(UserError, match=rf"the real clips that are trained on \(abc, now {clips}\); choose"):
            is_finished(config, {"real_clips": clips})


def test_a_simulator_or_scenario_of_another_version_is_another_training(monkeypatch):
    """Without importing any: which of all have a weight is not looked at."""
    all_of_them, one = DataConfig(), DataConfig(scenarios={"bounce": 1.0})
    before = [data_sources(data)["simulation"] for data in (all_of_them, one)]
    assert len(set(before)) == 2

    def changed():
        now = [data_sources(data)["simulation"] for data in (all_of_them, one)]
        return [a != b for a, b in zip(before, now, strict=True)]

    for name, expected in (("bounce", [True, True]), ("collision", [True, False])):
        with monkeypatch.context() as change:
            change.setitem(SCENARIOS._versions, name, 2)
            assert changed() == expected
    monkeypatch.setattr(finished, "SIMULATOR_VERSION", finished.SIMULATOR_VERSION + 1)
    assert changed() == [True, True]


@pytest.mark.parametrize("saved", [FORMAT - 1, FORMAT + 1, None])
def test_weights_that_meant_another_network_are_refused(tmp_path, saved):
    config = probe(tmp_path / "probe", format=saved)
    for ask in (lambda: read_budget(config.out), lambda: is_finished(config, SOURCES)):
        with pytest.raises(UserError, match=f"probe: its model is of format .* {FORMAT}\\); train it again"):
            ask()


def test_a_folder_without_a_model_is_not_finished(tmp_path):
    config = ProbeConfig(out=tmp_path, tokenizer=tmp_path)
    assert not is_finished(config, SOURCES)
    with pytest.raises(UserError, match="no finished model there"):
        fingerprint_in(tmp_path)


SCRIPTS = dict.fromkeys(("diffusion", "regression", "jepa"), "world_model")


def started(name, *given):
    """What a training script says that cannot begin, with whether torch was imported as its last word."""
    root = Path(__file__).parents[2]
    loaded = "import atexit, runpy, sys; atexit.register(lambda: print('torch' in sys.modules))"
    script = f"{loaded}; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    configured = ["--config", str(root / "configs" / "demo" / f"{name}.yaml")]
    path = str(root / "train" / f"train_{SCRIPTS.get(name, name)}.py")
    command = [sys.executable, "-c", script, path, *configured, *given]
    said = subprocess.run(command, check=False, capture_output=True, text=True)
    assert said.returncode == 2, said.stderr
    return said


@pytest.mark.parametrize("name", ["tokenizer", "diffusion", "regression", "jepa", "probe", "few_step"])
def test_a_script_that_cannot_begin_does_not_wait_for_torch(name, tmp_path):
    """The tokenizer's finds another's model in its place, the others that there is no tokenizer."""
    given = ["steps=1"] if name == "tokenizer" else [f"tokenizer={tmp_path / 'none'}"]
    if name == "tokenizer":
        (tmp_path / name / "model").mkdir(parents=True)
        (tmp_path / name / "model" / "budget.json").write_text(json.dumps({"format": FORMAT}))
    assert started(name, f"out={tmp_path / name}", *given).stdout.split()[-1] == "False"


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("jepa", ["family=japa"], "there is no model family 'japa'; did you mean jepa?"),
        ("jepa", ["model.target=frozen"], "a model that predicts frozen tokens is of the family regression"),
        ("regression", ["p_full_noise=0.5"], "there is no key p_full_noise"),
        ("tokenizer", ["data.scenarios={bonce: 1.0}"], "there is no scenario 'bonce'; did you mean bounce?"),
    ],
)
def test_a_name_that_does_not_exist_is_one_line_before_torch_is_imported(name, given, says, tmp_path):
    said = started(name, f"out={tmp_path}", *given)
    assert says in said.stderr
    assert len(said.stderr.splitlines()) == 1
    assert said.stdout.split()[-1] == "False"
