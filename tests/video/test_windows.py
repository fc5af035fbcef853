"""Clips run evenly whatever the video's times are, keep what moves in view, and know a static camera."""

import made_videos
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidworld.video.clips import ClipOptions, Shot, clip_rate, cut_clips, find_shots, is_static, to_grey

OPTIONS = ClipOptions(size_px=48)


def shot_of(frames: np.ndarray, times_s: np.ndarray) -> Shot:
    (shot,) = find_shots(frames, times_s).shots
    return shot


def bare_shot(times_s: np.ndarray) -> Shot:
    """One of these times, with pictures that do not matter."""
    frames = np.zeros((len(times_s), 4, 4, 3), np.uint8)
    return Shot(frames, frames[..., 0], times_s, times_s, np.arange(len(times_s)))


def seconds(duration: float, fps: float) -> np.ndarray:
    return np.arange(round(duration * fps) + 1) / fps


@pytest.mark.parametrize(
    ("duration_s", "camera_fps", "event_s", "fps"),
    [
        (3.0, 30, None, 10),  # long enough
        (1.5, 30, None, 10),  # exactly 16 frames
        (1.4, 120, None, 20),  # a multiple of the rate
        (3.0, 240, (0.6, 1.1), 30),  # the event has to fill a clip
        (3.0, 240, (0.6, 0.9), 50),
        (0.8, 30, None, 30),  # 20 would take each frame once or twice
        (0.9, 25, None, 25),
        (15 / 29.9733, 29.9733, None, 29.97),  # 16 frames, though 29.97 is a little slower
        (2.0, 30, (1.0, 1.1), 30),  # no faster than the camera
        (0.3, 30, None, None),
        (3.0, 5, None, None),
    ],
)
def test_a_shot_is_read_as_fast_as_it_takes(
    duration_s: float, camera_fps: float, event_s: tuple[float, float] | None, fps: float | None
) -> None:
    found, why_none = clip_rate(bare_shot(seconds(duration_s, camera_fps)), event_s, OPTIONS)
    assert found == (None if fps is None else pytest.approx(fps))
    assert bool(why_none) == (fps is None)


def test_one_rate_sets_short_shots_aside() -> None:
    found = clip_rate(bare_shot(seconds(0.8, 30)), None, ClipOptions(one_rate=True))
    assert found == (None, "is too short: 9 frames at 10 a second, 16 make a clip")


def test_uneven_times_give_even_motion() -> None:
    """The disc moves evenly; the frames are taken at random times, so counting frames would not do."""
    times_s = np.cumsum(np.random.default_rng(0).uniform(0.002, 0.03, 150))
    shot = shot_of(made_videos.recording(times_s, lambda t: 20 + 40 * t), times_s)
    clips = cut_clips(shot, 10.0, None, ClipOptions(size_px=made_videos.HEIGHT))
    assert len(clips) >= 1
    for clip in clips:
        assert clip.time_error_s <= 0.016
        x_px = [made_videos.center_x(frame.transpose(1, 2, 0)) for frame in clip.frames]
        expected = 20 + 40 * (clip.start_s + np.arange(16) / 10) - clip.crop_left * made_videos.HEIGHT
        inside = (expected > 8) & (expected < made_videos.HEIGHT - 9)
        assert inside.sum() > 8
        np.testing.assert_allclose(np.array(x_px)[inside], expected[inside], atol=40 * 0.016 + 0.3)


@settings(max_examples=15)
@given(
    fps=st.sampled_from([5.0, 10.0, 30.0]),
    stride=st.integers(1, 20),
    event=st.tuples(st.floats(0, 4), st.floats(0.5, 3)),
    steps=st.lists(st.floats(0.01, 0.1), min_size=40, max_size=60),
)
def test_clips_lie_in_the_shot_and_on_one_grid(
    fps: float, stride: int, event: tuple[float, float], steps: list[float]
) -> None:
    times_s = np.cumsum(steps)
    start_s = float(min(event[0], times_s[-1] - 0.5))
    options = ClipOptions(fps=fps, size_px=16, num_frames=8, stride=stride)
    shot = shot_of(made_videos.recording(times_s, lambda t: 8 + 8 * t, height=32, width=64), times_s)
    clips = cut_clips(shot, fps, (start_s, start_s + event[1]), options)
    for clip in clips:
        assert clip.frames.shape == (8, 3, 16, 16)
        assert times_s[0] - 0.05 / fps - 1e-9 <= clip.start_s
        assert clip.start_s + 7 / fps <= times_s[-1] + 0.05 / fps + 1e-9
        assert clip.time_error_s <= max(max(steps) / 2, 0.05 / fps) + 1e-9
        assert clip.start_frame % stride == 0
        assert clip.start_s == pytest.approx(clips[0].start_s + (clip.start_frame - clips[0].start_frame) / fps)


def test_a_clip_starts_where_the_event_does() -> None:
    times_s = seconds(4, 30)
    clips = cut_clips(shot_of(made_videos.recording(times_s), times_s), 10.0, (1.23, 2.0), OPTIONS)
    assert any(clip.start_s == pytest.approx(1.23) for clip in clips)
    assert [clip.in_event for clip in clips] == [clip.start_s <= 2.0 for clip in clips]


def test_the_crop_follows_what_moves_and_stays_for_the_shot() -> None:
    """In a wide picture something moves at the right end, up and down."""
    times_s = seconds(4, 30)
    background = made_videos.wall(64, 192)
    frames = np.stack([made_videos.disc(background, 160, 32 + 15 * np.sin(6 * t)) for t in times_s])
    clips = cut_clips(shot_of(frames, times_s), 10.0, None, OPTIONS)
    assert len({clip.crop_left for clip in clips}) == 1
    assert all(clip.motion_in_view == 1 and clip.crop_top == 0 for clip in clips)
    left = clips[0].crop_left * 64
    assert 168 - 64 <= left <= 152
    assert made_videos.center_x(clips[0].frames[0].transpose(1, 2, 0)) == pytest.approx(
        (160.5 - left) * 0.75 - 0.5, abs=0.3
    )


def test_clips_without_motion_are_left_out() -> None:
    times_s = seconds(6, 30)
    frames = made_videos.recording(times_s, lambda t: 30 + 40 * max(0.0, t - 4))
    clips = cut_clips(shot_of(frames, times_s), 10.0, None, OPTIONS)
    assert clips
    assert all(clip.start_s + 1.5 > 4 for clip in clips)
    rests = made_videos.recording(times_s, lambda t: 30)
    rests[::2] += 4  # flicker is no motion
    assert cut_clips(shot_of(rests, times_s), 10.0, None, OPTIONS) == []


def test_a_static_camera_is_told_from_one_that_drifts() -> None:
    """Something moves in front of both."""
    still = made_videos.recording(np.arange(16) / 10, lambda t: 20 + 40 * t)
    assert is_static(to_grey(still))
    drifting = [made_videos.disc(made_videos.wall(shift_px=0.15 * i), 20 + 4 * i, 48) for i in range(16)]
    assert not is_static(to_grey(np.stack(drifting)))
    assert not is_static(to_grey(np.full_like(still, 100)))  # nothing to tell by
