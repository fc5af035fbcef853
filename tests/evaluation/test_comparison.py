"""A pair of models is a controlled comparison only where all that a fair one holds equal is equal."""

import json

import pytest

from vidworld.core.errors import UserError
from vidworld.evaluation.physics import compare
from vidworld.models.files import FORMAT


def trained(folder, **changed):
    """A run folder with the record of a finished training."""
    record = {"tokenizer": "t", "parameters": 1000, "steps": 10, "clips_seen": 320, "training_flops": 10**9}
    record |= {"seconds": 5.0, "config": {"data": {"clips": 4}, "seed": 0}, "format": FORMAT} | changed
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "budget.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def folders(tmp_path):
    return {
        "jepa": trained(tmp_path / "jepa"),
        "diffusion": trained(tmp_path / "diffusion", parameters=1040),
        "regression": trained(tmp_path / "regression", steps=20, parameters=1100),
    }


def test_each_pair_is_judged_by_itself(folders):
    found = compare(folders, [("jepa", "diffusion"), ("jepa", "regression")])
    assert found.controlled == {"jepa vs diffusion": True, "jepa vs regression": False}
    assert found.differences["jepa vs diffusion"] == []
    steps, parameters = found.differences["jepa vs regression"]
    assert steps == "steps differ: 10 and 20" and "by more than 5%" in parameters
    assert list(found.budgets) == ["jepa", "diffusion", "regression"]
    assert [note.split(":")[0] for note in found.notes] == ["jepa vs diffusion"]


def test_a_pair_with_a_model_from_elsewhere_is_not_controlled(folders):
    found = compare(folders, [("jepa", "mine")])
    assert found.controlled == {"jepa vs mine": False}
    assert found.differences == {"jepa vs mine": ["mine was trained elsewhere: its budget is not known"]}


def test_a_record_that_lacks_something_is_named(folders, tmp_path):
    (folders["jepa"] / "model" / "budget.json").write_text(json.dumps({"format": FORMAT, "config": {}}))
    with pytest.raises(UserError, match=r"jepa: its model/budget\.json lacks 'data'; train it again"):
        compare(folders, [("jepa", "diffusion")])
