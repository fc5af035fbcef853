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
        "regression": trained(tmp_path / "regression", training_flops=2 * 10**9, parameters=1100),
    }


def test_each_pair_is_judged_by_itself(folders):
    found = compare(folders, [("jepa", "diffusion"), ("jepa", "regression")])
    assert found.controlled == {"jepa vs diffusion": True, "jepa vs regression": False}
    assert found.differences["jepa vs diffusion"] == []
    parameters, flops = found.differences["jepa vs regression"]
    assert parameters == "parameters differ by more than 5%: 1000 and 1100"
    assert flops == "training flops differ by more than 5%: 1e+09 and 2e+09"
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


def test_a_decoder_is_a_part_of_its_models_cost(folders, tmp_path):
    decoder = {"jepa": trained(tmp_path / "probe_jepa")}
    found = compare(folders, [("jepa", "diffusion"), ("jepa", "regression")], decoder)
    assert found.budgets["jepa"]["training_flops"] == 2 * 10**9 and found.budgets["jepa"]["seconds"] == 10
    assert not found.controlled["jepa vs diffusion"]
    assert found.differences["jepa vs regression"] == ["parameters differ by more than 5%: 1000 and 1100"]


def test_fewer_steps_of_the_same_cost_are_controlled(folders, tmp_path):
    folders["fewer"] = trained(tmp_path / "fewer", steps=8, clips_seen=256)
    assert compare(folders, [("jepa", "fewer")]).controlled == {"jepa vs fewer": True}
