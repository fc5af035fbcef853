"""Concepts read out of features: ridge regression with a chosen penalty, a small network, and how sure a score is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

Features = Float[Tensor, "sample feature"]
Answer = Float[Tensor, "sample _"]
Others = Float[Tensor, "other feature"]
"""Features of samples that nothing is fitted to, by which it is chosen; and their answers."""
OthersAnswer = Float[Tensor, "other _"]
PENALTIES = tuple(10.0**power for power in range(-6, 4))
"""Over the square of the largest singular value of the features; the last leaves the mean."""
COMPONENTS = 128
"""Principal components that the small network is given, and at most a quarter as many as there are samples."""
_DRAWN = 1000
"""Resamplings of clips."""


class Read(NamedTuple):
    """A number, and where it lies in 95% of the resamplings of clips."""

    value: float
    low: float
    high: float


def ratio_over(above: Float[Tensor, " sample"], below: Float[Tensor, " sample"], group: Int[Tensor, " sample"]) -> Read:
    """The sum of one over the sum of the other, with a bootstrap over groups of samples; NaN where there are none."""
    if not len(group):
        return Read(*[float("nan")] * 3)
    _, number = group.unique(return_inverse=True)
    sums = torch.zeros(2, int(number.max()) + 1, dtype=torch.float64)
    for row, values in zip(sums, (above, below), strict=True):
        row.index_add_(0, number, values.double())
    drawn = np.random.default_rng(0).multinomial(sums.shape[1], [1 / sums.shape[1]] * sums.shape[1], _DRAWN)
    upper, lower = sums.numpy() @ drawn.T
    low, high = np.nanquantile(upper / np.where(lower == 0, np.nan, lower), [0.025, 0.975])
    return Read(float(sums[0].sum() / sums[1].sum()), float(low), float(high))


def score(
    predicted: Answer, true: Answer, mean: Float[Tensor, " _"], group: Int[Tensor, " sample"], binary: bool
) -> Read:
    """R2 against the mean of the answers fitted to, each dimension over its own deviation; accuracy of binary ones."""
    if binary:
        right = ((predicted > 0) == (true > 0)).float()[:, 0]
        return ratio_over(right, torch.ones_like(right), group)
    scale = (true - mean).square().mean(dim=0).clamp_min(1e-12)
    missed, there = (((x - true).square() / scale).sum(dim=1) for x in (predicted, mean.expand_as(true)))
    return ratio_over(there - missed, there, group)


@dataclass(frozen=True)
class Ridge:
    """A linear reading of features."""

    mean: Float[Tensor, " feature"]
    scale: Float[Tensor, " feature"]
    weights: Float[Tensor, "feature _"]
    """Of features in their own deviations."""
    offset: Float[Tensor, " _"]
    penalty: float

    def __call__(self, features: Features) -> Answer:
        read: Answer = (features - self.mean) / self.scale @ self.weights + self.offset
        return read


class Spectrum:
    """Features to fit to, taken apart once for all penalties and concepts."""

    def __init__(self, features: Features) -> None:
        self.mean, deviation = features.mean(dim=0), features.std(dim=0)
        self.scale = deviation.clamp_min(1e-3 * deviation.amax().clamp_min(1e-6))  # a constant tells nothing
        x = self.standard(features)
        wide = x.shape[1] > x.shape[0]
        values, vectors = torch.linalg.eigh((x @ x.T if wide else x.T @ x).double())
        kept = values > 1e-7 * values[-1]
        self.s = values[kept].sqrt().flip(0).float()
        vectors = vectors[:, kept].flip(1).float()
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

        As good is what is within so many standard errors (one: Breiman et al. 1984): of what tells nothing the mean is
        left. A penalty shrinks what is read, so that what is to change a reading is larger.
        """
        offset = answer.mean(dim=0)
        fitted, told, errors = self.u.T @ (answer - offset), self.standard(features) @ self.v, []
        shrunk = [self.s / (self.s.square() + penalty * self.s[0] ** 2) for penalty in PENALTIES]
        spread = answer.std(dim=0).clamp_min(1e-6)
        for shrink in shrunk:
            errors.append((((told * shrink) @ fitted + offset - true) / spread).square().mean(dim=1))
        error = torch.stack(errors)  # (penalty, sample)
        worse = error - error[error.mean(dim=1).argmin()]
        as_good = worse.mean(dim=1) <= slack * worse.std(dim=1) / len(true) ** 0.5
        best = int(as_good.nonzero().max())
        weights = self.v @ (shrunk[best][:, None] * fitted)
        return Ridge(self.mean, self.scale, weights, offset, PENALTIES[best])


def network_of(
    components: Features, answers: Mapping[str, Answer], others: Others, true: Mapping[str, OthersAnswer]
) -> Callable[[Features], dict[str, Answer]]:
    """A small network's reading of all concepts, each as it was when it read the other features best.

    One hidden layer of 64, 150 steps of Adam over all samples.
    """
    mean = {name: value.mean(dim=0) for name, value in answers.items()}
    spread = {name: value.std(dim=0).clamp_min(1e-6) for name, value in answers.items()}
    widths = [value.shape[1] for value in answers.values()]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(components.shape[1], 64), nn.SiLU(), nn.Linear(64, sum(widths)))
    target = torch.cat([(answers[name] - mean[name]) / spread[name] for name in answers], dim=1)
    optimiser = torch.optim.AdamW(net.parameters(), lr=6e-3, weight_decay=0.1)
    best: dict[str, tuple[float, dict[str, Tensor]]] = {}
    for step in range(151):
        if step % 15 == 0:
            with torch.no_grad():
                for name, given in zip(answers, net(others).split(widths, dim=1), strict=True):
                    error = float((given * spread[name] + mean[name] - true[name]).square().mean())
                    if error < best.get(name, (float("inf"), {}))[0]:
                        best[name] = error, {key: value.clone() for key, value in net.state_dict().items()}
        optimiser.zero_grad()
        F.mse_loss(net(components), target).backward()
        optimiser.step()

    @torch.no_grad()
    def read(features: Features) -> dict[str, Answer]:
        found = {}
        for number, name in enumerate(answers):
            net.load_state_dict(best[name][1])
            found[name] = net(features).split(widths, dim=1)[number] * spread[name] + mean[name]
        return found

    return read
