"""A ridge that knows what is there to be known, and an interval that covers."""

import numpy as np
import pytest
import torch

from vidworld.analysis.bootstrap import resampled
from vidworld.analysis.ridge import PENALTIES_LEFT_OUT, Spectrum, concordance, r_squared, share_covered


def drawn(count, noise, seed=0):
    random = np.random.default_rng(seed)
    features = random.normal(size=(count, 40))
    return features, features[:, 0] - 2 * features[:, 1] + noise * random.normal(size=count)


def reading(features, answers, asked):
    ridge, deviation = Spectrum(torch.from_numpy(features)).ridge_left_out(torch.from_numpy(answers)[:, None])
    return ridge(torch.from_numpy(asked))[:, 0].numpy(), deviation


@pytest.mark.parametrize(("noise", "most"), [(0.0, 1.0), (1.0, 5 / 6)])
def test_a_ridge_reads_what_is_linear_and_its_interval_covers(noise, most):
    (x, y), (asked, true) = drawn(300, noise), drawn(2000, noise, 1)
    value, deviation = reading(x, y, asked)
    assert most - 0.05 < r_squared(value, true) <= most + 0.03
    if noise:
        assert 0.84 < share_covered(value, true, deviation) < 0.94
    assert concordance(value[:300], true[:300]) > 0.85


def test_leaving_out_is_as_if_fitted_to_all_others():
    x, y = drawn(30, 1.0)
    _, deviation = Spectrum(torch.from_numpy(x)).ridge_left_out(torch.from_numpy(y)[:, None])
    design = np.column_stack(((x - x.mean(axis=0)) / x.std(axis=0, ddof=1), np.ones(30)))

    def missed(penalty, k):
        others = np.delete(design, k, axis=0)
        weights = np.linalg.solve(
            others.T @ others + 30 * penalty * np.diag([1] * 40 + [0]), others.T @ np.delete(y, k)
        )
        return y[k] - design[k] @ weights

    errors = [np.sqrt(np.mean([missed(each, k) ** 2 for k in range(30)])) for each in PENALTIES_LEFT_OUT]
    assert deviation == pytest.approx(min(errors), rel=1e-6)


def test_of_noise_nothing_is_read():
    random = np.random.default_rng(2)
    x, y, asked, true = (random.normal(size=size) for size in ((200, 60), 200, (300, 60), 300))
    value, deviation = reading(x, y, asked)
    _, low, high = resampled(lambda pair: concordance(*pair), np.stack((value, true)), draws=200)
    assert abs(concordance(value, true) - 0.5) < 0.05 and low < 0.5 < high
    assert r_squared(value, true) < 0.05
    assert 0.85 < share_covered(value, true, deviation) < 0.95


def test_ties_and_what_says_nothing_are_half_right():
    true = np.array([1.0, 2.0, 3.0])
    assert concordance(true, true) == 1.0 and concordance(-true, true) == 0.0
    assert concordance(np.zeros(3), true) == 0.5
    assert concordance(np.array([1.0, np.nan, 3.0]), true) == pytest.approx(2 / 3)
