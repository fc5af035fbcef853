"""Noising, the levels of a batch, and the sampler on a flow whose answer is known."""

from itertools import pairwise

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


def trained_on_a_few_directions(prediction: str, width: int = 32, channels: int = 96, steps: int = 700):
    """A network much narrower than its tokens, trained on chunks that vary in four directions, and these."""
    torch.manual_seed(0)
    directions = torch.linalg.qr(torch.randn(channels, 4))[0].T
    network = DiffusionTransformer(channels, width, depth=2, heads=1, modulation_rank=16, prediction=prediction)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)
    for _ in range(steps):
        tokens = 2.5 * torch.randn(64, 2, 1, 1, 4) @ directions
        flow_loss(network, tokens, torch.randn(64, 1, 1, 1, channels), torch.rand(64, 1)).backward()
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
    return network, directions


@pytest.mark.thorough
def test_a_network_narrower_than_its_tokens_takes_all_noise_out_of_a_sample_that_it_predicts_whole():
    """As EDM has it, what is added to the noisy estimate has to carry that noise, and what is too much of it stays."""
    outside, inside = {}, {}
    for prediction in ("edm", "sample"):
        network, directions = trained_on_a_few_directions(prediction)
        model = GenerativeModel(network, "diffusion", steps=16, shift=3.0, levels=(0.7,))
        previous = (2.5 * torch.randn(1, 1, 1, 1, 4) @ directions).expand(256, -1, -1, -1, -1)
        found = model.following(previous, None, None, torch.randn(256, 1, 1, 1, 96))[0].flatten(1)
        within = (found @ directions.T).var(dim=0).sum()
        inside[prediction], outside[prediction] = float(within), float(found.var(dim=0).sum() - within)
    assert outside["edm"] > 5.0  # true: 0
    assert outside["sample"] < 0.1
    assert inside["sample"] == pytest.approx(4 * 2.5**2, rel=0.4)
