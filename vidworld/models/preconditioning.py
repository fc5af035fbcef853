"""What a diffusion network is given of a noisy chunk, and in what its answer is measured: how tokens change."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vidworld.core.clip import Tokens
from vidworld.models.layers import Basis, in_full_precision

CHANGE = 0.3
"""Variance of a token's change from one chunk to the next, of tokens whose own is 1: as a rule, of simulated clips."""
Directions = Float[Tensor, "component channel"]
LEAST_VARIANCE = 1e-4
"""Of a direction in which nothing that the fit has seen changes."""


def preconditioned(level: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """What of a noisy change the best linear estimate keeps, and the deviation of what that misses.

    Of a change of so much variance, at a noise level. Source: EDM (arXiv 2206.00364), table 1, for rectified flow.
    """
    spread = variance * (1 - level) ** 2 + level**2
    return variance * (1 - level) / spread, (variance / spread).sqrt() * level


class Changes(nn.Module):
    """How tokens change from one chunk to the next: directions and variances, fitted to data, and where these differ.

    Simulated tokens change in few directions, each by another amount. By one variance for all, what a network adds to
    the estimate has to take noise out of every other direction, which one narrower than its tokens cannot; and how much
    is left to chance in one place it would have to multiply into what is noisy, which it hardly learns. Here the
    estimate is the best linear one for a Gaussian that the network itself predicts: a variance for every direction and
    place, in a basis that is learned, both from the fit on, by the likelihood of what denoising leaves (as
    variances are learned in arXiv 2102.09672). The fit is not trained.
    """

    basis: Directions
    variance: Float[Tensor, " component"]

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.spread = nn.Linear(width, channels)
        self.turns = Basis(channels)
        self.register_buffer("basis", torch.eye(channels))
        self.register_buffer("variance", torch.full((channels,), CHANGE))

    @torch.no_grad()
    def fit(self, tokens: Tokens) -> None:
        """The covariance of these tokens' changes, its eigenvectors for a basis."""
        change = tokens.diff(dim=1).flatten(0, -2).double().cpu()
        variance, basis = torch.linalg.eigh(change.T @ change / len(change))
        self.variance.copy_(variance.clamp_min(LEAST_VARIANCE))
        self.basis.copy_(basis.T)

    def kept(self, change: Tokens, share: Float[Tensor, "... component"], basis: Directions) -> Tokens:
        """As much of each component of a change as these shares say."""
        with in_full_precision(change.device.type):
            return (share * (change.float() @ basis.T)) @ basis

    def learned_basis(self) -> Directions:
        """The fitted basis and what was learned to turn it by."""
        with in_full_precision(self.basis.device.type):
            return self.turns.matrix() @ self.basis

    def variance_here(self, features: Tensor) -> Float[Tensor, "... component"]:
        """The variance of each component of the learned basis, between e^-4 and e^4 times the fitted."""
        ratio: Tensor = (4 * (self.spread(features).float() / 4).tanh()).exp()
        return self.variance * ratio
