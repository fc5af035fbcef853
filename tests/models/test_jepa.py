"""Every target mode trains, and collapse is seen."""

import pytest
import torch

from vidworld.models.jepa import JointEmbeddingPredictor, std_across_clips
from vidworld.models.losses import sketched_gaussian, variance_covariance

SMALL = {"channels": 6, "width": 32, "heads": 2, "encoder_depth": 1, "predictor_depth": 1}


def moving_tokens(clips):
    """Clips in which one bright cell moves on by one column a chunk: the next chunk is known from the last two."""
    tokens = torch.zeros(clips, 4, 4, 8, 6)
    generator = torch.Generator().manual_seed(0)
    row, column, step = (torch.randint(0, n, (clips,), generator=generator) for n in (4, 8, 2))
    for t in range(4):
        tokens[torch.arange(clips), t, row, (column + t * (2 * step - 1)) % 8] = 3.0
    return tokens


@pytest.mark.thorough
@pytest.mark.parametrize("target", ["frozen", "vcreg", pytest.param("sigreg", marks=pytest.mark.slow), "ema"])
def test_a_target_mode_trains_without_collapse(target):
    torch.manual_seed(0)
    network = JointEmbeddingPredictor(**SMALL, target=target, regulariser_weight=1.0)
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=3e-3)
    tokens = moving_tokens(32)
    losses, stds = [], []
    for _ in range(25):
        stds.append(std_across_clips(network.embeddings(tokens).detach()))
        loss = network(tokens)
        loss.total.backward()
        optimiser.step()
        optimiser.zero_grad()
        network.update_target(0.99)  # a copy that follows within ten steps collapses
        losses.append(loss)
    assert losses[-1].total < losses[0].total
    assert stds[-1] > 0.2 * stds[0]
    assert all(torch.isfinite(value).all() for value in (losses[-1].total, *losses[-1].logged.values()))


@pytest.mark.thorough
def test_without_a_regulariser_the_end_to_end_mode_collapses_and_the_std_shows_it():
    torch.manual_seed(0)
    network = JointEmbeddingPredictor(**SMALL, target="vcreg", regulariser_weight=0.0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    tokens = moving_tokens(32)
    stds = []
    for _ in range(60):
        loss = network(tokens)
        loss.total.backward()
        optimiser.step()
        optimiser.zero_grad()
        stds.append(std_across_clips(network.embeddings(tokens).detach()))
    assert stds[-1] < 0.5 * max(stds[:5])


def test_the_slow_target_follows_the_encoder():
    network = JointEmbeddingPredictor(**SMALL, target="ema")
    with torch.no_grad():
        network.embed.weight += 1.0
    before = network.target_embed.weight.clone()
    network.update_target(0.75)
    assert torch.allclose(network.target_embed.weight, before + 0.25, atol=1e-6)


def test_variance_covariance_is_small_for_independent_channels_and_large_for_equal_clips():
    spread = torch.randn(256, 1, 4, 4, 8)
    assert variance_covariance(spread) < 0.05
    assert variance_covariance(spread[:1].expand(256, -1, -1, -1, -1)) > 0.9
    assert variance_covariance(spread[..., :1].expand(*spread.shape)) > 1.0


def test_sketched_gaussian_is_small_for_a_normal_and_large_for_a_point():
    torch.manual_seed(0)
    normal = torch.randn(256, 1, 4, 4, 8)
    assert sketched_gaussian(normal) < 0.005
    assert sketched_gaussian(torch.zeros_like(normal)) > 0.1
    assert sketched_gaussian(3 * normal) > 10 * sketched_gaussian(normal)


@pytest.mark.parametrize("target", ["vcreg", "sigreg", "ema"])
def test_a_target_is_of_its_own_chunk_alone(target):
    network = JointEmbeddingPredictor(**SMALL, target=target)
    tokens = moving_tokens(4)
    other = tokens.clone()
    other[:, :2] = tokens[:, :2].roll(1, dims=0)  # another past
    for encode in (network.embeddings, network.context_embeddings):
        assert torch.equal(encode(tokens)[:, 2:], encode(other)[:, 2:])
        assert not torch.allclose(encode(tokens)[:, :2], encode(other)[:, :2])
