"""Simulated scenes in the folders of benchmarks: complete, and seen by a model as our own evaluation shows them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks import BENCHMARKS
from vidworld.evaluation.benchmarks.benchmark import check
from vidworld.evaluation.benchmarks.continuation import clip_of
from vidworld.evaluation.benchmarks.phyworld_hdf5 import true_positions
from vidworld.evaluation.benchmarks.samples import SAMPLES, write_samples
from vidworld.simulation.quadruplets import quadruplets
from vidworld.simulation.simulated import SimulatedClips

NEEDS_H5PY = pytest.mark.skipif(importlib.util.find_spec("h5py") is None, reason="needs vidworld[benchmarks]")


@pytest.mark.thorough
@pytest.mark.parametrize("kind", [kind for kind in SAMPLES if kind not in ("physics_iq", "phyworld_hdf5")])
def test_a_folder_of_samples_is_complete(kind: str, tmp_path: Path) -> None:
    folder = write_samples(kind, tmp_path / kind, 1)
    assert check(BENCHMARKS[kind], folder) == []
    (next(path for path in sorted(folder.rglob("*")) if path.suffix in (".png", ".mp4"))).unlink()
    assert check(BENCHMARKS[kind], folder) != []


@pytest.mark.parametrize(
    ("kind", "name", "law"), [("intphys", "O2/0001/", "constancy"), ("inflevel", "", "continuity")]
)
def test_a_model_sees_the_quadruplet_that_our_own_evaluation_shows(
    kind: str, name: str, law: str, tmp_path: Path
) -> None:
    entries = BENCHMARKS[kind].entries(write_samples(kind, tmp_path / kind, 1))
    one = quadruplets(law, "id", 0, [0])
    videos = {True: (one.a, one.b), False: (one.a_then_b, one.b_then_a)}
    ours = [entry for entry in entries if entry.identity.startswith(name) and entry.property.lower() == law]
    for side, clips in videos.items():
        shown = [entry for entry in ours if entry.possible is side]
        assert len(shown) == (2 if kind.startswith("intphys") else 1)
        for entry, clip in zip(shown, clips, strict=False):
            seen = clip_of(BENCHMARKS[kind], entry, 64).frames.int()
            away = (seen - clip.frames.int()).abs().float()
            assert away.max() == 0 if kind == "intphys" else away.mean() < 3  # pictures lose nothing, H.264 a little


def test_takes_of_a_scene_differ_a_little_and_more_with_time(tmp_path: Path) -> None:
    folder = write_samples("physics_iq", tmp_path / "samples", 1)
    assert check(BENCHMARKS["physics_iq"], folder) == []
    entries = BENCHMARKS["physics_iq"].entries(folder)
    one, other = (clip_of(BENCHMARKS["physics_iq"], entry, 64).frames[0].float() for entry in entries)
    apart = (one - other).abs().mean(dim=(1, 2, 3))
    assert one.shape[0] == 150
    assert 0 < apart[:30].mean() < apart[-30:].mean() < 20


@NEEDS_H5PY
def test_places_in_a_phyworld_sample_are_those_of_the_scene(tmp_path: Path) -> None:
    folder = write_samples("phyworld_hdf5", tmp_path / "samples", 1)
    assert check(BENCHMARKS["phyworld_hdf5"], folder) == []
    entries = BENCHMARKS["phyworld_hdf5"].entries(folder)
    (thrown,) = (entry for entry in entries if entry.property == "parabola")
    truth = SimulatedClips("phyworld_parabola", "id").clips([0]).tracks
    assert truth is not None
    np.testing.assert_allclose(true_positions(thrown)[:, 0][:16], truth.position[0, :, 0].numpy(), atol=1e-4)


def test_what_cannot_be_written_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(UserError, match="holds something already"):
        write_samples("grasp", tmp_path, 1)
    with pytest.raises(UserError, match="no samples of 'morpheus'; there are of intphys, "):
        write_samples("morpheus", tmp_path / "new", 1)
    with pytest.raises(UserError, match="--count 0"):
        write_samples("grasp", tmp_path / "new", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
