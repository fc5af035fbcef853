"""Measures of uncertainty: known answers, an independent implementation, and injected errors of rising size."""

import numpy as np
import pytest
import scoringrules

from vidworld.metrics.uncertainty import (
    LEVELS_OF_COVERAGE,
    calibration_error,
    central_share,
    crps,
    excess_of_selection,
    line_of,
    selective_errors,
    separation,
    vector_energy_score,
)

CASES, SAMPLES = 600, 24


@pytest.fixture
def draw():
    return np.random.default_rng(0)


@pytest.fixture
def world(draw):
    """True deviations of each case, what happened, and what one who knows the distribution draws."""
    std = draw.uniform(0.5, 1.5, CASES)
    return std, std * draw.normal(size=CASES), std * draw.normal(size=(SAMPLES, CASES))


def test_crps_and_energy_score_are_those_of_scoringrules(draw):
    truth, samples = draw.normal(size=7), draw.normal(size=(9, 7))
    theirs = scoringrules.crps_ensemble(truth, samples.T, estimator="fair")
    assert np.allclose(crps(samples, truth), theirs)
    truth, samples = draw.normal(size=(7, 3)), draw.normal(size=(9, 7, 3))
    theirs = scoringrules.es_ensemble(truth, samples.transpose(1, 0, 2), estimator="fair")
    assert np.allclose(vector_energy_score(samples, truth), theirs)
    assert np.allclose(crps(samples[:1, :, 0], truth[:, 0]), np.abs(samples[0, :, 0] - truth[:, 0]))


def rises(values, least=0.0):
    steps = np.diff(values)
    assert (steps > least).all(), values


@pytest.mark.parametrize("score", [crps, lambda s, t: vector_energy_score(s[..., None], t[..., None])])
def test_proper_scores_rise_with_an_error_of_place_and_of_spread(world, score):
    std, truth, samples = world
    rises([score(samples + shift * std, truth).mean() for shift in (0, 0.3, 0.6, 1.2, 2.4)])
    rises([score(samples * wide, truth).mean() for wide in (1, 1.5, 2, 3, 5)])
    rises([score(samples * narrow, truth).mean() for narrow in (1, 0.6, 0.3, 0.0)])


def coverage(samples, truth):
    return np.array([central_share(samples, truth, level).mean() for level in LEVELS_OF_COVERAGE])


def test_the_true_distribution_covers_what_it_should_also_where_it_is_not_continuous(draw):
    two = draw.choice([-1.0, 1.0], size=(9, 4000))
    for samples in (draw.normal(size=(17, 4000)), draw.normal(size=(5, 4000)), two, np.zeros((4, 4000))):
        assert np.abs(coverage(samples[1:], samples[0]) - LEVELS_OF_COVERAGE).max() < 0.03


def test_calibration_error_rises_with_confidence_and_with_doubt(world):
    std, truth, samples = world
    rises([calibration_error(coverage(samples * narrow, truth)) for narrow in (1, 0.7, 0.4, 0.2, 0.0)])
    rises([calibration_error(coverage(samples * wide, truth)) for wide in (1, 1.5, 2.5, 5)])
    rises([calibration_error(coverage(samples + shift * std, truth)) for shift in (0, 0.5, 1, 2, 4)])
    assert calibration_error(coverage(samples, truth)) < 0.03


def test_slope_and_r2_of_known_readings(world, draw):
    true = world[0] ** 2
    line = line_of(2 * true + 1, true)
    assert line == pytest.approx((2.0, 1.0))
    rises([line_of(factor * true, true).slope for factor in (0.0, 0.5, 1.0, 2.0)])
    noise = draw.normal(size=CASES)
    rises([-line_of(true + size * noise, true).r2 for size in (0.0, 0.2, 0.5, 1.0, 3.0)])
    assert line_of(np.ones(CASES), true) == (0.0, 0.0)
    assert np.isnan(line_of(true, np.ones(CASES))).all()


def test_separation_falls_with_noise_of_the_reading(draw):
    known, unknown, noise = np.zeros(CASES), np.ones(CASES), draw.normal(size=(2, CASES))
    rises([-separation(known + size * noise[0], unknown + size * noise[1]) for size in (0.2, 0.5, 1.0, 2.0, 8.0)])
    assert separation(known, unknown) == 1.0 and separation(known, known) == 0.5 and separation(unknown, known) == 0.0


def test_selection_is_worse_the_less_the_reading_says_of_the_error(world, draw):
    error, noise = np.abs(world[1]), draw.normal(size=CASES)
    rises([excess_of_selection(error, error + size * noise) for size in (0.0, 0.3, 1.0, 3.0)])
    assert excess_of_selection(error, error) == 0.0
    assert excess_of_selection(error, noise) == pytest.approx(1.0, abs=0.2) and excess_of_selection(error, -error) > 1.5
    kept = selective_errors(error, error, (0.25, 0.5, 1.0))
    assert kept[-1] == pytest.approx(error.mean())
    rises(kept)
