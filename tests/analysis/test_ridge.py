"""A ridge that knows what is there to be known, and an interval that covers."""

import numpy as np
import pytest

from vidworld.analysis.ridge import bootstrapped, concordance, r_squared, ridge_reading, share_covered


def drawn(count, noise, seed=0):
    random = np.random.default_rng(seed)
    features = random.normal(size=(count, 40))
    return features, features[:, 0] - 2 * features[:, 1] + noise * random.normal(size=count)


@pytest.mark.parametrize(("noise", "most"), [(0.0, 1.0), (1.0, 5 / 6)])
def test_a_ridge_reads_what_is_linear_and_its_interval_covers(noise, most):
    (x, y), (asked, true) = drawn(300, noise), drawn(2000, noise, 1)
    reading = ridge_reading(x, y, asked)
    assert most - 0.05 < r_squared(reading.value, true) <= most + 0.03
    if noise:
        assert 0.84 < share_covered(reading, true) < 0.94
    assert concordance(reading.value[:300], true[:300]) > 0.85


def test_of_noise_nothing_is_read():
    random = np.random.default_rng(2)
    x, y, asked, true = (random.normal(size=size) for size in ((200, 60), 200, (300, 60), 300))
    reading = ridge_reading(x, y, asked)
    low, high = bootstrapped(concordance, reading.value, true)
    assert abs(concordance(reading.value, true) - 0.5) < 0.05 and low < 0.5 < high
    assert r_squared(reading.value, true) < 0.05
    assert 0.85 < share_covered(reading, true) < 0.95


def test_ties_and_what_says_nothing_are_half_right():
    true = np.array([1.0, 2.0, 3.0])
    assert concordance(true, true) == 1.0 and concordance(-true, true) == 0.0
    assert concordance(np.zeros(3), true) == 0.5
    assert concordance(np.array([1.0, np.nan, 3.0]), true) == pytest.approx(2 / 3)
