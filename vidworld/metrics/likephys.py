"""LikePhys' plausibility preference error, as published.

Source: Yuan et al. 2025, "LikePhys" (arXiv 2510.11512).

Quirks, kept: the error counts L(valid) ≥ L(invalid), so that a tie is an error, and the two clips of a pair
need not show equally much, so that an emptier scene wins whatever happened. Not kept: its released code never
advances the noise schedule, and compares a flow model's velocity with noise; here the losses come in as given.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vidworld.metrics.metric import PerClip


def plausibility_preference_error(
    valid: Float[ndarray, "pair level"], invalid: Float[ndarray, "pair level"]
) -> PerClip:
    """1 for each pair whose valid clip has no smaller mean denoising loss, else 0; 0.5 on average is chance.

    The losses of a pair are those at the same noise levels with the same noise.
    """
    errors: ndarray = (valid.mean(axis=1) >= invalid.mean(axis=1)).astype(np.float64)
    return errors
