"""Shots end at cuts and nowhere else; black and repeated frames go and the others keep their times."""

import made_videos
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vidworld.video.clips import find_shots

TIMES_S = np.arange(40) / 30


def numbers(frames: np.ndarray, first: int = 0) -> list[list[int]]:
    return [shot.numbers.tolist() for shot in find_shots(frames, np.arange(len(frames)) / 30, first).shots]


def caption(frame: np.ndarray) -> np.ndarray:
    written = frame.copy()
    written[10:30:4, 20:80] = 255
    return written


def test_one_scene_is_one_shot() -> None:
    found = find_shots(made_videos.recording(TIMES_S), TIMES_S, first=100)
    (shot,) = found.shots
    assert shot.numbers.tolist() == list(range(100, 140))
    np.testing.assert_array_equal(shot.times_s, TIMES_S)
    assert (found.black, found.repeated) == (0, 0)


def test_a_cut_ends_a_shot_wherever_it_is() -> None:
    for at in (1, 5, 20, 39):
        frames = np.concatenate([made_videos.recording(TIMES_S[:at]), made_videos.recording(TIMES_S[at:], seed=1)])
        assert numbers(frames) == [list(range(at)), list(range(at, 40))]


def test_a_title_card_is_a_shot_of_its_own() -> None:
    card = np.full((made_videos.HEIGHT, made_videos.WIDTH, 3), 235, np.uint8)
    card[30:60:6, 20:100] = 0
    found = find_shots(
        np.concatenate([np.repeat(card[None], 10, 0), made_videos.recording(TIMES_S)]), np.arange(50) / 30
    )
    assert [shot.numbers.tolist() for shot in found.shots] == [[0], list(range(10, 50))]
    assert found.repeated == 9


def test_a_caption_over_the_first_or_last_frame_parts_it_from_the_scene() -> None:
    frames = made_videos.recording(TIMES_S)
    assert numbers(np.concatenate([[caption(frames[0])], frames[1:]])) == [[0], list(range(1, 40))]
    assert numbers(np.concatenate([frames[:-1], [caption(frames[-1])]])) == [list(range(39)), [39]]


def test_fast_motion_is_no_cut() -> None:
    """A disc of a quarter of the picture that crosses it in four frames."""
    background = made_videos.wall()
    crossing = [made_videos.disc(background, x, 48, radius_px=30) for x in (-60, -10, 40, 90, 140, 190)]
    frames = np.stack([background + i % 2 * np.uint8(4) for i in range(12)] + crossing)
    frames = np.concatenate([frames, frames[:12]])
    assert len(numbers(frames)) == 1


def test_a_cut_by_way_of_a_mixed_frame_drops_the_mixture() -> None:
    before, after = made_videos.recording(TIMES_S[:15]), made_videos.recording(TIMES_S[:15], seed=1)
    mixed = ((before[-1:].astype(int) + after[:1]) // 2).astype(np.uint8)
    assert numbers(np.concatenate([before, mixed, after])) == [list(range(15)), [15], list(range(16, 31))]


def test_a_change_of_exposure_is_no_cut() -> None:
    frames = made_videos.recording(TIMES_S).astype(int)
    frames[20:] += 50
    assert len(numbers(frames.clip(0, 255).astype(np.uint8))) == 1


def test_black_frames_go_and_many_of_them_end_a_shot() -> None:
    frames = made_videos.recording(TIMES_S)
    dropout, pause = frames.copy(), frames.copy()
    dropout[18:20] = 2
    pause[15:25] = 2
    assert numbers(dropout) == [[*range(18), *range(20, 40)]]
    assert numbers(pause) == [list(range(15)), list(range(25, 40))]
    assert find_shots(pause, TIMES_S).black == 10
    assert find_shots(np.zeros_like(frames), TIMES_S).shots == ()


def test_a_small_light_in_the_dark_is_not_black() -> None:
    night = np.zeros((made_videos.HEIGHT, made_videos.WIDTH, 3), np.uint8)
    frames = np.stack([made_videos.disc(night, 20 + x, 48, radius_px=3) for x in range(20)])
    assert numbers(frames) == [list(range(20))]


@settings(max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=12))
def test_repeats_go_and_what_stays_keeps_its_time(shown_for: list[int]) -> None:
    times_s = np.arange(sum(shown_for)) / 30
    starts = np.cumsum([0, *shown_for[:-1]])
    different = made_videos.recording(np.arange(len(shown_for)) / 10, height=48, width=64)
    found = find_shots(np.repeat(different, shown_for, axis=0), times_s)
    (shot,) = found.shots
    np.testing.assert_array_equal(shot.frames, different)
    np.testing.assert_array_equal(shot.times_s, times_s[starts])
    np.testing.assert_array_equal(shot.until_s, times_s[np.cumsum(shown_for) - 1])
    assert found.repeated == sum(shown_for) - len(shown_for)


def test_a_slow_drift_is_not_taken_for_repeats() -> None:
    """Each frame differs from the one before by less than a repeat may, but not from the first."""
    frames = np.stack([made_videos.wall() + np.uint8(i) for i in range(30)])
    assert len(numbers(frames)[0]) == 10
