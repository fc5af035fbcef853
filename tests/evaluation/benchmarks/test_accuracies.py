"""IntPhys' accuracies on a handful of clips."""

import numpy as np
import pytest

from vidworld.evaluation.benchmarks.scoring import absolute_accuracy, auroc_of_videos, relative_accuracy

POSSIBLE = np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 1.0]])
IMPOSSIBLE = np.array([[2.0, 3.0], [2.0, 2.0], [0.0, 4.0]])


def test_relative_by_hand():
    # Means 2 < 2.5, 2 = 2 (a tie is wrong), 1 < 2.
    assert relative_accuracy(POSSIBLE, IMPOSSIBLE).tolist() == [1, 0, 1]


def test_absolute_by_hand():
    # Maxima 3, 2, 1: their 90th percentile is 2.8.
    assert absolute_accuracy(POSSIBLE, IMPOSSIBLE).tolist() == [0, 1, 1, 1, 0, 1]


def test_auroc_by_hand():
    # Means 2, 2, 1 against 2.5, 2, 2: three of nine pairs above by 2.5, two by 1, four ties among the rest.
    assert auroc_of_videos(POSSIBLE, IMPOSSIBLE) == pytest.approx((5 + 0.5 * 4) / 9)
    assert auroc_of_videos(POSSIBLE, POSSIBLE) == 0.5
