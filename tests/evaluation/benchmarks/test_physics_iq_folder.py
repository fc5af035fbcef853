"""Physics-IQ's folder as its authors describe and number it, and what is missing in one."""

from pathlib import Path

import pytest
import samples

from vidworld.evaluation.benchmarks import BENCHMARKS
from vidworld.evaluation.benchmarks.benchmark import check

PHYSICS_IQ = BENCHMARKS["physics_iq"]


def test_second_takes_need_no_switch_frame_and_first_ones_are_not_invented(tmp_path: Path) -> None:
    samples.physics_iq(tmp_path)
    assert check(PHYSICS_IQ, tmp_path) == []
    entries = PHYSICS_IQ.entries(tmp_path)
    assert len(entries) == 6
    assert {entry.video.name[:4] for entry in entries} == {"0001", "0002", "0003", "0199", "0200", "0201"}
    for number in ("0199", "0200", "0201"):  # somebody made these to please an older checker
        side = {"0199": "left", "0200": "center", "0201": "right"}[number]
        name = f"{number}_switch-frames_anyFPS_perspective-{side}_trimmed-ball.jpg"
        (tmp_path / "switch-frames" / name).write_bytes(b"x")
    assert [entry.identity for entry in PHYSICS_IQ.entries(tmp_path)] == [entry.identity for entry in entries]
    assert check(PHYSICS_IQ, tmp_path) == []


@pytest.mark.parametrize(
    ("taken", "named"),
    [
        ("switch-frames/0002_*", "0002_switch-frames_anyFPS_perspective-center_trimmed-ball.jpg"),
        ("split-videos/testing/30FPS/0201_*", "0201_testing-videos_30FPS_perspective-right_take-2_trimmed-ball.mp4"),
        ("split-videos/testing/30FPS/0001_*", "0001_testing-videos_30FPS_perspective-left_take-1_trimmed-ball.mp4"),
        ("full-videos/take-1/30FPS/0001_*", "0001_full-videos_30FPS_perspective-left_take-1_trimmed-ball.mp4"),
        ("full-videos/take-2/30FPS/0199_*", "0199_full-videos_30FPS_perspective-left_take-2_trimmed-ball.mp4"),
        ("video-masks/real/30FPS/0200_*", "0200_video-masks_30FPS_perspective-center_take-2_trimmed-ball.mp4"),
    ],
)
def test_what_is_missing_is_named_as_its_authors_name_it(taken: str, named: str, tmp_path: Path) -> None:
    samples.physics_iq(tmp_path)
    (file,) = tmp_path.glob(taken)
    file.unlink()
    (line,) = check(PHYSICS_IQ, tmp_path)
    assert named in line and "is missing" in line


def test_without_second_takes_there_is_no_score_and_they_are_named(tmp_path: Path) -> None:
    samples.physics_iq(tmp_path, sides=("left",))
    for file in tmp_path.rglob("*_take-2_*"):
        file.unlink()
    lines = check(PHYSICS_IQ, tmp_path)
    assert any(
        "0199_testing-videos_30FPS_perspective-left_take-2_trimmed-ball.mp4: is missing" in line for line in lines
    )


def test_physics_iq_verified_has_no_full_videos_of_second_takes(tmp_path: Path) -> None:
    samples.physics_iq(tmp_path, sides=("left",))
    for file in (tmp_path / "full-videos" / "take-2" / "30FPS").iterdir():
        file.unlink()
    (tmp_path / "full-videos" / "take-2" / "30FPS").rmdir()
    assert check(PHYSICS_IQ, tmp_path) == []


def test_switch_frames_may_name_the_take_and_the_folder_be_called_testing_videos(tmp_path: Path) -> None:
    samples.physics_iq(tmp_path, sides=("left",))
    (frame,) = (tmp_path / "switch-frames").iterdir()
    frame.rename(frame.with_name(frame.name.replace("left_", "left_take-1_")))
    (tmp_path / "split-videos" / "testing").rename(tmp_path / "split-videos" / "testing-videos")
    assert check(PHYSICS_IQ, tmp_path) == []
    assert len(PHYSICS_IQ.entries(tmp_path)) == 2


def test_masks_are_made_where_there_are_none(tmp_path: Path) -> None:
    samples.physics_iq(tmp_path, sides=("left",))
    for file in (tmp_path / "video-masks").rglob("*.mp4"):
        file.unlink()
    for place in ("30FPS", ""):
        (tmp_path / "video-masks" / "real" / place).rmdir()
    assert check(PHYSICS_IQ, tmp_path) == []


def test_what_a_score_reads_beside_its_own_video_is_known(tmp_path: Path) -> None:
    """The other take, and both at other rates where they are there: a changed file is measured again."""
    samples.physics_iq(tmp_path, sides=("left",))
    samples.recording(
        tmp_path / "split-videos/testing/8FPS/0199_testing-videos_8FPS_perspective-left_take-2_trimmed-ball.mp4"
    )
    samples.recording(tmp_path / "video-masks/real/8FPS/0001_video-masks_8FPS_perspective-left_take-1_trimmed-ball.mp4")
    first = PHYSICS_IQ.entries(tmp_path)[0]
    assert {(path.parent.name, path.name[:11]) for path in first.compared_with} == {
        ("30FPS", "0199_testin"),
        ("8FPS", "0199_testin"),
        ("8FPS", "0001_video-"),
    }
