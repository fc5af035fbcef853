"""The probe's decoder reads what an encoder has moved from cell to cell, and keeps chunks apart."""

import pytest
import torch
import torch.nn.functional as F

from vidworld.core.clip import Clips
from vidworld.models.jepa import JointEmbeddingPredictor, PredictiveModel
from vidworld.models.probe import Probe, TokenDecoder
from vidworld.models.world_model import Encoded

GRID = (2, 2)


def small(width: int = 64) -> TokenDecoder:
    torch.manual_seed(0)
    network = Probe(6, 6, grid=GRID, width=width, depth=1, decodes=True).decoder
    assert network is not None
    return network


def test_a_chunk_is_decoded_from_its_own_embeddings() -> None:
    network, embeddings = small(), torch.randn(1, 3, *GRID, 6)
    changed = embeddings.clone()
    changed[0, 1, 0, 0] += 1
    differs = (network(embeddings) != network(changed)).any(dim=-1)[0]
    assert differs[1].all() and not differs[[0, 2]].any()


@pytest.mark.thorough
def test_what_lies_in_the_neighbouring_cell_is_decoded() -> None:
    """A map of each cell by itself would be as wrong as the mean: an error of 1."""
    network = small()
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        tokens = torch.randn(32, 1, *GRID, 6, generator=generator)
        loss = F.mse_loss(network(tokens.roll(1, dims=3)), tokens)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.3


def test_a_rollout_is_decoded_chunk_by_chunk_and_its_samples_are_equal() -> None:
    network = JointEmbeddingPredictor(6, width=32, encoder_depth=1, predictor_depth=1, heads=2, target="ema")
    model = PredictiveModel(network, decoder=Probe(32, 6, grid=GRID, width=32, depth=1, decodes=True).decoder)
    context = Encoded(
        Clips(torch.zeros(2, 8, 3, 16, 16, dtype=torch.uint8), 10.0, ("a", "b")), torch.randn(2, 2, *GRID, 6)
    )
    rollout = model.rollout(context, 3, 2, [0, 1])
    assert rollout.embeddings.shape == (2, 2, 3, *GRID, 32) and rollout.tokens.shape == (2, 2, 3, *GRID, 6)
    assert torch.equal(rollout.tokens[:, 0], rollout.tokens[:, 1])
