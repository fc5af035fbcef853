"""What training clips are known by: everything that can make one of them another, and nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vidworld.core.clip_shape import ClipShape
from vidworld.models.schema import DataConfig
from vidworld.simulation import SCENARIOS
from vidworld.training import finished
from vidworld.training.data import training_clips, weights

CONFIG = DataConfig(scenarios={"uniform": 1.0, "bounce": 2.0})


@pytest.mark.parametrize(
    "other",
    [
        replace(CONFIG, seed=1),
        replace(CONFIG, clips=10),
        replace(CONFIG, shape=ClipShape(fps=12.0)),
        replace(CONFIG, scenarios={"uniform": 1.0, "bounce": 1.0}),
        replace(CONFIG, scenarios={"bounce": 2.0, "uniform": 1.0}),  # other clips have these numbers
    ],
)
def test_another_configuration_is_of_other_clips(other: DataConfig) -> None:
    assert training_clips(other) != training_clips(CONFIG) == training_clips(replace(CONFIG))


def test_another_version_of_what_is_drawn_is_of_other_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    before = training_clips(CONFIG)
    with monkeypatch.context() as change:
        change.setattr(finished, "SIMULATOR_VERSION", finished.SIMULATOR_VERSION + 1)
        assert training_clips(CONFIG) != before
    for name, same in (("bounce", False), ("billiards", True)):
        with monkeypatch.context() as change:
            change.setitem(SCENARIOS._versions, name, 2)
            assert (training_clips(CONFIG) == before) is same


def test_real_clips_are_known_by_what_they_hold(tmp_path: Path) -> None:
    def made(name: str, frames: str) -> DataConfig:
        (tmp_path / name).mkdir()
        record = {"content": {"train": {"frames": frames}}}
        (tmp_path / name / "ingest.json").write_text(json.dumps(record))
        return replace(CONFIG, real=tmp_path / name)

    first, moved, other = (training_clips(made(*one)) for one in (("a", "x"), ("b", "x"), ("c", "y")))
    assert first == moved and len({first, other, training_clips(CONFIG)}) == 3


def test_by_default_every_scenario_that_has_a_weight_is_drawn_by_it() -> None:
    """The order is that of the registry: which clip a number belongs to depends on it."""
    assert list(weights(DataConfig()).items()) == [
        ("uniform", 1.0),
        ("parabola", 1.0),
        ("collision", 3.0),
        ("bounce", 1.0),
        ("billiards", 1.0),
        ("occlusion", 3.0),
        ("hidden_pairs", 3.0),
        ("open_pairs", 2.0),
    ]


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no scenario 'bonce'; did you mean bounce"):
        DataConfig(scenarios={"bonce": 1.0})
