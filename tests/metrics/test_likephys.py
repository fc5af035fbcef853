"""LikePhys' error on three pairs."""

import numpy as np

from vidworld.metrics.likephys import plausibility_preference_error


def test_by_hand():
    valid = np.array([[1.0, 1.0], [2.0, 2.0], [1.0, 3.0]])
    invalid = np.array([[2.0, 1.0], [1.0, 1.0], [3.0, 1.0]])
    # Right; wrong; the means tie, which is wrong too.
    assert plausibility_preference_error(valid, invalid).tolist() == [0, 1, 1]
