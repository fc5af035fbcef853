"""Ridge regression: features taken apart once for all penalties, which other samples choose or those left out."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

Features = Float[Tensor, "sample feature"]
Answer = Float[Tensor, "sample _"]
Others = Float[Tensor, "other feature"]
"""Features of samples that nothing is fitted to, by which it is chosen; and their answers."""
OthersAnswer = Float[Tensor, "other _"]
PENALTIES = tuple(10.0**power for power in range(-6, 4))
"""Over the square of the largest singular value of the features; the last leaves the mean."""
PENALTIES_LEFT_OUT = tuple(10.0**power for power in range(-2, 5))
"""Over the number of samples, of features in their own deviations."""
COMPONENTS = 128
"""Principal components at most, and a quarter as many as there are samples."""
NORMAL_90 = 1.645  # standard deviations on either side of the middle that hold 90% of a normal distribution


@dataclass(frozen=True)
class Ridge:
    """A linear reading of features."""

    mean: Float[Tensor, " feature"]
    scale: Float[Tensor, " feature"]
    weights: Float[Tensor, "feature _"]
    """Of features in their own deviations."""
    offset: Float[Tensor, " _"]

    def __call__(self, features: Features) -> Answer:
        read: Answer = (features - self.mean) / self.scale @ self.weights + self.offset
        return read


class Spectrum:
    """Features to fit to, taken apart once for all penalties and concepts."""

    def __init__(self, features: Features, scale: Float[Tensor, " feature"] | None = None) -> None:
        """scale: what features are divided by, other than their deviations."""
        self.mean, deviation = features.mean(dim=0), features.std(dim=0)
        # A constant says nothing.
        self.scale = deviation.clamp_min(1e-3 * deviation.amax().clamp_min(1e-6)) if scale is None else scale
        x = self.standard(features)
        wide = x.shape[1] > x.shape[0]
        values, vectors = torch.linalg.eigh((x @ x.T if wide else x.T @ x).double())
        kept = values > (1e-7 if x.dtype == torch.float32 else 1e-14) * values[-1]
        self.s = values[kept].sqrt().flip(0).to(x)
        vectors = vectors[:, kept].flip(1).to(x)
        other = (x.T if wide else x) @ vectors / self.s
        self.u, self.v = (vectors, other) if wide else (other, vectors)

    def standard(self, features: Features) -> Features:
        return (features - self.mean) / self.scale

    def components(self, features: Features) -> Float[Tensor, "sample component"]:
        """The largest principal components, each of unit deviation."""
        count = min(COMPONENTS, len(self.u) // 4)
        scaled: Tensor = self.standard(features) @ (self.v / self.s)[:, :count] * len(self.u) ** 0.5
        return scaled

    def ridge(self, answer: Answer, features: Others, true: OthersAnswer, slack: float = 1.0) -> Ridge:
        """The reading of the largest penalty that is as good as the best for these other features and true answers.

        As good is what is within so many standard errors (one: Breiman et al. 1984): of what says nothing the mean is
        left. A penalty shrinks what is read, so that what is to change a reading is larger.
        """
        offset = answer.mean(dim=0)
        fitted, projected, errors = self.u.T @ (answer - offset), self.standard(features) @ self.v, []
        shrunk = [self.s / (self.s.square() + penalty * self.s[0] ** 2) for penalty in PENALTIES]
        spread = answer.std(dim=0).clamp_min(1e-6)
        for shrink in shrunk:
            errors.append((((projected * shrink) @ fitted + offset - true) / spread).square().mean(dim=1))
        error = torch.stack(errors)  # (penalty, sample)
        worse = error - error[error.mean(dim=1).argmin()]
        as_good = worse.mean(dim=1) <= slack * worse.std(dim=1) / len(true) ** 0.5
        return self._reading(shrunk[int(as_good.nonzero().max())], fitted, offset)

    def ridge_left_out(self, answer: Answer) -> tuple[Ridge, float]:
        """The reading that is best of each sample when it is left out, and the root mean square by which it is wrong.

        Leaving out is exact, by the hat matrix (Source: Golub, Heath & Wahba 1979, before they generalise it).
        """
        offset, found = answer.mean(dim=0), []
        fitted = self.u.T @ (answer - offset)
        for penalty in PENALTIES_LEFT_OUT:
            shrink = self.s / (self.s.square() + penalty * len(self.u))
            kept = (shrink * self.s)[:, None]
            hat = self.u.square() @ kept + 1 / len(self.u)
            residual = (answer - offset - self.u @ (kept * fitted)) / (1 - hat).clamp_min(1e-3)
            found.append((float(residual.square().mean().sqrt()), shrink))
        error, shrink = min(found, key=lambda each: each[0])
        return self._reading(shrink, fitted, offset), error

    def _reading(self, shrink: Tensor, fitted: Tensor, offset: Tensor) -> Ridge:
        return Ridge(self.mean, self.scale, self.v @ (shrink[:, None] * fitted), offset)


def r_squared(read: Float[ndarray, " clip"], true: Float[ndarray, " clip"]) -> float:
    """The share of the variance that is read: 1 for all of it, 0 for no better than the mean, below 0 for worse."""
    return float(1 - np.mean((read - true) ** 2) / np.var(true))


def concordance(read: Float[ndarray, " clip"], true: Float[ndarray, " clip"]) -> float:
    """The share of pairs of clips that are in the right order; a tie, or a clip that says nothing (NaN), is half."""
    first, second = np.triu_indices(len(true), 1)
    apart, truly = read[first] - read[second], true[first] - true[second]
    right = np.where(np.isnan(apart) | (apart == 0), 0.5, np.sign(apart) == np.sign(truly))
    return float(right[truly != 0].mean()) if (truly != 0).any() else float("nan")


def share_covered(read: Float[ndarray, " clip"], true: Float[ndarray, " clip"], deviation: float) -> float:
    """The share of clips whose truth lies within the 90% interval of what is read, by its deviation."""
    return float(np.mean(np.abs(read - true) <= NORMAL_90 * deviation))
