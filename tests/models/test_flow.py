"""Noising, the levels of a batch, and the sampler on a flow whose answer is known."""

from itertools import pairwise

import pytest
import torch

from vidworld.models.diffusion import flow_loss, noised, sample, shifted, training_levels


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
        self.asked, self.answer = [], answer

    def forward(self, noisy, noise_level, previous):
        self.asked.append((noisy, noise_level, previous))
        return torch.zeros_like(noisy) if self.answer is None else self.answer, []


def test_training_denoises_every_chunk_but_the_first_given_the_clean_one_before():
    torch.manual_seed(0)
    network, tokens = Recorder(), torch.randn(3, 4, 2, 2, 4)
    flow_loss(network, tokens, torch.randn(3, 3, 2, 2, 4), torch.rand(3, 3))
    ((noisy, level, previous),) = network.asked
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
