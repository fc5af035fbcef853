"""Momentum and energy: by hand, rising with a fault, and only where no outside force acts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import DT_S, START, collision, mean, moved, places, scaled, uniform

from vidworld.metrics.velocity import energy_drift, momentum_drift, velocity_error

seeds = st.integers(0, 10_000)


@pytest.mark.parametrize("metric", [velocity_error, momentum_drift, energy_drift])
@given(seeds, st.booleans())
@settings(max_examples=10)
def test_drift_rises_with_a_speed_fault(metric, seed, slower):
    truth = uniform(4, seed)
    sign = -1 if slower else 1
    values = [mean(metric, scaled(truth, 1 + sign * s), truth) for s in (0, 0.02, 0.05, 0.1, 0.2, 0.4)]
    assert np.all(np.diff(values) > 0)


def test_momentum_and_energy_by_hand():
    truth = uniform(5)
    velocity, mass = truth.velocity[:, 0].double(), truth.mass.double()
    total = (mass[..., None] * velocity).sum(1).norm(dim=-1)
    share = 0.1 * total / (mass * velocity.norm(dim=-1)).sum(-1)
    assert momentum_drift(scaled(truth, 1.1), truth, DT_S, START) == pytest.approx(share.numpy(), rel=1e-3)
    assert energy_drift(scaled(truth, 1.1), truth, DT_S, START) == pytest.approx(0.21, rel=1e-3)


def test_momentum_holds_through_a_contact_and_ends_at_a_wall():
    truth = collision(6)
    assert np.isfinite(momentum_drift(truth, truth, DT_S, START)).all()
    truth.velocity[:, START + 2 :, 0, 0] *= -1  # as if a wall had turned it
    wrong = moved(truth, places(truth))
    wrong.position[:, START + 2 :] += 3.0  # whatever is predicted afterwards is not counted
    assert mean(momentum_drift, wrong, truth) == pytest.approx(0, abs=1e-3)
    truth.velocity[:, START:] *= 1.1  # a force at work throughout, such as gravity
    assert np.isnan(momentum_drift(truth, truth, DT_S, START)).all()
