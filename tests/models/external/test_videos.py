"""Futures that other people's models made, longer than what is asked for: where in them the future is, is said."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vidworld.core.clip import Clips
from vidworld.core.errors import UserError
from vidworld.core.media import write_mp4
from vidworld.models import KINDS
from vidworld.models.external.videos import Videos

SPEED, SEEN, ASKED, FPS = 20.0, 16, 16, 10.0
SIZE = (48, 224)


def video(times_s: np.ndarray) -> torch.Tensor:
    """A red disc whose place tells the time."""
    pictures = np.full((len(times_s), *SIZE, 3), 190, np.uint8)
    for picture, time_s in zip(pictures, times_s, strict=True):
        cv2.circle(picture, (round(16 * (20 + SPEED * time_s)), 16 * 24), 16 * 8, (230, 20, 20), -1, cv2.LINE_AA, 4)
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def told_s(frame: torch.Tensor) -> float:
    red = (frame[0].float() - frame[1].float()).clamp(min=50) - 50
    return float(((red.sum(0) * torch.arange(SIZE[1])).sum() / red.sum() - 20) / SPEED)


def predicted(kind: str, folder: Path) -> list[float]:
    """The times that the frames which are asked for tell; the first of them is at 1.6 s."""
    context = Clips(video(np.arange(SEEN) / FPS)[None], FPS, ("uniform/id/0/0",))
    model = KINDS[kind](str(folder), torch.device("cpu"), 4)
    return [told_s(frame) for frame in model.predict(context, ASKED, [0])[0]]


@pytest.mark.parametrize(
    ("name", "frames", "rate"), [("CogVideoX", 49, 8), ("Wan", 81, 16), ("LTX", 121, 24), ("Cosmos", 93, 16)]
)
@pytest.mark.parametrize(
    ("kind", "start_s"), [("videos_from_context", 0.0), ("videos_from_last_frame", 1.5), ("videos_from_future", 1.6)]
)
def test_what_a_longer_video_begins_with_is_said(
    name: str, frames: int, rate: int, kind: str, start_s: float, tmp_path: Path
) -> None:
    write_mp4(tmp_path / "uniform_id_0_0.mp4", video(start_s + np.arange(frames) / rate), float(rate))
    found = predicted(kind, tmp_path)
    assert np.abs(np.array(found) - (1.6 + np.arange(ASKED) / FPS)).max() < 0.5 / rate + 0.03
    with pytest.raises(
        UserError, match=f"{frames} frames at {rate} a second are more than the future, 16 frames at 10"
    ):
        predicted("videos", tmp_path)


def test_a_video_as_long_as_context_and_future_is_no_guess_either(tmp_path: Path) -> None:
    """32 frames may be the clip, or a future twice as long as asked for."""
    write_mp4(tmp_path / "uniform_id_0_0.mp4", video(np.arange(SEEN + ASKED) / FPS), FPS)
    with pytest.raises(UserError, match="say what they begin with, videos_from_context: "):
        predicted("videos", tmp_path)
    assert predicted("videos_from_context", tmp_path)[0] == pytest.approx(1.6, abs=0.03)


def test_exactly_the_future_needs_no_word_and_too_little_is_refused(tmp_path: Path) -> None:
    write_mp4(tmp_path / "uniform_id_0_0.mp4", video(1.6 + np.arange(ASKED) / FPS), FPS)
    assert predicted("videos", tmp_path)[0] == pytest.approx(1.6, abs=0.03)
    for kind, begins in (("videos_from_context", "context"), ("videos_from_last_frame", "last frame")):
        with pytest.raises(
            UserError, match=f"16 frames at 10 a second that begin with the {begins} end before the fut"
        ):
            predicted(kind, tmp_path)


def test_files_as_a_benchmarks_authors_name_them_are_found(tmp_path: Path) -> None:
    write_mp4(tmp_path / "0007_perspective-left_trimmed-ball.mp4", video(np.zeros(2)), 24.0)
    videos = Videos(tmp_path)
    videos.call({"physics_iq/ball/left/take-1": "0007_*.mp4", "physics_iq/ball/right/take-1": "0009_*.mp4"})
    videos.check_clips(["physics_iq/ball/left/take-1"])
    with pytest.raises(UserError, match=r"lacks 1 of 1 clips: 0009_\*\.mp4"):
        videos.check_clips(["physics_iq/ball/right/take-1"])
