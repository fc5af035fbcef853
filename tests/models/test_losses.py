"""Regression and JEPA that say how sure they are: by a Gaussian head, or by a latent variable."""

import math
from pathlib import Path

import pytest
import torch

from vidworld.core.clip import Clips
from vidworld.core.config import load, resolved
from vidworld.core.counter_rng import generators
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.models.families import FAMILIES
from vidworld.models.layers import Basis
from vidworld.models.losses import LOG_VARIANCES, bounded, correlated_loss, energy_loss, gaussian_loss
from vidworld.models.world_model import Encoded

CONFIGS = Path(__file__).parents[2] / "configs" / "demo"
SETTINGS = PhysicsConfig(out=Path(), models={"mine": "runs/mine"})
SMALL = ["model.width=16", "model.heads=1", "model.encoder_depth=1", "model.predictor_depth=1"]


def made(name: str, chance: str):
    family = FAMILIES[name]
    config = load(family.config, CONFIGS / f"{name}.yaml", [*SMALL, f"model.chance={chance}"])
    torch.manual_seed(0)
    network = family.network(config, 6)
    return family, config, network


def context(tokens):
    frames = torch.zeros(len(tokens), 4 * tokens.shape[1], 3, 8, 8, dtype=torch.uint8)
    return Encoded(Clips(frames, 10.0, tuple(map(str, range(len(tokens))))), tokens)


def test_by_default_nothing_is_new():
    family, config, network = made("regression", "none")
    assert "chance" not in resolved(config)["model"]
    assert network.log_variance is None and network.embed_latent is None
    assert family.draw(config, generators(0, 0, [0]), torch.zeros(1, 3, 2, 2, 6)) == ()


@pytest.mark.parametrize("name", ["regression", "jepa"])
@pytest.mark.parametrize("chance", ["gaussian", "correlated", "latent"])
def test_samples_are_draws_of_a_clips_own_seed(name, chance):
    family, _, network = made(name, chance)
    torch.nn.init.normal_(network.head.weight)
    model = family.world_model(network, name, SETTINGS, torch.nn.Linear(network.embedding_channels, 6))
    tokens = torch.randn(3, 2, 2, 2, 6)
    rollout = model.rollout(context(tokens), 2, 5, [7, 8, 9])
    assert rollout.tokens.shape == (3, 5, 2, 2, 2, 6)
    assert rollout.tokens.std(dim=1).min() > 0
    alone = model.rollout(context(tokens[1:2]), 2, 5, [8])
    assert torch.allclose(alone.tokens, rollout.tokens[1:2], atol=1e-5)
    one, again = (model.rollout(context(tokens), 2, 1, [seed] * 3).tokens for seed in (1, 2))
    assert torch.equal(one, again)  # one sample is the middle future


@pytest.mark.parametrize("chance", ["gaussian", "correlated", "latent"])
def test_a_loss_reaches_every_weight_and_says_what_is_learned(chance):
    family, config, network = made("regression", chance)
    tokens = torch.randn(4, 3, 2, 2, 6)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    loss = family.loss(config, network, tokens, *family.draw(config, generators(0, 0, range(4)), tokens))
    loss.total.backward()
    assert loss.total > 0 and loss.logged["copy_last_ratio"] > 0
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_gaussian_loss_ends_at_the_true_mean_and_variance():
    target = 0.5 * torch.randn(64, 8, 4, 4, 4, generator=torch.Generator().manual_seed(0))

    def pulls(mean, std):
        """How the loss rises with either."""
        at = torch.tensor([mean, 2 * math.log(std)], requires_grad=True)
        loss = gaussian_loss(at[0].expand(target.shape), at[1].expand(target.shape), target)
        loss.backward()
        assert loss > 0
        return at.grad

    assert pulls(0.0, 0.3)[1] < -0.01 and pulls(0.0, 0.8)[1] > 0.01 and abs(pulls(0.0, 0.5)[1]) < 2e-3
    assert pulls(-0.2, 0.5)[0] < -0.1 and pulls(0.2, 0.5)[0] > 0.1 and abs(pulls(0.0, 0.5)[0]) < 0.02
    low, high = bounded(torch.tensor([-99.0, 99.0]))
    assert (float(low), float(high)) == pytest.approx(LOG_VARIANCES)


def test_what_was_called_noise_is_still_learned_by_the_gaussian_loss():
    """The mean's pull falls with the standard deviation, not with the variance."""
    mean, target, pulls = torch.zeros(1, 1, 1, 1, 1, requires_grad=True), torch.ones(1, 1, 1, 1, 1), []
    for std in (0.1, 1.0):
        loss = gaussian_loss(mean, torch.full((1, 1, 1, 1, 1), 2 * math.log(std)), target)
        pulls.append(float(torch.autograd.grad(loss, mean)[0]))
    assert pulls[0] / pulls[1] == pytest.approx(10)


def test_a_basis_is_a_rotation_and_at_first_none():
    basis = Basis(6)
    assert torch.equal(basis.matrix(), torch.eye(6))
    torch.nn.init.normal_(basis.turns, std=3.0)
    with torch.autocast("cpu", torch.bfloat16):
        turned = basis.matrix()
    assert torch.allclose(turned @ turned.T, torch.eye(6), atol=1e-5) and not torch.allclose(turned, torch.eye(6))
    mean, target, log_variance = torch.randn(3, 2, 1, 1, 1, 6)
    plain = gaussian_loss(mean, log_variance, target)
    fit = 0.5 * ((target - mean).square() * (-log_variance).exp()).mean()
    target.requires_grad_()
    pulls = [
        torch.autograd.grad(each, target)[0]
        for each in (
            gaussian_loss(mean, log_variance, target),
            correlated_loss(mean, log_variance, target, torch.eye(6)),
        )
    ]
    assert torch.allclose(*pulls, atol=1e-6)  # what fits the basis pulls at no target
    assert torch.isclose(correlated_loss(mean, log_variance, target, torch.eye(6)), plain + fit)


def test_the_basis_comes_to_be_that_in_which_nothing_is_correlated():
    """Numbers that vary together, of which each by itself says half of the spread."""
    draw = torch.Generator().manual_seed(0)
    mixed = torch.linalg.qr(torch.randn(4, 4, generator=draw))[0]
    target = torch.randn(4096, 1, 1, 1, 4, generator=draw) * torch.tensor([1.0, 0.5, 0.1, 0.05]) @ mixed
    basis, mean, raw = Basis(4), torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    optimiser = torch.optim.Adam([basis.turns, mean, raw], lr=0.05)
    for _ in range(400):
        optimiser.zero_grad()
        given = (mean.expand(target.shape), bounded(raw).expand(target.shape))
        correlated_loss(*given, target, basis.matrix()).backward()
        optimiser.step()
    matrix, variance = basis.matrix().detach(), bounded(raw).exp().detach()
    found, true = matrix.T @ torch.diag(variance) @ matrix, target.flatten(0, 3).T.cov()
    assert torch.allclose(found, true, atol=0.03)
    assert (true - torch.diag(true.diag())).abs().max() > 0.1  # which variances alone do not say


def test_the_energy_loss_is_least_for_the_true_spread():
    draw = torch.Generator().manual_seed(0)
    target, samples = torch.randn(4000, 1, 1, 1, 2, generator=draw), torch.randn(2, 4000, 1, 1, 1, 2, generator=draw)
    losses = [float(energy_loss(spread * samples, target)) for spread in (0.0, 0.5, 1.0, 1.5)]
    assert losses[2] < losses[1] < losses[0] and losses[2] < losses[3]
