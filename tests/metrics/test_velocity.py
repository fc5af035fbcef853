"""Uniform motion: by hand, and rising with a fault."""

import numpy as np
import pytest
from scenes import DT_S, START, mean, moved, places, scaled, uniform

from vidworld.core.errors import UserError
from vidworld.metrics.velocity import momentum_drift, motion_ratio, velocity_error


def test_velocity_error_by_hand():
    truth = uniform(1)
    position = places(truth)
    position[0, START:, 0, 0] += 0.3 * DT_S * np.arange(1, 9)  # one of two discs 0.3 units/s too fast
    assert mean(velocity_error, moved(truth, position), truth) == pytest.approx(0.15, abs=1e-4)


def test_a_jump_between_context_and_horizon_shows():
    truth = uniform(1)
    position = places(truth)
    position[:, START:, 0, 0] += 0.8
    assert mean(velocity_error, moved(truth, position), truth) == pytest.approx(0.8 / DT_S / 16, rel=1e-3)


def test_the_prediction_is_not_read_before_the_places():
    truth = uniform(2)
    position = places(truth)
    position[:, :START] = np.nan
    for metric in (velocity_error, momentum_drift):
        assert mean(metric, moved(truth, position), truth) == pytest.approx(0, abs=1e-4)


def test_motion_ratio_by_hand():
    truth = uniform(3)
    assert motion_ratio(scaled(truth, 0.7), truth, DT_S, START) == pytest.approx(0.7, rel=1e-3)


def test_shapes_that_do_not_fit_are_said():
    truth = uniform(3)
    with pytest.raises(UserError, match="do not fit"):
        velocity_error(uniform(2), truth, DT_S, START)
    with pytest.raises(UserError, match="start=0"):
        velocity_error(truth, truth, DT_S, 0)
