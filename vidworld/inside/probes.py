"""How well concepts are read out of features, and how sure that is; and their reading by a small network."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vidworld.analysis.bootstrap import Resampled, middle_95
from vidworld.analysis.ridge import Answer, Features, Others, OthersAnswer

_DRAWN = 1000
"""Resamplings of clips."""


def ratio_over(
    above: Float[Tensor, " sample"], below: Float[Tensor, " sample"], group: Int[Tensor, " sample"]
) -> Resampled:
    """The sum of one over the sum of the other, with a bootstrap over groups of samples; NaN where there are none."""
    if not len(group):
        return Resampled(*[float("nan")] * 3)
    _, number = group.unique(return_inverse=True)
    sums = torch.zeros(2, int(number.max()) + 1, dtype=torch.float64)
    for row, values in zip(sums, (above, below), strict=True):
        row.index_add_(0, number, values.double())
    upper, lower = sums.numpy() @ _drawn(sums.shape[1]).T
    interval = middle_95(upper / np.where(lower == 0, np.nan, lower))
    return Resampled(float(sums[0].sum() / sums[1].sum()), *interval)


@lru_cache(maxsize=16)
def _drawn(groups: int) -> np.ndarray:
    """How often each group is in each resampling."""
    return np.random.default_rng(0).multinomial(groups, [1 / groups] * groups, _DRAWN)


def score(
    predicted: Answer, true: Answer, mean: Float[Tensor, " _"], group: Int[Tensor, " sample"], binary: bool
) -> Resampled:
    """R2 against the mean of the answers fitted to, each dimension over its own deviation; accuracy of binary ones."""
    if binary:
        right = ((predicted > 0) == (true > 0)).float()[:, 0]
        return ratio_over(right, torch.ones_like(right), group)
    scale = (true - mean).square().mean(dim=0).clamp_min(1e-12)
    missed, there = (((x - true).square() / scale).sum(dim=1) for x in (predicted, mean.expand_as(true)))
    return ratio_over(there - missed, there, group)


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
