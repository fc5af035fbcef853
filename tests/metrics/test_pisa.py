"""PISA's numbers on masks that can be measured by eye."""

import numpy as np
import pytest

from vidworld.metrics.pisa import pisa


def square(row, column, size=2, frames=1, picture=10):
    masks = np.zeros((1, frames, picture, picture), bool)
    masks[:, :, row : row + size, column : column + size] = True
    return masks


def test_by_hand():
    found = pisa(square(0, 0), square(3, 0))
    # Centroids 3 rows apart: |Δ| is 3 and 0, their mean 1.5, over √2 · 10.
    assert found.l2 == pytest.approx([1.5 / (np.sqrt(2) * 10)])
    # Nearest rows are 3 - 1 = 2 away, and 3: a mean of 2.5 each way.
    assert found.chamfer == pytest.approx([5 / (np.sqrt(2) * 10)])
    assert found.iou == pytest.approx([0.0])


def test_overlap_by_hand():
    found = pisa(square(0, 0), square(0, 1))
    assert found.iou == pytest.approx([2 / 6])
    assert found.chamfer == pytest.approx([(0.5 + 0.5) / (np.sqrt(2) * 10)])


def test_the_same_masks_are_perfect():
    found = pisa(square(4, 4), square(4, 4))
    assert (found.l2, found.chamfer, found.iou) == ([0], [0], [1])


def test_an_object_that_vanishes_costs_nothing():
    truth, predicted = square(4, 4, frames=4), square(4, 4, frames=4)
    predicted[:, 1:] = False
    assert pisa(predicted, truth).l2 == [0] and pisa(predicted, truth).iou == [1]
    predicted[:] = False
    assert np.isnan(pisa(predicted, truth).l2).all()
