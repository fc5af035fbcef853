"""Losses of predictions that say how sure they are: proper scores, least on average for the true distribution."""

from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Embeddings

LATENT = 32
"""Numbers of a latent variable a chunk, standard normal (as many as in FGN, arXiv 2506.10772)."""
LOG_VARIANCES = (-8.0, 4.0)
"""What the logarithm of a predicted variance lies between; embeddings have variance 1 or so."""


def bounded(raw: Tensor) -> Tensor:
    """Any number as the logarithm of a variance."""
    low, high = LOG_VARIANCES
    return low + (high - low) * raw.float().sigmoid()


def gaussian_loss(mean: Embeddings, log_variance: Embeddings, target: Embeddings) -> Float[Tensor, ""]:
    """The negative log-likelihood a number, each by itself, less its bound: never below 0."""
    error = (mean - target).square()
    return 0.5 * (log_variance - LOG_VARIANCES[0] + error * (-log_variance).exp()).mean()


def energy_loss(samples: Float[Tensor, "2 clip t h w embedding"], target: Embeddings) -> Float[Tensor, ""]:
    """The energy score of two samples of each chunk as a whole, an unbiased estimate; distances are root mean squares.

    Of whole chunks, so that all cells of a sample are of one future. Source: Gneiting & Raftery (2007), eq. 22; as a
    loss of networks with latent noise, engression (arXiv 2307.00835).
    """

    def apart(one: Tensor, other: Tensor) -> Tensor:
        return ((one - other).square().mean(dim=(-3, -2, -1)) + 1e-8).sqrt()

    wrong = apart(samples, target[None]).mean(dim=0)
    return (wrong - apart(samples[0], samples[1]) / 2).mean()
