"""Finite scalar quantisation: each channel of a latent on a few levels, no codebook to learn.

Source: Mentzer et al., arXiv 2309.15505, section 3. A latent is bounded by tanh and rounded, and the rounding is passed
over by the gradient. Codes are evenly spaced; with an even number of levels one more lies below zero than above, as
there. They lie in [-2, 2] and not in [-1, 1], so that a latent of unit deviation stays about as large as it was.
"""

import math

import torch
from torch import Tensor

SPREAD = 2.0
"""Where the last codes lie."""
MARGIN = 1e-3
"""By how much the bound lies outside the last levels, so that these can be reached (as in the paper's code)."""


def quantised(latents: Tensor, levels: int) -> Tensor:
    """The code of each latent; its gradient is that of the bounded latent (straight through)."""
    half = (levels - 1) * (1 + MARGIN) / 2
    offset = 0.5 if levels % 2 == 0 else 0.0
    bounded = (latents / SPREAD + math.atanh(offset / half)).tanh() * half - offset
    code = bounded + (bounded.round() - bounded).detach()
    return code / (levels // 2) * SPREAD


def nearest_code(latents: Tensor, levels: int) -> Tensor:
    """The code nearest to each latent: for latents that a model predicted."""
    half = levels // 2
    highest = half - 1 if levels % 2 == 0 else half
    return torch.round(latents / SPREAD * half).clamp(-half, highest) / half * SPREAD
