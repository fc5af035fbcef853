"""Physics-IQ scored as its authors score it, through score_benchmark on a folder as they lay it out."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import physics_iq_scenes as scenes
import pytest
from scripts import run

from vidworld.evaluation.benchmarks.physics_iq_published import (
    ScoredVideo,
    frozen_video,
    generated_video,
    measures_as_published,
    takes_as_published,
    true_video,
    video_of_frames,
)
from vidworld.video.decode import Unreadable

SHAPE = ("shape.height_px=32", "shape.width_px=32", "context_frames=8")


def all_of(video: ScoredVideo) -> np.ndarray:
    return np.stack([picture.copy() for picture in video.pictures()])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("physics_iq")
    scenes.write_folder(place / "benchmark")
    scenes.write_generated(place / "generated")
    return place


def scores(out: Path) -> dict[tuple[str, str, str], float]:
    """Values by model, split and metric."""
    rows = json.loads((out / "results.json").read_text())["results"]
    return {(row["model"], row["split"], row["metric"]): row["value"] for row in rows}


@pytest.mark.thorough
def test_the_published_score_is_reproduced_through_the_script(folder: Path, tmp_path: Path, capsys: Any) -> None:
    model = ("--model", f"mine=videos:{folder / 'generated'}", "--model", "still=python:my_world.MyWorld")
    assert run("eval/score_benchmark.py", "physics_iq", folder / "benchmark", *model, *SHAPE, "--out", tmp_path) == 0
    said = capsys.readouterr().out
    found = scores(tmp_path)
    original, verified = scenes.published_score(folder / "benchmark", folder / "generated", tmp_path)
    assert 30 < original < 100
    assert found["mine", "published_30fps", "physics_iq_score"] == pytest.approx(original, abs=0.1)
    assert found["mine", "published_30fps", "physics_iq_verified_score"] == pytest.approx(verified, abs=0.1)
    # What runs here is scored as its videos would be, at its rate; a frozen frame also at the videos' own.
    assert {split for name, split, _ in found if name == "still"} == {"published_10fps", "test"}
    frozen = {split for name, split, _ in found if name == "copy_last"}
    assert frozen == {"published_10fps", "published_30fps", "test"}
    # The difference between the settings is said, and that this is a part of the benchmark.
    assert "mine, motion, published_30fps, physics_iq_score" in said and "mine, motion, test, physics_iq_score" in said
    assert "its authors' own setting" in said and "3 of the 198 first takes" in said
    comparison = json.loads((tmp_path / "comparison.json").read_text())
    assert any("its authors' own setting" in note for note in comparison["notes"])


def test_a_frozen_frame_at_the_videos_own_size_is_scored_as_such_a_video(folder: Path, tmp_path: Path) -> None:
    """The second generated video is that frame, after compression."""
    (full,) = folder.glob("benchmark/full-videos/take-1/30FPS/0002_*.mp4")
    (video,) = folder.glob("benchmark/split-videos/testing/30FPS/0002_*.mp4")
    (made,) = folder.glob("generated/0002_*.mp4")
    frozen = measures_as_published(frozen_video(full, scenes.CONTEXT - 1, 30.0), video)
    assert frozen == pytest.approx(measures_as_published(generated_video(made, None, 0.8), video), abs=2e-3)


def test_masks_that_the_authors_give_are_used(folder: Path, tmp_path: Path) -> None:
    """Theirs are of 0001's own motion; here they say that nothing ever moves, and so is it scored."""
    shutil.copytree(folder / "benchmark", tmp_path / "b")
    one, two = (next(tmp_path.glob(f"b/split-videos/testing/30FPS/{n}_*.mp4")) for n in ("0001", "0199"))
    before = takes_as_published(one, two, 30.0)
    assert before[0] < 1
    for video in (one, two):
        mask = tmp_path / "b/video-masks/real/30FPS" / video.name.replace("testing-videos", "video-masks")
        scenes._video(mask, np.zeros((scenes.FUTURE, scenes.HEIGHT, scenes.WIDTH, 3), np.uint8))
        video.touch()
    assert takes_as_published(one, two, 30.0)[:3] == (1.0, 1.0, 1.0)


def test_true_videos_are_blended_to_another_rate_or_read_where_they_are_there(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "benchmark", tmp_path / "b")
    (video,) = tmp_path.glob("b/split-videos/testing/30FPS/0001_*.mp4")
    whole = all_of(true_video(video, 30.0))
    eight = all_of(true_video(video, 8.0))
    assert len(eight) == 40
    places = np.arange(40) * 149 / 39  # from the first of the five seconds to the last, as its code has it
    below = np.minimum(places.astype(int), 148)
    share = (places - below)[:, None, None, None]
    assert np.abs(eight - ((1 - share) * whole[below] + share * whole[below + 1])).max() <= 1
    other = tmp_path / "b/split-videos/testing/8FPS" / video.name.replace("30FPS", "8FPS")
    scenes._video(other, np.full((40, scenes.HEIGHT, scenes.WIDTH, 3), 77, np.uint8), 8)
    assert np.abs(all_of(true_video(video, 8.0)).astype(int) - 77).max() <= 2


def test_a_video_of_a_models_own_begins_where_it_is_said_to(folder: Path, tmp_path: Path) -> None:
    """With the context, or the last frame before the switch: that is left out."""
    (video,) = folder.glob("benchmark/split-videos/testing/30FPS/0001_*.mp4")
    expected = measures_as_published(generated_video(next(folder.glob("generated/0001_*")), None, 0.8), video)
    for lead, begins in ((24, "context"), (1, "last frame")):
        scenes.write_generated(tmp_path / begins, lead=lead)
        (made,) = tmp_path.glob(f"{begins}/0001_*.mp4")
        found = measures_as_published(generated_video(made, begins, 0.8), video)
        assert found == pytest.approx(expected, abs=0.05)  # another compression; a frame off changes more
    with pytest.raises(Unreadable, match=r"0001_.*lasts 5\.80 s; Physics-IQ scores the five seconds after the switch"):
        generated_video(next(tmp_path.glob("context/0001_*.mp4")), None, 0.8)


def test_what_a_model_predicts_here_is_scored_at_its_own_size_and_rate(folder: Path) -> None:
    """True frames at a quarter of the size and ten a second come near the truth; frozen ones do not."""
    (video,) = folder.glob("benchmark/split-videos/testing/30FPS/0001_*.mp4")
    pictures = all_of(true_video(video, 10.0))[..., ::-1].transpose(0, 3, 1, 2)
    near = measures_as_published(video_of_frames(pictures, 10.0), video)
    still = measures_as_published(video_of_frames(pictures[:1].repeat(50, axis=0), 10.0), video)
    assert near == (1.0, 1.0, 1.0, 0.0)
    assert still[0] == 0.0 and still[3] > 0.001


@pytest.mark.thorough
def test_a_models_video_of_another_length_is_one_line(folder: Path, tmp_path: Path, capsys: Any) -> None:
    scenes.write_generated(tmp_path / "generated", lead=90)  # the three seconds before the switch were left in
    model = ("--model", f"mine=videos:{tmp_path / 'generated'}", "--model", "still=python:my_world.MyWorld")
    here = ("--out", tmp_path / "out")
    assert run("eval/score_benchmark.py", "physics_iq", folder / "benchmark", *model, *SHAPE, *here) == 2
    said = capsys.readouterr()
    assert "lasts 8.00 s; Physics-IQ scores the five seconds after the switch" in said.err
    assert "still, motion, published_10fps, physics_iq_score" in said.out  # and the others are scored
