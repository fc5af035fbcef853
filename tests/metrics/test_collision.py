"""Collisions: the time, the outcome, and discs that never meet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import DT_S, FRAMES, START, collision, mean, moved, places

from vidworld.core.clip import Tracks
from vidworld.metrics.collision import contact_time_error, interpenetration, outgoing_velocity_error, restitution_error
from vidworld.metrics.velocity import momentum_drift, velocity_error

seeds = st.integers(0, 10_000)


def late(truth: Tracks, frames: float) -> Tracks:
    """The discs go on into each other for so many frames before they part."""
    velocity, contact_s = truth.velocity.numpy().astype(float), truth.contact_s.numpy()[:, :1]
    since = np.arange(FRAMES) * DT_S - contact_s
    shift = np.clip(since, 0, frames * DT_S)[:, :, None, None]
    return moved(truth, places(truth) + shift * (velocity[:, :1] - velocity[:, -1:]))


@given(seeds, st.floats(0, 2))
@settings(max_examples=15)
def test_contact_time_counts_frames_late(seed, frames):
    truth = collision(4, seed)
    assert contact_time_error(late(truth, frames), truth, DT_S, START) == pytest.approx(frames, abs=0.01)
    assert mean(outgoing_velocity_error, late(truth, frames), truth) < 0.01


def turned(truth: Tracks, degrees: float, stretch: float = 1.0) -> Tracks:
    """Outgoing velocities rotated and stretched after the true contact, from where the discs met."""
    position, velocity = places(truth), truth.velocity.numpy().astype(float)
    times = np.arange(position.shape[1]) * DT_S
    turn = np.deg2rad(degrees)
    matrix = stretch * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    for clip, contact in enumerate(truth.contact_s[:, 0].numpy()):
        since = np.maximum(times - contact, 0)[:, None, None]
        position[clip] += since * (velocity[clip, -1:] @ matrix.T - velocity[clip, -1:])
    return moved(truth, position)


@pytest.mark.thorough
@pytest.mark.parametrize("metric", [outgoing_velocity_error, velocity_error, momentum_drift])
@given(seeds)
@settings(max_examples=10)
def test_outgoing_error_rises_with_the_angle(metric, seed):
    truth = collision(6, seed)
    values = [mean(metric, turned(truth, degrees), truth) for degrees in (0, 2, 5, 10, 20, 40)]
    assert np.all(np.diff(values) > 0)


def test_outgoing_velocity_by_hand():
    truth = collision(5)
    velocity = truth.velocity.double()
    incoming = (velocity[:, 0, 0] - velocity[:, 0, 1]).norm(dim=-1)
    expected = 2 * np.sin(np.deg2rad(10) / 2) * velocity[:, -1].norm(dim=-1).mean(-1) / incoming
    values = outgoing_velocity_error(turned(truth, 10), truth, DT_S, START)
    assert values == pytest.approx(expected.numpy(), rel=0.02)


def test_restitution_by_hand():
    elastic, dull = collision(20, 3, restitution=1.0), collision(20, 3, restitution=0.6)
    assert mean(restitution_error, dull, dull) == pytest.approx(0, abs=1e-3)
    assert restitution_error(moved(elastic, places(dull)), elastic, DT_S, START) == pytest.approx(0.4, abs=0.02)


def test_passing_through_is_no_contact():
    truth = collision(6)
    position = places(truth)
    step = position[:, 1:2] - position[:, :1]
    position = position[:, :1] + np.arange(16)[None, :, None, None] * step
    through = moved(truth, position)
    assert mean(contact_time_error, through, truth) == 8.0
    assert mean(restitution_error, through, truth) == pytest.approx(2.0, abs=0.02)
    assert mean(interpenetration, through, truth) > 0.5
