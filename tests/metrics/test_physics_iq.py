"""Physics-IQ's measures on videos small enough to work out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidworld.metrics.physics_iq import (
    mean_squared_error,
    motion_masks,
    physics_iq,
    spatial_iou,
    spatiotemporal_iou,
    weighted_spatial_iou,
)


def squares(*left: int | None, size: int = 8, width: int = 32) -> torch.Tensor:
    """A clip of a white square on black, its left edge in each frame, None where it is gone."""
    clip = torch.zeros(1, len(left), 3, 24, width, dtype=torch.uint8)
    for frame, x in enumerate(left):
        if x is not None:
            clip[0, frame, :, 8 : 8 + size, x : x + size] = 255
    return clip


def masks(*rows: str) -> np.ndarray:
    """A row of pixels a frame."""
    return np.array([[[pixel == "#" for pixel in row]] for row in rows])


def test_ious_by_hand() -> None:
    truth, predicted = masks("....", "##..", ".##."), masks("....", "##..", "##..")
    assert spatial_iou(predicted, truth) == 2 / 3
    # 1 for the two empty frames, 1 for the same, 1 of 3
    assert spatiotemporal_iou(predicted, truth) == pytest.approx((1 + 1 + 1 / 3) / 3)
    # pixels move in (2, 2, 0) of 3 frames and (1, 2, 1): minima 3, maxima 5
    assert weighted_spatial_iou(predicted, truth) == pytest.approx(3 / 5)
    empty = masks("....", "....", "....")
    assert (spatial_iou(empty, truth), weighted_spatial_iou(empty, truth)) == (0, 0)
    assert spatiotemporal_iou(empty, truth) == pytest.approx(1 / 3)
    assert (spatial_iou(empty, empty), weighted_spatial_iou(empty, empty)) == (1, 1)


def test_mse_by_hand() -> None:
    truth, predicted = np.zeros((2, 3, 4, 4), np.uint8), np.zeros((2, 3, 4, 4), np.uint8)
    predicted[1, 0] = 51  # a fifth, in one channel of three, in one frame of two
    assert mean_squared_error(predicted, truth) == pytest.approx(0.04 / 6)


def test_the_average_takes_in_a_frame_before_it_is_compared() -> None:
    """The quirk: of 14 levels 9.8 count, which is no more than 10; of 16 levels 11.2 do."""
    for levels, moves in ((14, False), (16, True)):
        video = np.full((3, 3, 20, 20), 100, np.uint8)
        video[1:, :, 5:15, 5:15] += levels
        found = motion_masks(video)
        assert not found[0].any()
        assert found[1].any() == moves
        assert not found[2].any()  # 0.7 * 0.7 of 16 is 7.8


def test_a_mask_is_where_the_square_was_and_is() -> None:
    """A square of 8 that jumps by 12: it shows at both places, and 0.7 * 0.7 of it a frame later."""
    found = motion_masks(squares(2, 14, 14)[0].numpy())
    for frame in (1, 2):
        rows, columns = np.nonzero(found[frame])
        # the blur of 5 x 5 widens the edges by up to two pixels
        assert 6 <= rows.min() <= 8 and 15 <= rows.max() <= 17
        assert 0 <= columns.min() <= 2 and 21 <= columns.max() <= 23
        assert not found[frame][:, 12].all()
    assert not found[0].any()


def test_what_is_narrower_than_the_kernel_leaves_no_mask_unless_enlarged() -> None:
    video = squares(2, 6, 10, size=1)[0].numpy()
    assert not motion_masks(video).any()
    assert motion_masks(video, enlarge=4).any()
    assert motion_masks(video, enlarge=4).shape == (3, 96, 128)


def test_the_truth_scores_best_and_a_frozen_video_loses() -> None:
    truth = squares(*range(2, 18, 1))
    frozen = truth.clone()
    frozen[:, 8:] = truth[:, 7:8]
    away = truth.clone()
    away[:, 8:] = 0
    best = physics_iq(truth, truth, start=8)
    assert [float(value[0]) for value in best] == [1, 1, 1, 0]
    for wrong in (frozen, away):
        scores = physics_iq(wrong, truth, start=8)
        assert all(value.shape == (1,) and value.dtype == np.float64 for value in scores)
        assert max(float(value[0]) for value in scores[:3]) < 0.7
        assert scores.mse[0] > 0


def test_motion_does_not_apply_where_the_true_future_has_none() -> None:
    still = squares(2, 2, 2, 2)
    moving = squares(2, 2, 10, 18)
    for predicted in (still, moving):
        scores = physics_iq(predicted, still)
        assert all(math.isnan(value[0]) for value in scores[:3])
        assert scores.mse[0] == (0 if predicted is still else pytest.approx(mean(predicted, still)))
    both = physics_iq(torch.cat([still, moving]), torch.cat([still, moving]))
    assert np.isnan(both.spatial_iou).tolist() == [True, False]


def mean(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(((a.double() - b.double()) / 255).square().mean())


def test_with_a_past_the_first_predicted_frame_counts() -> None:
    """Without one, two different first frames agree on an empty mask."""
    truth, wrong = squares(2, 2, 12), squares(2, 2, 20)
    assert physics_iq(wrong[:, 2:], truth[:, 2:]).mse[0] > 0
    assert math.isnan(physics_iq(wrong[:, 2:], truth[:, 2:]).spatiotemporal_iou[0])
    assert physics_iq(wrong, truth, start=2).spatiotemporal_iou[0] < 0.7


@settings(max_examples=20)
@given(st.lists(st.integers(0, 24), min_size=3, max_size=8), st.lists(st.integers(0, 24), min_size=8, max_size=8))
def test_measures_keep_to_their_range_and_are_even(a: list[int], b: list[int]) -> None:
    one, other = squares(*a), squares(*b[: len(a)])
    there, back = physics_iq(one, other), physics_iq(other, one)
    for forth, reverse in zip(there, back, strict=True):
        if not np.isnan(forth[0] + reverse[0]):
            assert forth[0] == pytest.approx(reverse[0])
            assert 0 <= forth[0] <= 1


def test_a_growing_error_scores_worse() -> None:
    """Squares that lag behind by more and more."""
    truth = squares(*[2 * i for i in range(12)])
    lags = [squares(*[max(0, 2 * i - lag) if i >= 4 else 2 * i for i in range(12)]) for lag in (0, 2, 4, 8)]
    scores = [physics_iq(predicted, truth, start=4) for predicted in lags]
    for name in ("spatiotemporal_iou", "spatial_iou", "weighted_spatial_iou"):
        values = [float(getattr(score, name)[0]) for score in scores]
        assert values == sorted(values, reverse=True) and values[-1] < values[0]
    errors = [float(score.mse[0]) for score in scores]
    assert errors == sorted(errors) and errors[-1] > errors[0] == 0
