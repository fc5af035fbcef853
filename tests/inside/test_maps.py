"""Maps are what surprise and attention are made of, cell by cell, and shares say where they lie."""

import pytest
import torch

from vidworld.core.clip import Clips, Tracks
from vidworld.core.media import stacked
from vidworld.inside.mapping import heated
from vidworld.inside.maps import Surprises, attention_of, looks_back, share_of_excess, surprise_by_cell, visited
from vidworld.models.diffusion import DiffusionTransformer, GenerativeModel
from vidworld.models.jepa import JointEmbeddingPredictor, PredictiveModel
from vidworld.models.states import layers_of
from vidworld.models.world_model import Encoded

SMALL = {"channels": 6, "width": 32, "heads": 2}


def random_weights(network):
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


@pytest.fixture(scope="module")
def models():
    return [
        GenerativeModel(random_weights(DiffusionTransformer(**SMALL, depth=2)), "diffusion", 2, 3.0, (0.5, 0.9)),
        PredictiveModel(random_weights(JointEmbeddingPredictor(**SMALL, encoder_depth=1, predictor_depth=1)), "jepa"),
    ]


@pytest.fixture
def seen():
    tokens = torch.randn(2, 4, 3, 3, 6, generator=torch.Generator().manual_seed(0))
    return Encoded(Clips(torch.zeros(2, 16, 3, 12, 12, dtype=torch.uint8), 10.0, ("a", "b")), tokens)


def test_surprise_is_the_mean_of_its_map(models, seen):
    for model in models:
        found = surprise_by_cell(model, seen, 2, (1, 2))
        assert found.shape == (2, 2, 3, 3)
        assert torch.allclose(found.mean(dim=(2, 3)), model.surprise(seen, 2, (1, 2)), rtol=1e-5)


def test_attention_is_what_the_layer_gives(models, seen):
    """The weights times the values, projected, are the layer's output."""
    for model in models:
        kept = []
        block = layers_of(model.network)[-1].block
        handle = block.attention.register_forward_hook(lambda layer, given, gives, kept=kept: kept.append(gives))
        weights = attention_of(model.network, seen)
        handle.remove()
        ((out, cache),) = kept
        name = layers_of(model.network)[-1].name
        assert torch.allclose(weights[name].sum(dim=-1), torch.ones(2, 2, 9), atol=1e-5)
        attended = (weights[name] @ cache.values).transpose(1, 2).flatten(2)
        assert torch.allclose(block.attention.to_out(attended), out[:, -1], atol=1e-4)


def track(positions):
    """Of one disc in one clip."""
    place = torch.tensor(positions, dtype=torch.float64)[None, :, None]
    ones = torch.ones(1, 1, dtype=torch.float64)
    there = torch.ones(place.shape[:3], dtype=torch.bool)
    return Tracks(place, torch.zeros_like(place), ones, ones, torch.ones(1, 1, 3), there, there.double())


def test_the_cells_that_a_disc_was_in_are_marked_by_chunk():
    tracks = track([(0.5, 0.5), (3.0, 0.5), (9.5, 9.5), (9.5, 9.5)])
    clips = Clips(torch.zeros(1, 4, 3, 8, 8, dtype=torch.uint8), 10.0, ("a",))
    was = visited(tracks, tracks.present, (4, 4), 2, clips)
    assert was.shape == (1, 2, 4, 4)
    assert was[0, 0].nonzero().tolist() == [[0, 0], [0, 1]]
    assert was[0, 1].nonzero().tolist() == [[3, 3]]
    assert int(visited(tracks, tracks.present, (4, 4), 2, clips, beside=True)[0, 1].sum()) == 4


def test_shares_are_of_what_lies_there():
    near = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    near[:, 0, 0, :2] = True
    impossible = torch.zeros(2, 1, 4, 4)
    impossible[:, 0, 0, 0], impossible[:, 0, 3, 3] = 3.0, 1.0
    read, even = share_of_excess(Surprises(torch.zeros_like(impossible), impossible, near))
    assert read.value == pytest.approx(0.75)
    assert even == pytest.approx(2 / 16)
    weights = torch.full((2, 3, 16, 32), 1 / 32)
    was = torch.zeros(2, 2, 4, 4, dtype=torch.bool)
    was[:, 0, 0, :2] = True
    assert torch.allclose(looks_back(weights, torch.zeros(2, 2, dtype=torch.long), was), torch.tensor(2 / 32))


def test_pictures_are_redder_where_maps_are_higher():
    frame = torch.full((3, 8, 8), 100, dtype=torch.uint8)
    heat = torch.tensor([[0.0, 1.0], [0.5, 2.0]])
    drawn = heated(frame, heat, 1.0)
    assert (drawn[:, :4, :4] == 100).all()
    assert (drawn[0, :4, 4:] > drawn[0, 4:, :4]).all() and (drawn[:, 4:, 4:] == drawn[:, :4, 4:]).all()
    assert stacked([torch.stack([frame, drawn])] * 2).shape == (3, 18, 17)
