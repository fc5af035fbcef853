"""Morpheus' invariance on sequences whose deviation is known."""

import numpy as np
import pytest

from vidworld.evaluation.benchmarks.morpheus import physical_invariance


def test_by_hand():
    small = np.array([[[0.0, 0.2, 0.0, 0.2]]])  # deviation 0.1 about 0.1: absolute
    assert physical_invariance(small, window=4) == pytest.approx([1 / 1.1])
    large = np.array([[[9.0, 11.0, 9.0, 11.0]]])  # deviation 1 about 10: relative
    assert physical_invariance(large, window=4) == pytest.approx([1 / 1.1])


def test_only_the_best_window_counts():
    wild = np.array([[[5.0, 5.0, 5.0, -40.0, 70.0, 3.0]]])
    assert physical_invariance(wild, window=3) == [1.0]
    assert physical_invariance(wild, window=6) < 0.5


def test_the_mean_is_over_invariants():
    two = np.array([[[1.0, 1.0], [0.0, 0.2]]])
    assert physical_invariance(two, window=2) == pytest.approx([(1 + 1 / 1.1) / 2])


def test_what_stands_still_conserves_everything():
    assert physical_invariance(np.ones((1, 2, 8)), window=4) == [1.0]


def test_missing_values_break_a_window():
    gap = np.array([[[1.0, 1.0, np.nan, 1.0, 9.0]]])
    assert physical_invariance(gap, window=2) == [1.0]
    assert np.isnan(physical_invariance(gap, window=4)).all()
