"""The tokenizer encodes each chunk by itself, and knows its own weights."""

import pytest
import torch

from vidworld.core.clip_shape import ClipShape
from vidworld.models.schema import OptimiserConfig
from vidworld.models.tokenizers.autoencoder import Autoencoder
from vidworld.simulation.simulated import SimulatedClips
from vidworld.training.optimiser import make_optimisers


@pytest.fixture(scope="module")
def frames():
    return SimulatedClips("collision", "train", shape=ClipShape(height_px=32, width_px=32)).clips(range(24)).frames


@pytest.fixture(scope="module")
def tokenizer(frames):
    torch.manual_seed(0)
    network = Autoencoder(channels=24, width=64, depth=1, heads=1, grid=(4, 4)).eval()
    network.fit_components(frames)
    network.fit_statistics(frames)
    return network


def test_tokens_are_a_grid_of_few_channels_of_unit_deviation(tokenizer, frames):
    tokens = tokenizer.encode(frames)
    assert tokens.shape == (24, 4, 4, 4, 24)
    assert torch.allclose(tokens.mean(dim=(0, 1, 2, 3)), torch.zeros(24), atol=1e-4)
    assert torch.allclose(tokens.std(dim=(0, 1, 2, 3)), torch.ones(24), atol=1e-3)


def test_the_linear_path_alone_reconstructs_before_any_training(tokenizer, frames):
    decoded = tokenizer.decode(tokenizer.encode(frames))
    assert decoded.dtype == torch.uint8
    error = ((decoded.float() - frames.float()) / 255).square().mean()
    assert -10 * error.log10() > 20


def test_a_chunk_is_encoded_and_decoded_without_its_neighbours(tokenizer, frames):
    other = frames.clone()
    other[:, 4:8] = 255 - other[:, 4:8]
    tokens, changed = tokenizer.encode(frames), tokenizer.encode(other)
    assert torch.equal(tokens[:, [0, 2, 3]], changed[:, [0, 2, 3]])
    assert not torch.equal(tokens[:, 1], changed[:, 1])
    swapped = tokens.clone()
    swapped[:, 1] = 0
    assert torch.equal(tokenizer.decode(tokens)[:, 8:], tokenizer.decode(swapped)[:, 8:])


@pytest.mark.thorough
@pytest.mark.slow
def test_training_lowers_the_loss(frames):
    torch.manual_seed(0)
    network = Autoencoder(channels=8, width=64, depth=1, heads=1, grid=(4, 4))
    network.fit_components(frames)
    optimisers = make_optimisers(network, OptimiserConfig(lr=4e-3))
    losses = []
    for _ in range(30):
        loss = network(
            frames, torch.randn(len(frames), *network.grid_of(*frames.shape[1:2], *frames.shape[3:]), 8), 1e-6
        )
        loss.total.backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        losses.append(float(loss.reconstruction.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_the_fingerprint_follows_every_weight(tokenizer, tmp_path):
    before = tokenizer.fingerprint()
    tokenizer.save_pretrained(str(tmp_path))
    loaded = Autoencoder.from_pretrained(str(tmp_path))
    assert loaded.fingerprint() == before
    with torch.no_grad():
        loaded.to_patch.bias[0] += 1e-3
    assert loaded.fingerprint() != before
