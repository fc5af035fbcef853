"""One bad stamp costs no other its time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidworld.video.stamps import guessed, steady

UNEVEN_S = np.cumsum(np.random.default_rng(0).choice([0.016, 0.033, 0.05, 0.4], 121))


def test_good_stamps_stay_as_they_are() -> None:
    times_s, base = steady(UNEVEN_S, 60.0)
    np.testing.assert_array_equal(times_s, UNEVEN_S)
    assert base == "presentation"


@pytest.mark.parametrize("bad", [np.nan, 1.7e9, -5.0, "again", "back"])
@pytest.mark.parametrize("at", [0, 60, 120])
def test_a_bad_stamp_is_put_between_its_neighbours(bad: float | str, at: int) -> None:
    stamps_s = UNEVEN_S.copy()
    stamps_s[at] = {"again": UNEVEN_S[max(0, at - 1)], "back": UNEVEN_S[max(0, at - 40)]}.get(bad, bad)
    times_s, base = steady(stamps_s, 60.0)
    assert base in ("mended", "presentation")
    kept = np.arange(121) != at
    np.testing.assert_allclose(times_s[kept], UNEVEN_S[kept])
    assert (np.diff(times_s) > 0).all()


@settings(max_examples=60)
@given(st.lists(st.floats(0.001, 0.2), min_size=40, max_size=80), st.data())
def test_a_tenth_of_bad_stamps_leaves_the_others(steps: list[float], data: st.DataObject) -> None:
    true_s = np.cumsum(steps)
    at = data.draw(st.lists(st.integers(1, len(steps) - 2), max_size=len(steps) // 10, unique=True))
    stamps_s = true_s.copy()
    for k in at:
        bad = [np.nan, stamps_s[k - 1], true_s[k] + 1e6, true_s[k] - 1e6]
        stamps_s[k] = bad[data.draw(st.integers(0, 3))]
    times_s, _ = steady(stamps_s, None)
    kept = ~np.isin(np.arange(len(steps)), at)
    np.testing.assert_allclose(times_s[kept], true_s[kept], atol=1e-6)


def test_a_clock_that_is_set_goes_on_by_the_usual_step() -> None:
    even = np.arange(100) / 25
    for change in (-1.5, 1.7e9):
        stamps_s = even + np.where(np.arange(100) >= 50, change, 0.0)
        times_s, base = steady(stamps_s, 10.0)
        np.testing.assert_allclose(times_s, even, atol=1e-6)
        assert base == "mended"


def test_stamps_of_too_few_ticks_are_told_apart() -> None:
    """A thousand ticks a second and 2,400 frames."""
    true_s = np.arange(240) / 2400
    times_s, _ = steady(np.floor(true_s * 1000) / 1000, None)
    np.testing.assert_allclose(times_s, true_s, atol=1.1e-3)
    assert (np.diff(times_s) > 0).all()


def test_without_stamps_the_rate_counts_and_without_both_nothing_is_known() -> None:
    times_s, base = steady(np.full(5, np.nan), 10.0)
    np.testing.assert_allclose(times_s, np.arange(5) / 10)
    assert base == "average rate"
    assert steady(np.full(5, np.nan), None) is None
    assert steady(np.zeros(5), None) is None


def test_presentation_stamps_are_believed_until_they_go_back() -> None:
    """As FFmpeg's guess_correct_pts: AVI tells decoding times alone."""

    def believed(*frames: tuple[int | None, int | None]) -> list[int | None]:
        guess = guessed()
        next(guess)
        return [guess.send(frame) for frame in frames]

    assert believed((0, -2), (1, -1), (2, 0)) == [0, 1, 2]
    assert believed((None, 0), (None, 1)) == [0, 1]
    assert believed((5, 0), (3, 1), (2, 2)) == [5, 1, 2]
