"""Regression: the mean of the next chunk's tokens, by the network that JEPA has."""

from pathlib import Path

import pytest
import torch

from vidworld.core.config import load
from vidworld.core.errors import UserError
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.models.families import FAMILIES
from vidworld.models.world_model import WorldModel

SETTINGS = PhysicsConfig(out=Path(), models={"mine": "runs/mine"})


@pytest.fixture
def family():
    return FAMILIES["regression"]


@pytest.fixture
def config(family):
    """That of a small network whose warm-up takes no step."""
    file = Path(__file__).parents[2] / "configs" / "demo" / "regression.yaml"
    small = ["model.width=16", "model.heads=1", "optimiser.warmup_steps=0"]
    return load(family.config, file, small)


def test_its_loss_is_the_squared_error_of_the_next_tokens(family, config):
    tokens = torch.randn(2, 4, 2, 2, 6)
    network = family.network(config, 6)
    torch.nn.init.normal_(network.head.weight)
    assert family.draw(config, [], tokens) == ()
    loss = family.loss(config, network, tokens)
    predicted, _ = network.predict(tokens[:, :-1])
    error = (predicted - tokens[:, 1:]).square().mean()
    assert torch.allclose(loss.total, error)
    repeated = (tokens[:, :-1] - tokens[:, 1:]).square().mean()
    assert torch.allclose(loss.logged["copy_last_ratio"], error / repeated)


def test_it_is_a_world_model_of_tokens(family, config):
    network = family.network(config, 6)
    model = family.world_model(network, "mine", SETTINGS, decoder=torch.nn.Linear(6, 1))
    assert isinstance(model, WorldModel)
    assert model.name == "mine" and model.decoder is None


def test_an_untrained_network_is_of_its_shape_and_has_other_weights(family, config):
    network = family.network(config, 6)
    other = family.untrained(network)
    assert {k: v.shape for k, v in other.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}
    assert not torch.equal(other.embed.weight, network.embed.weight)


def test_a_network_that_predicts_worse_than_the_last_chunk_ends_its_training(family, config):
    alarm = family.alarm(config, family.network(config, 6), torch.zeros(1, 2, 2, 2, 6))
    alarm(100, {})  # nothing is logged after this step
    for step, ratio in enumerate((1.3, 1.3, 0.9, 1.3, 1.3), start=101):
        alarm(step, {"copy_last_ratio": ratio})
    with pytest.raises(UserError, match="predicts nothing at step 106"):
        alarm(106, {"copy_last_ratio": 1.3})
