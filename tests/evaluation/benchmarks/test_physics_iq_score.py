"""Physics-IQ's scores of measures that can be worked out by hand."""

import numpy as np
import pytest

from vidworld.evaluation.benchmarks.physics_iq import physics_iq_score

TAKES = np.array([[0.8, 0.4, 0.5, 0.01], [0.4, 0.2, 0.5, 0.03]])


def test_a_model_that_differs_as_two_takes_do_has_all() -> None:
    score = physics_iq_score(TAKES, TAKES)
    assert score.original == pytest.approx(100.0)
    assert score.verified == pytest.approx([100.0, 100.0])


def test_both_scores_by_hand() -> None:
    model = np.array([[0.4, 0.4, 0.25, 0.02], [0.2, 0.0, 0.25, 0.12]])
    score = physics_iq_score(model, TAKES)
    # data-set means: IoU 0.3, 0.2, 0.25 of 0.6, 0.3, 0.5; MSE 0.07 against 0.02
    assert score.original == pytest.approx(100 * ((0.5 + 2 / 3 + 0.5) / 3 - 0.05))
    # video by video: (0.5 + 1 + 0.5 + 0.5) / 4 and (0.5 + 0 + 0.5 + 0.25) / 4
    assert score.verified == pytest.approx([62.5, 31.25])


def test_scores_are_held_to_their_range() -> None:
    good, bad = np.array([[1.0, 1.0, 1.0, 0.0]]), np.array([[0.0, 0.0, 0.0, 0.9]])
    assert physics_iq_score(good, TAKES[:1]).original == 100.0 == physics_iq_score(good, TAKES[:1]).verified[0]
    assert physics_iq_score(bad, TAKES[:1]).original == 0.0
    assert physics_iq_score(bad, TAKES[:1]).verified[0] < 1.0
