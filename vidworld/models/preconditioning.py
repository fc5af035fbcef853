"""What a diffusion network is given of a noisy chunk, and in what its answer is measured: how tokens change."""

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

from vidworld.core.clip import Tokens
from vidworld.core.errors import UserError
from vidworld.models.layers import Basis, in_full_precision

CHANGE = 0.3
"""Variance of a token's change from one chunk to the next, of tokens whose own is 1: as a rule, of simulated clips."""
Directions = Float[Tensor, "component channel"]
LEAST_VARIANCE = 1e-3
"""Of a direction in which nothing that the fit has seen changes: enough for the likelihood to tell it from less."""


def preconditioned(level: Tensor, variance: Tensor | float) -> tuple[Tensor, Tensor]:
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
    place, in a basis that is learned, both from the fit on: with what is denoised, and by the likelihood of what
    that leaves (as variances are learned in arXiv 2102.09672). The fit is not trained.
    """

    basis: Directions
    variance: Float[Tensor, " component"]
    settled: Directions | None

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.spread = nn.Linear(width, channels)
        self.turns = Basis(channels)
        self.register_buffer("basis", torch.eye(channels))
        self.register_buffer("variance", torch.full((channels,), CHANGE))
        self.register_buffer("settled", None, persistent=False)

    @torch.no_grad()
    def fit(self, tokens: Tokens) -> None:
        """The covariance of these tokens' changes, its eigenvectors for a basis; the same in all processes.

        Raises UserError: there is no change, or one that is no number.
        """
        if tokens.shape[1] < 2 or not bool(tokens.isfinite().all()):
            wrong = "clips of one chunk show no change" if tokens.shape[1] < 2 else "tokens are not finite"
            raise UserError(
                f"model.prediction=fitted: {wrong}; longer clips, a sound tokenizer or prediction=edm would do"
            )
        changes = [clip.diff(dim=0).flatten(0, -2).double().cpu() for clip in tokens]
        covariance = sum(change.T @ change for change in changes) / sum(map(len, changes))
        variance, directions = torch.linalg.eigh(covariance)
        self.variance.copy_(variance.clamp_min(LEAST_VARIANCE))
        self.basis.copy_(directions.T)
        if dist.is_available() and dist.is_initialized():
            for found in (self.variance, self.basis):
                dist.broadcast(found, src=0)

    def kept(self, change: Tokens, share: Float[Tensor, "... component"], basis: Directions) -> Tokens:
        """As much of each component of a change as these shares say."""
        with in_full_precision(change.device.type):
            return (share.to(basis) * (change.to(basis) @ basis.T)) @ basis

    def learned_basis(self) -> Directions:
        """The fitted basis and what was learned to turn it by."""
        if self.settled is not None:
            return self.settled
        with in_full_precision(self.basis.device.type):
            turned: Directions = self.turns.matrix().to(self.basis) @ self.basis
        return turned

    @torch.no_grad()
    def settle(self) -> None:
        """Compute the learned basis once, for a network that is trained no further."""
        self.settled = None
        self.settled = self.learned_basis()

    def train(self, mode: bool = True) -> "Changes":
        """As of any module; in training the basis turns again."""
        if mode:
            self.settled = None
        return super().train(mode)

    def variance_here(self, features: Tensor) -> Float[Tensor, "... component"]:
        """The variance of each component of the learned basis, between e^-4 and e^4 times the fitted."""
        ratio: Tensor = (4 * (self.spread(features).float() / 4).tanh()).exp()
        return self.variance * ratio
