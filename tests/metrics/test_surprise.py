"""Accuracies over quads, counted by hand and under scorers that must be at chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vidworld.core.errors import UserError
from vidworld.metrics.surprise import (
    over_chunks,
    surprise_accuracy,
    surprise_accuracy_usual,
    surprise_accuracy_within_quadruplet,
    surprise_auroc,
)


def quadruplet(aa, ab, ba, bb):
    """Surprise of one quad and chunk: [past, future]."""
    return np.array([[[[aa], [ab]], [[ba], [bb]]]], dtype=float)


@pytest.mark.parametrize(
    ("values", "matched", "usual_form"),
    [
        ((1, 2, 2, 1), 1.0, 1.0),
        ((2, 1, 1, 2), 0.0, 0.0),
        ((1, 5, 2, 3), 1.0, 0.5),  # future A after A 1 < after B 2; future B after B 3 < after A 5
        ((1, 1, 1, 1), 0.5, 0.5),
        ((1, 2, 1, 1), 0.75, 0.75),
    ],
)
def test_by_hand(values, matched, usual_form):
    assert surprise_accuracy(quadruplet(*values)).tolist() == [matched]
    assert surprise_accuracy_usual(quadruplet(*values)).tolist() == [usual_form]


def test_within_quad_by_hand():
    assert surprise_accuracy_within_quadruplet(quadruplet(1, 2, 3, 3.9)).tolist() == [1.0]
    assert surprise_accuracy_within_quadruplet(quadruplet(1, 2, 3, 4)).tolist() == [0.5]


def test_mean_and_maximum_over_chunks():
    values = np.zeros((1, 2, 2, 3))
    values[0, 0, 0] = [0, 0, 5]
    values[0, 1, 0] = [4, 4, np.nan]
    assert over_chunks(values, "mean")[0, :, 0].tolist() == [pytest.approx(5 / 3), 4]
    assert over_chunks(values, "max")[0, :, 0].tolist() == [5, 4]
    assert surprise_accuracy(values, "mean").tolist() == [0.75]
    assert surprise_accuracy(values, "max").tolist() == [0.25]


def test_how_hard_a_future_is_cancels():
    generator = np.random.default_rng(0)
    future_only = np.repeat(generator.random((300, 1, 2, 2)), 2, axis=1)
    past_only = np.repeat(generator.random((300, 2, 1, 2)), 2, axis=2)
    assert (surprise_accuracy(future_only) == 0.5).all()
    assert (surprise_accuracy_usual(future_only) == 0.5).all()  # once rightly, once wrongly in each quad
    assert (surprise_accuracy(past_only) == 0.5).all()
    within = surprise_accuracy_within_quadruplet(future_only)
    assert (within == 0.5).all() or abs(within.mean() - 0.5) < 0.1


def test_auroc_is_that_of_all_pairs_of_clips():
    generator = np.random.default_rng(1)
    values = np.round(generator.random((30, 2, 2, 1)), 1)  # with ties
    possible = np.concatenate([values[:, 0, 0], values[:, 1, 1]]).ravel()
    impossible = np.concatenate([values[:, 0, 1], values[:, 1, 0]]).ravel()
    difference = impossible[:, None] - possible[None]
    expected = (difference > 0).mean() + 0.5 * (difference == 0).mean()
    assert surprise_auroc(values).mean() == pytest.approx(expected, abs=1e-12)


def test_auroc_values_have_its_variance():
    generator = np.random.default_rng(2)
    areas, variances = [], []
    for _ in range(300):
        values = generator.normal(size=(60, 2, 2, 1))
        values[:, [0, 1], [1, 0]] += 0.8
        per_quad = surprise_auroc(values)
        areas.append(per_quad.mean())
        variances.append(per_quad.var(ddof=1) / len(per_quad))
    assert np.mean(variances) == pytest.approx(np.var(areas), rel=0.2)


@given(arrays.arrays(float, (3, 2, 2, 2), elements=st.floats(0, 10)), st.floats(0.5, 2))
def test_order_is_all_that_counts(values, factor):
    for form in (surprise_accuracy, surprise_accuracy_usual, surprise_accuracy_within_quadruplet):
        accuracy = form(values)
        assert ((accuracy >= 0) & (accuracy <= 1)).all()
    swapped = values[:, ::-1]  # the other's past as one's own
    assert np.allclose(surprise_accuracy(values) + surprise_accuracy(swapped), 1.0)


def test_a_diverged_world_is_said():
    with pytest.raises(UserError, match="diverged"):
        surprise_accuracy(np.full((1, 2, 2, 2), np.nan))
