"""Noising, the levels of a batch, and the sampler on a flow whose answer is known."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from vidworld.models.diffusion import (
    DiffusionTransformer,
    GenerativeModel,
    flow_loss,
    noised,
    sample,
    shifted,
    training_levels,
)
from vidworld.models.families import FAMILIES
from vidworld.models.losses import correlated_loss
from vidworld.models.preconditioning import preconditioned


@pytest.mark.parametrize("pure", [0.0, 0.25, 1.0])
def test_a_share_of_the_training_levels_is_pure_noise_and_the_others_are_shifted(pure):
    drawn = torch.arange(1000) / 1000
    levels = training_levels(drawn, 3.0, pure)
    assert (levels == 1).float().mean().item() == pytest.approx(pure)
    left = levels[levels < 1]
    torch.testing.assert_close(left, shifted(torch.arange(len(left)) / max(len(left), 1), 3.0))


def test_noised_tokens_lie_between_clean_and_noise():
    tokens, noise = torch.randn(2, 3, 2, 2, 4), torch.randn(2, 3, 2, 2, 4)
    assert torch.equal(noised(tokens, noise, torch.zeros(2, 3)), tokens)
    assert torch.allclose(noised(tokens, noise, torch.ones(2, 3)), noise, atol=1e-6)


def test_shift_keeps_the_ends_and_leans_to_noise():
    level = torch.linspace(0, 1, 11)
    assert shifted(level, 3.0)[0] == 0
    assert shifted(level, 3.0)[-1] == 1
    assert (shifted(level, 3.0)[1:-1] > level[1:-1]).all()
    assert torch.equal(shifted(level, 1.0), level)


class Recorder(torch.nn.Module):
    """Stands for a network: notes what it is asked, and answers with what it is given or zero."""

    def __init__(self, answer=None):
        super().__init__()
        self.evaluated, self.answer = [], answer

    def forward(self, noisy, noise_level, previous):
        self.evaluated.append((noisy, noise_level, previous))
        return torch.zeros_like(noisy) if self.answer is None else self.answer, []


def test_training_denoises_every_chunk_but_the_first_given_the_clean_one_before():
    torch.manual_seed(0)
    network, tokens = Recorder(), torch.randn(3, 4, 2, 2, 4)
    flow_loss(network, tokens, torch.randn(3, 3, 2, 2, 4), torch.rand(3, 3))
    ((noisy, level, previous),) = network.evaluated
    assert torch.equal(previous, tokens[:, :-1])
    assert noisy.shape == tokens[:, 1:].shape
    assert level.shape == (3, 3)
    assert len(level.unique()) == 9
    away = (noisy - (1 - level[..., None, None, None]) * tokens[:, 1:]) / level[..., None, None, None]
    assert float(away.std()) == pytest.approx(1.0, abs=0.15)


def test_the_loss_is_the_squared_error_of_the_clean_chunks():
    """A network that knows the answer has none; one that says zero is wrong by the tokens, unit normals."""
    tokens = torch.randn(200, 4, 4, 4, 4)
    drawn = torch.randn(200, 3, 4, 4, 4), torch.rand(200, 3)
    assert float(flow_loss(Recorder(tokens[:, 1:]), tokens, *drawn)) == 0.0
    assert float(flow_loss(Recorder(), tokens, *drawn)) == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_the_sampler_carries_noise_to_a_gaussian_of_known_mean_and_deviation(shift):
    """For data N(mean, deviation²) the clean tokens are known: E[x | x_t], linear in x_t."""
    mean, deviation = 1.5, 0.3
    torch.manual_seed(0)

    def denoised(tokens, level, _):
        a, b = 1 - level, level
        return mean + (tokens - a * mean) * a * deviation**2 / (a * a * deviation**2 + b * b)

    sampled = sample(denoised, torch.randn(2000, 1, 2, 2, 4), steps=200, shift=shift)
    assert float(sampled.mean()) == pytest.approx(mean, abs=0.01)
    assert float(sampled.std()) == pytest.approx(deviation, rel=0.03)


def test_the_sampler_equals_a_reference_integral():
    """Euler steps over the shifted levels, written out."""
    noise = torch.randn(3, 1, 2, 2, 4, dtype=torch.float64)
    steps, shift = 7, 2.0
    levels = shifted(torch.linspace(1, 1 / steps, steps, dtype=torch.float64), shift).tolist()
    x = noise
    for now, following in pairwise([*levels, 0.0]):
        x = x + (following - now) * (x - (x * now - 1)) / now
    assert torch.allclose(sample(lambda tokens, level, _: tokens * level - 1, noise, steps, shift), x, atol=1e-5)


@pytest.mark.parametrize("variance", [0.5, 5.5, 30.0])
def test_steps_of_second_order_leave_a_gaussian_its_variance_which_eulers_shrink(variance):
    """The exact denoiser of a Gaussian is linear, so that what sampling loses is the steps' own doing."""
    evaluated = []

    def denoiser(noisy, level, following):
        evaluated.append(level)
        return preconditioned(torch.tensor(level), torch.tensor(variance))[0] * noisy

    noise = torch.randn(4, 1, 8, 8, 16, generator=torch.Generator().manual_seed(0))
    left = {}
    for order in (1, 2):
        left[order] = float(sample(denoiser, noise, 16, 1.0, order).var() / (noise.var() * variance))
    assert len(evaluated) == 16 + 31
    assert left[1] < 0.87
    assert left[2] == pytest.approx(1.0, abs=0.04)


def fitted_network(**more):
    torch.manual_seed(0)
    network = DiffusionTransformer(6, width=16, depth=1, heads=1, modulation_rank=8, prediction="fitted", **more)
    network.changes.fit(torch.randn(64, 3, 1, 1, 6) * torch.linspace(0.2, 2.0, 6))
    return network


def test_a_fitted_networks_loss_has_the_likelihood_of_what_denoising_leaves_which_teaches_the_spread_alone():
    network, tokens, noise = fitted_network(), torch.randn(4, 3, 2, 2, 6), torch.randn(4, 2, 2, 2, 6)
    level = torch.rand(4, 2)
    denoised, _, log_variance, basis = network(
        noised(tokens[:, 1:], noise, level), level, tokens[:, :2], with_spread=True
    )
    likelihood = correlated_loss(denoised.detach(), log_variance, tokens[:, 1:], basis)
    whole, plain = (flow_loss(network, tokens, noise, level, with_spread=each) for each in (True, False))
    torch.testing.assert_close(whole - plain, likelihood)
    (whole - plain).backward()
    assert float(network.head.weight.grad.abs().max()) < 1e-6
    assert float(network.changes.spread.weight.grad.abs().max()) > 1e-3
    assert float(network.changes.turns.turns.grad.abs().max()) > 1e-4


def test_how_much_is_said_to_be_left_of_a_gaussian_is_what_is_left():
    """Before it learns, at every level: the deviation of the best linear estimate in each direction of the fit."""
    network, level = fitted_network(), torch.tensor([[0.9], [0.4]])
    tokens = torch.zeros(2, 2, 1, 1, 6)
    _, _, log_variance, basis = network(tokens[:, 1:], level, tokens[:, :1], with_spread=True)
    expected = preconditioned(level, network.changes.variance)[1].square().log()
    torch.testing.assert_close(log_variance.flatten(1), expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(basis, network.changes.basis)


@pytest.mark.parametrize(("few_steps", "order"), [(False, 2), (True, 1)])
def test_the_family_samples_by_the_order_of_its_settings_but_one_of_few_steps(few_steps, order):
    settings = SimpleNamespace(sampling_steps=2, sampling_shift=1.0, sampling_order=2, levels=(0.7,))
    model = FAMILIES["diffusion"].world_model(fitted_network(flow_map=few_steps), "it", settings)
    assert model.order == order


def test_a_settled_basis_is_the_learned_one_until_training_goes_on():
    network = fitted_network()
    torch.nn.init.normal_(network.changes.turns.turns)
    learned = network.changes.learned_basis().detach()
    network.eval().changes.settle()
    torch.nn.init.zeros_(network.changes.turns.turns)
    assert torch.equal(network.changes.learned_basis(), learned)
    assert torch.equal(network.train().changes.learned_basis(), network.changes.basis)
    assert "changes.settled" not in network.state_dict()


def trained_on_a_few_directions(prediction: str, width: int = 32, channels: int = 96, steps: int = 700):
    """A network much narrower than its tokens, trained on chunks that vary in four directions, and these.

    Half of the chunks vary 0.5 as much, half 2.5; the one before tells which, by the sign of its first component.
    """
    torch.manual_seed(0)
    directions = torch.linalg.qr(torch.randn(channels, 4))[0].T
    network = DiffusionTransformer(channels, width, 2, 1, modulation_rank=16, prediction=prediction)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)
    for step in range(steps):
        tokens = following_by_sign(torch.randint(2, (128, 1)) * 2.0 - 1) @ directions
        if step == 0 and network.changes is not None:
            network.changes.fit(tokens)
        level = training_levels(torch.rand(128, 1), 1.0, 0.25)
        flow_loss(network, tokens, torch.randn(128, 1, 1, 1, channels), level, with_spread=True).backward()
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
    return network, directions


def following_by_sign(signs: torch.Tensor) -> torch.Tensor:
    """Two chunks in four components: (clip, 2, 1, 1, 4). The second varies by 2.5 where the sign is +1, else by 0.5."""
    first = torch.cat((2 * signs, torch.zeros(len(signs), 3)), dim=1)
    second = torch.where(signs > 0, 2.5, 0.5) * torch.randn(len(signs), 4)
    return torch.stack((first, second), dim=1)[:, :, None, None]


@pytest.mark.thorough
def test_samples_of_a_network_narrower_than_its_tokens_vary_where_and_as_much_as_they_should_if_changes_are_fitted():
    """By one variance of changes for all, noise stays where nothing varies, and all chunks vary alike."""
    outside, inside = {}, {}
    for prediction in ("edm", "sample", "fitted"):
        network, directions = trained_on_a_few_directions(prediction)
        model = GenerativeModel(network, "diffusion", steps=16, shift=3.0, levels=(0.7,))
        for sign in (-1.0, 1.0):
            previous = following_by_sign(torch.full((256, 1), sign))[:, :1] @ directions
            found = model.following(previous, None, None, torch.randn(256, 1, 1, 1, 96))[0].flatten(1)
            within = (found @ directions.T).var(dim=0).sum()
            inside[prediction, sign] = float(within)
            outside[prediction, sign] = float(found.var(dim=0).sum() - within)
    assert outside["edm", -1.0] > 5.0  # true: 0
    assert max(outside["sample", -1.0], outside["fitted", -1.0]) < 0.1
    assert inside["fitted", -1.0] == pytest.approx(4 * 0.5**2, rel=0.5)
    assert inside["fitted", 1.0] == pytest.approx(4 * 2.5**2, rel=0.4)
