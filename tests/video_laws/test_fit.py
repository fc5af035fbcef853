"""Real videos end to end: tracked, fitted, recorded, and not done twice."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vidworld.core.errors import UserError
from vidworld.core.media import write_mp4
from vidworld.video.sidecar import SidecarEntry, read_sidecar
from vidworld.video_laws.fit import FIT_RECORD_NAME, VideoFit, fit_summary, fit_video, fit_videos, footage_of

PROJECT = Path(__file__).parents[2]
REAL_VIDEO = PROJECT.parent / "shared" / "real_video"
needs_real_video = pytest.mark.skipif(
    not REAL_VIDEO.is_dir(), reason="the sample videos are not here (../shared/real_video)"
)

CLEAN = ("proj60.mp4", "puck_headon.mp4", "puck_glancing_spin.mp4", "pendulum_damped_red.mp4")
CLEAN += ("toss_tennis.mp4", "toss_updown.mp4", "osp_ball_toss.mp4", "osp_ball_toss_15fps.mp4")
CLEAN += ("puck_const_force.avi", "puck_inertia.avi", "jbart_bounce_sideways.mp4", "jbart_toss_bounce.avi")


def fitted(file: str) -> VideoFit:
    return fit_video(REAL_VIDEO, read_sidecar(REAL_VIDEO / "clips.jsonl")[file])


@pytest.mark.thorough
@needs_real_video
@pytest.mark.parametrize(("file", "within"), [("bounce_ball_ruler.mp4", 0.08), ("proj30.mp4", 0.06)])
def test_gravity_is_in_the_videos(file: str, within: float) -> None:
    recording = fitted(file)
    assert recording.tracked >= 0.95
    g = next(quantity for quantity in recording.quantities if quantity.name == "acceleration")
    assert g.value == pytest.approx(9.81, rel=within)
    assert g.low < g.value < g.high


@pytest.mark.thorough
@needs_real_video
def test_momentum_keeps_its_direction_across_the_oblique_collision() -> None:
    recording = fitted("puck_oblique.mp4")
    assert recording.tracked >= 0.95
    angle = next(quantity for quantity in recording.quantities if quantity.name == "momentum_angle")
    assert abs(angle.value) < 5 and angle.low < angle.value < angle.high


@needs_real_video
@pytest.mark.slow
@pytest.mark.parametrize("file", CLEAN)
def test_the_clean_videos_are_tracked(file: str) -> None:
    assert fitted(file).tracked >= 0.95


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A video that is none, one that is not there, and one whose event follows no law."""
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    lines = [
        {"file": "broken.mp4", "event": "projectile", "event_frames": [0, 20]},
        {"file": "absent.mp4", "event": "bounce"},
        {"file": "street.mp4", "event": "general"},
    ]
    (tmp_path / "clips.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_a_video_that_cannot_be_fitted_says_why(folder: Path) -> None:
    recordings = list(fit_videos(folder, folder / "out"))
    assert [recording.why_none is not None for recording in recordings] == [True] * 3
    assert "no video that can be decoded" in str(recordings[0].why_none)
    assert "cannot be read" in str(recordings[1].why_none)
    assert "general" in str(recordings[2].why_none)
    assert len(fit_summary(recordings).splitlines()) == 3


def test_what_was_done_is_not_done_again(folder: Path) -> None:
    first = list(fit_videos(folder, folder / "out"))
    record = folder / "out" / FIT_RECORD_NAME
    lines = record.read_text().splitlines()
    record.write_text("\n".join(lines[:2]) + "\n")  # stopped after two
    assert list(fit_videos(folder, folder / "out")) == first
    assert record.read_text().splitlines() == lines
    (folder / "broken.mp4").write_bytes(b"another video")  # a video that changed is done again
    list(fit_videos(folder, folder / "out"))
    assert len(record.read_text().splitlines()) == 4


def test_a_folder_without_a_sidecar_is_one_line(folder: Path) -> None:
    (folder / "clips.jsonl").unlink()
    with pytest.raises(UserError, match="the sidecar cannot be read"):
        list(fit_videos(folder, folder / "out"))
    command = [sys.executable, "eval/fit_laws.py", str(folder), "--out", str(folder / "out")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


def puck(at: int) -> np.ndarray:
    """A picture of it on grey, moving."""
    rows, columns = np.mgrid[:64, :96] + 0.5
    share = np.clip(6.5 - np.hypot(columns - 12 - 3 * at, rows - 20), 0, 1)[..., None]
    return np.asarray(180 * (1 - share) + np.array([200, 40, 40]) * share, np.uint8)


def test_a_title_card_is_no_frame_of_the_event(tmp_path: Path) -> None:
    recording = [np.random.default_rng(0).integers(0, 255, (64, 96, 3)).astype(np.uint8)] * 2  # the card
    recording += map(puck, range(24))
    write_mp4(tmp_path / "puck.mp4", torch.from_numpy(np.stack(recording)).permute(0, 3, 1, 2), 25.0)
    footage = footage_of(tmp_path / "puck.mp4", SidecarEntry(file="puck.mp4", event="uniform"))
    assert len(footage.frames) == 24 and footage.times_s[0] == pytest.approx(2 / 25)
    assert fit_video(tmp_path, SidecarEntry(file="puck.mp4", event="uniform")).tracked == 1.0


def test_black_is_no_frame_of_the_shot_before_it(tmp_path: Path) -> None:
    """By frames, the black between them would make the first the longer one."""
    recording = [255 - puck(k) for k in range(10)] + [np.zeros((64, 96, 3), np.uint8)] * 20 + [*map(puck, range(24))]
    write_mp4(tmp_path / "puck.mp4", torch.from_numpy(np.stack(recording)).permute(0, 3, 1, 2), 25.0)
    footage = footage_of(tmp_path / "puck.mp4", SidecarEntry(file="puck.mp4", event="uniform"))
    assert len(footage.frames) == 24 and footage.times_s[0] == pytest.approx(30 / 25)
    recording = [*recording[30:], *recording[10:30]]
    write_mp4(tmp_path / "faded.mp4", torch.from_numpy(np.stack(recording)).permute(0, 3, 1, 2), 25.0)
    footage = footage_of(tmp_path / "faded.mp4", SidecarEntry(file="faded.mp4", event="uniform"))
    assert len(footage.frames) == 24 and footage.frames[-1].max() > 100


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ((3, 4), "has 2 frames of the event's (3 to 4)"),
        ((8, 30), "has frames 0 to 9, and event_frames 8 to 30"),
        ((50, 60), "has frames 0 to 9, and event_frames 50 to 60"),
    ],
)
def test_an_event_of_too_few_frames_says_what_is_there(event: tuple[int, int], said: str, tmp_path: Path) -> None:
    write_mp4(tmp_path / "short.mp4", torch.zeros(10, 3, 32, 32, dtype=torch.uint8), 25.0)
    recording = fit_video(tmp_path, SidecarEntry(file="short.mp4", event="bounce", event_frames=event))
    assert said in str(recording.why_none)


@pytest.mark.parametrize("count", [1, 2])
def test_a_video_of_a_frame_or_two_is_said(count: int, tmp_path: Path) -> None:
    write_mp4(tmp_path / "short.mp4", torch.zeros(count, 3, 32, 32, dtype=torch.uint8), 25.0)
    recording = fit_video(tmp_path, SidecarEntry(file="short.mp4", event="bounce"))
    assert f"has {count} frame" in str(recording.why_none) and "no law shows in fewer than 3" in str(recording.why_none)


@needs_real_video
def test_an_event_beyond_the_end_is_said(tmp_path: Path) -> None:
    shutil.copy(REAL_VIDEO / "toss_updown.mp4", tmp_path)
    line = {"file": "toss_updown.mp4", "event": "projectile", "event_frames": [5000, 6000]}
    (tmp_path / "clips.jsonl").write_text(json.dumps(line) + "\n")
    (recording,) = fit_videos(tmp_path, tmp_path / "out")
    assert "event_frames 5000 to 6000" in str(recording.why_none)
