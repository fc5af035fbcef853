"""What an evaluation is made from: what makes it another, and what does not."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from vidworld.evaluation import physics
from vidworld.evaluation.physics import inputs_of, is_measured
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.metrics import METRICS
from vidworld.models.files import FORMAT
from vidworld.simulation import LAWS, SCENARIOS


def run_folder(path, fingerprint):
    (path / "model").mkdir(parents=True, exist_ok=True)
    (path / "model" / "budget.json").write_text(
        json.dumps({"format": FORMAT, "fingerprint": fingerprint, "family": "regression"})
    )
    return path


def data_set(path, frames):
    """The record of an ingested data set whose held-out clips have this content."""
    path.mkdir(exist_ok=True)
    content = {"real": {"frames": frames, "rows": "rows"}, "train": {"frames": "t", "rows": "t"}}
    record = {"content": content, "files": [{"split": "real", "clips": 1}]}
    (path / "ingest.json").write_text(json.dumps(record))
    return path


@pytest.fixture
def config(tmp_path):
    for name in ("tokenizer", "probe", "mine"):
        run_folder(tmp_path / name, name)
    return PhysicsConfig(
        out=tmp_path / "out",
        tokenizer=tmp_path / "tokenizer",
        probe=tmp_path / "probe",
        models={"mine": str(tmp_path / "mine")},
        real=data_set(tmp_path / "real", "a"),
    )


def test_the_same_elsewhere_is_the_same(config, tmp_path):
    before = inputs_of(config)
    for name in ("tokenizer", "probe", "mine", "real"):
        (tmp_path / name).rename(tmp_path / f"moved_{name}")
    moved = replace(
        config,
        out=tmp_path / "elsewhere",
        tokenizer=tmp_path / "moved_tokenizer",
        probe=tmp_path / "moved_probe",
        models={"mine": str(tmp_path / "moved_mine")},
        real=tmp_path / "moved_real",
        clips_at_once=3,
    )
    assert inputs_of(moved) == before


@pytest.mark.parametrize("name", ["tokenizer", "probe", "mine"])
def test_a_model_that_is_trained_again_in_its_place_is_noticed(config, tmp_path, name):
    before = inputs_of(config)
    run_folder(tmp_path / name, "another")
    assert inputs_of(config) != before


def test_held_out_videos_that_are_ingested_again_are_noticed(config, tmp_path):
    before = inputs_of(config)
    data_set(tmp_path / "real", "b")
    assert inputs_of(config) != before
    data_set(tmp_path / "real", "a")
    assert inputs_of(config) == before


@pytest.mark.parametrize(
    ("registry", "name"), [(METRICS, "velocity_error"), (SCENARIOS, "collision"), (LAWS, "momentum")]
)
def test_another_version_is_noticed(config, monkeypatch, registry, name):
    before = inputs_of(config)
    monkeypatch.setitem(registry._versions, name, 99)
    assert inputs_of(config) != before


def test_another_simulator_and_another_label_are_noticed(config, monkeypatch):
    before = inputs_of(config)
    with monkeypatch.context() as change:
        change.setattr(physics, "SIMULATOR_VERSION", physics.SIMULATOR_VERSION + 1)
        assert inputs_of(config) != before
    other = replace(METRICS["velocity_error"], description="Another text.")
    monkeypatch.setitem(METRICS._loaded, "velocity_error", other)
    assert inputs_of(config) != before  # the page is written again; units, which know no text, are kept


def test_what_is_measured_says_from_what(config, tmp_path):
    config.out.mkdir()
    assert not is_measured(config.out, "x")
    (config.out / "results.json").write_text("{}")
    (config.out / "comparison.json").write_text(json.dumps({"inputs": "x"}))
    assert is_measured(config.out, "x")
    assert not is_measured(config.out, "y")
    (config.out / "comparison.json").write_text("[]")
    assert not is_measured(config.out, "x")


def test_a_name_that_is_given_twice_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(ValidationError, match="momentum is named twice"):
        PhysicsConfig(out=tmp_path, laws=("momentum", "collision", "momentum"))
