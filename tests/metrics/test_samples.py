"""Scores of samples: by hand, against a plain double sum, and proper: neither hedging nor confidence pays."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scenes import DT_S, FRAMES, START, moved, places, tracks, uniform

from vidworld.core.errors import UserError
from vidworld.metrics.permanence import KNOWS_NOTHING
from vidworld.metrics.samples import best_of_n_error, determinism_spread, energy_score, error_of_mean

ERRORS = (energy_score, error_of_mean, best_of_n_error)


def score(metric, samples, truth):
    values = metric(samples, truth, DT_S, START)
    assert values.dtype == np.float64 and values.shape == (len(truth.position),)
    return values


def shifted(truth, *shifts):
    """A sample for each shift along y, of the first object in the horizon."""
    samples = []
    for shift in shifts:
        position = places(truth)
        position[:, START:, 0, 1] += shift
        samples.append(moved(truth, position))
    return samples


def without(truth, *objects):
    position = places(truth)
    position[:, START:, list(objects)] = np.nan
    return moved(truth, position)


def drawn(draw, clips, count, spread, center=0.0):
    """The true tracks of one disc a clip, whose place is standard normal, and samples of it."""

    def at(xy):
        position = np.broadcast_to(5 + xy[:, None, None], (clips, FRAMES, 1, 2))
        return tracks(position, np.zeros_like(position), 0.5)

    truth = at(draw.normal(size=(clips, 2)))
    samples = [at(center + spread * draw.normal(size=(clips, 2))) for _ in range(count)]
    return samples, truth


@pytest.mark.parametrize("metric", ERRORS, ids=lambda metric: metric.name)
@pytest.mark.parametrize("count", [1, 2, 8])
def test_of_a_point_each_error_is_the_plain_one(metric, count):
    truth = uniform(2)
    (point,) = shifted(truth, 0.6)
    assert score(metric, [point] * count, truth) == pytest.approx(0.3, abs=1e-6)  # one of two objects
    assert score(metric, [truth] * count, truth) == pytest.approx(0, abs=1e-9)


def test_by_hand():
    """Two samples on either side of the truth of the first object, and right about the second."""
    truth = uniform(1)
    samples = shifted(truth, 0.2, -0.4)
    assert score(energy_score, samples, truth) == pytest.approx((0.3 - 0.6 / 2) / 2, abs=1e-6)
    assert score(error_of_mean, samples, truth) == pytest.approx(0.1 / 2, abs=1e-6)
    assert score(best_of_n_error, samples, truth) == pytest.approx(0.2 / 2, abs=1e-6)
    assert score(determinism_spread, samples, truth) == pytest.approx(0.6 / 2**0.5 / 2, abs=1e-6)


def test_the_best_of_the_samples_is_one_future_and_not_the_best_of_each_frame():
    truth = uniform(1)
    first, second = places(truth), places(truth)
    first[:, START::2, 0, 1] += 1.0
    second[:, START + 1 :: 2, 0, 1] += 1.0
    samples = [moved(truth, first), moved(truth, second)]
    assert score(best_of_n_error, samples, truth) == pytest.approx(0.25, abs=1e-6)


def test_the_energy_score_is_the_double_sum_of_its_definition():
    """Written out over samples, frames and objects, missing ones included."""
    draw, truth = np.random.default_rng(0), uniform(3)
    samples = []
    for _ in range(5):
        position = places(truth) + draw.normal(size=places(truth).shape)
        position[draw.random(position.shape[:-1]) < 0.2] = np.nan
        samples.append(moved(truth, position))
    values, true = score(energy_score, samples, truth), places(truth)
    for clip in range(3):
        terms = []
        for frame in range(START, FRAMES):
            for disc in range(2):
                x = [sample.position[clip, frame, disc].numpy().astype(float) for sample in samples]
                error = [KNOWS_NOTHING if np.isnan(a).any() else np.linalg.norm(a - true[clip, frame, disc]) for a in x]
                apart = [np.nan_to_num(np.linalg.norm(x[i] - x[j])) for i in range(5) for j in range(5) if i != j]
                terms.append(np.mean(error) - np.mean(apart) / 2)
        assert values[clip] == pytest.approx(np.mean(terms), abs=1e-6)


def test_few_samples_score_on_average_as_many_do():
    draw = np.random.default_rng(1)
    means = [score(energy_score, *drawn(draw, 4000, count, 1.0)).mean() for count in (2, 8)]
    # Of a plane standard normal: E|X - y| - E|X - X'| / 2 = √π / 2.
    assert means == pytest.approx([np.pi**0.5 / 2] * 2, abs=0.03)


def test_the_true_distribution_scores_best_and_the_plain_error_of_the_mean_prefers_to_hedge():
    draw = np.random.default_rng(2)
    true = score(energy_score, *drawn(draw, 3000, 8, 1.0)).mean()
    for spread, center in ((0.0, 0.0), (0.5, 0.0), (2.0, 0.0), (1.0, 0.7)):
        assert score(energy_score, *drawn(draw, 3000, 8, spread, center)).mean() > true + 0.05
    samples, truth = drawn(draw, 3000, 8, 1.0)
    single = np.mean([score(energy_score, [sample], truth).mean() for sample in samples])  # the samples' plain error
    assert score(error_of_mean, samples, truth).mean() < single - 0.4


@pytest.mark.parametrize("metric", ERRORS, ids=lambda metric: metric.name)
def test_to_vanish_does_not_pay(metric):
    """Objects that some or all samples lack, beside samples that are off by less than knows nothing."""
    truth = uniform(4)
    samples = shifted(truth, 1.0, 0.5, -0.5, -1.0)
    before = score(metric, samples, truth)
    for lost in (1, 2, 4):
        vanished = [without(truth, 0)] * lost + samples[lost:]
        assert bool((score(metric, vanished, truth) >= before - 1e-9).all()), lost
    gone = score(metric, [without(truth, 0, 1)] * 4, truth)
    assert gone == pytest.approx(KNOWS_NOTHING)


def test_the_spread_is_of_what_was_found():
    truth = uniform(2)
    lost = without(truth, 0)
    assert score(determinism_spread, [lost] * 8, truth) == pytest.approx(0, abs=1e-9)  # a point that loses a disc
    assert np.isnan(score(determinism_spread, [without(truth, 0, 1)] * 8, truth)).all()
    assert np.isnan(score(determinism_spread, [truth], truth)).all()  # one sample says nothing of chance
    up, down = shifted(truth, 0.2, -0.2)
    assert score(determinism_spread, [up, down, lost], truth) == pytest.approx(0.4 / 2**0.5 / 2, abs=1e-6)


def test_only_what_is_in_the_open_counts():
    truth = uniform(1)
    visible = truth.visible.clone()
    visible[:, START:, 0] = 0.5
    hidden = replace(truth, visible=visible)
    samples = shifted(hidden, 3.0, -3.0)
    for metric in (*ERRORS, determinism_spread):
        assert score(metric, samples, hidden) == pytest.approx(0, abs=1e-9)
        assert np.isnan(score(metric, samples, replace(truth, visible=torch.zeros_like(visible)))).all()


def test_shapes_that_do_not_fit_are_said():
    with pytest.raises(UserError, match="do not fit"):
        energy_score([uniform(2)], uniform(3), DT_S, START)
