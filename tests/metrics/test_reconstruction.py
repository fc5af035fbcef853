"""What the tokenizer keeps, by hand-computed cases."""

import numpy as np
import pytest

from vidworld.metrics.reconstruction import centroid_error, psnr


def test_psnr_of_a_known_error():
    """All pixels wrong by 5 of 255: 20 log10(51) dB; the second clip is exact."""
    truth = np.full((2, 3, 3, 4, 4), 100, np.uint8)
    frames = truth.copy()
    frames[0] += 5
    assert psnr(frames, truth)[0] == pytest.approx(20 * np.log10(51))
    assert psnr(frames, truth)[1] > 75


def test_psnr_does_not_wrap_around():
    dark, bright = np.zeros((1, 1, 3, 2, 2), np.uint8), np.full((1, 1, 3, 2, 2), 255, np.uint8)
    assert psnr(dark, bright)[0] == pytest.approx(0.0)
    assert psnr(bright, dark)[0] == pytest.approx(0.0)


def test_centroid_error_is_in_pixels():
    truth = np.zeros((1, 2, 1, 2))
    places = truth + np.array([0.3, 0.4])
    assert centroid_error(places, truth, pixel=0.1)[0] == pytest.approx(5.0)


def test_a_disc_that_is_lost_is_charged_and_one_that_never_was_is_not():
    truth = np.zeros((3, 2, 2, 2))
    truth[:, :, 1] = np.nan
    truth[2] = np.nan
    places = truth.copy()
    places[1, 0, 0] = np.nan
    places[0, :, 1] = 3.0
    error = centroid_error(places, truth, pixel=10 / 64)
    assert error[0] == 0.0
    assert error[1] == pytest.approx(0.5 * 64 / np.sqrt(6))
    assert np.isnan(error[2])
