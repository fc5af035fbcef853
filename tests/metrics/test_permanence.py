"""Permanence: what comes back, where, when, and what nobody sent."""

import numpy as np
import pytest
from scenes import DT_S, START, duplicated, mean, moved, occlusion, places, uniform

from vidworld.metrics.permanence import phantom_objects, reappearance, reappearance_delay, reappearance_error


def test_reappearance_by_hand():
    truth = occlusion(4)
    position = places(truth)
    position[0, START:, 0] = np.nan  # never comes back
    position[1, START:, 0, 1] += 0.3  # comes back a little lower
    position[2, START:, 0] += 3.0  # comes back elsewhere
    step = position[3, 1, 0] - position[3, 0, 0]
    position[3, START:, 0] -= 2 * step  # comes back two frames late
    predicted = moved(truth, position)
    assert reappearance(predicted, truth, DT_S, START).tolist() == [0, 1, 0, 1]
    errors = reappearance_error(predicted, truth, DT_S, START)
    assert errors == pytest.approx([5.214, 0.3, 3 * 2**0.5, 2 * np.linalg.norm(step)], rel=1e-3)
    delays = reappearance_delay(predicted, truth, DT_S, START)
    assert delays[[0, 1, 3]] == pytest.approx([8, 0, 2], abs=1e-2)


def test_the_wrong_identity_has_not_come_back():
    truth = occlusion(4)
    position = places(truth)
    position[:, START:] = position[:, START:, ::-1].copy()
    assert mean(reappearance, moved(truth, position), truth) == 0.0


def test_reappearance_needs_something_hidden():
    truth = uniform(3)
    assert np.isnan(reappearance(truth, truth, DT_S, START)).all()


def test_phantoms_are_padding_found_and_further_objects():
    truth = uniform(3)
    truth.present[1, :, 1] = False
    assert phantom_objects(truth, truth, DT_S, START).tolist() == [0, 1, 0]
    assert phantom_objects(duplicated(truth), truth, DT_S, START).tolist() == [1, 2, 1]
