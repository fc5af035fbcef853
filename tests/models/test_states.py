"""States are those that networks compute, of the chunks up to their own; what is put in their place is what counts."""

import pytest
import tiny_models
import torch

from vidworld.core.clip import Clips
from vidworld.core.errors import UserError
from vidworld.models.diffusion import DiffusionTransformer, GenerativeModel
from vidworld.models.external import ExternalModel
from vidworld.models.external.networks import VJepa2
from vidworld.models.jepa import JointEmbeddingPredictor, PredictiveModel
from vidworld.models.states import changed, hidden_states, layer_names, layers_of
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.models.world_model import Encoded

SMALL = {"channels": 6, "width": 32, "heads": 2}
NAMES = ("diffusion", "regression", "jepa")


def random_weights(network):
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


def model_of(name, **more):
    if name == "diffusion":
        return GenerativeModel(random_weights(DiffusionTransformer(**SMALL, depth=3, **more)), name, 2, 3.0, (0.5, 0.9))
    target = "frozen" if name == "regression" else "ema"
    parts = {"encoder_depth": 1, "predictor_depth": 2, "target": target}
    return PredictiveModel(random_weights(JointEmbeddingPredictor(**SMALL, **parts, **more)), name)


@pytest.fixture
def seen():
    frames = torch.zeros(2, 16, 3, 12, 12, dtype=torch.uint8)
    tokens = torch.randn(2, 4, 3, 3, 6, generator=torch.Generator().manual_seed(0))
    return Encoded(Clips(frames, 10.0, ("a", "b")), tokens)


@pytest.mark.parametrize("name", NAMES)
def test_there_is_a_state_for_each_chunk_layer_and_cell(name, seen):
    model = model_of(name)
    states = hidden_states(model, seen)
    assert states.shape == (2, 4, 3, 3, 3, 32)
    assert len(layer_names(model, 3)) == 3
    assert not any(layer.startswith("target") for layer in layer_names(model, 3))
    assert (hidden_states(None, seen)[:, :, 0] == seen.tokens).all()


@pytest.mark.parametrize("name", NAMES)
def test_looking_changes_no_number_and_leaves_no_hook(name, seen):
    model = model_of(name)
    before = model.rollout(seen.chunks(0, 2), 2, 1, (3, 4)).tokens
    hidden_states(model, seen)
    assert (model.rollout(seen.chunks(0, 2), 2, 1, (3, 4)).tokens == before).all()
    assert not any(layer.block._forward_hooks for layer in layers_of(model.network))


@pytest.mark.parametrize("name", NAMES)
def test_a_state_knows_nothing_of_later_chunks(name, seen):
    model, other = model_of(name), seen.tokens.clone()
    other[:, 2:] = 5.0
    found, again = (hidden_states(model, Encoded(seen.clips, tokens)) for tokens in (seen.tokens, other))
    assert torch.allclose(found[:, :2], again[:, :2], atol=1e-5)
    assert not torch.allclose(found[:, 2:], again[:, 2:], atol=1e-2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layer", [0, 2])
def test_a_state_that_is_replaced_by_itself_changes_nothing_and_by_another_the_future(name, layer, seen):
    """Of one clip; the other's future stays as it was."""
    model, context = model_of(name), seen.chunks(0, 2)
    plain = model.rollout(context, 2, 1, (3, 4)).tokens
    with changed(model.network, layer, 1, lambda states: states, seen.tokens):
        assert (model.rollout(context, 2, 1, (3, 4)).tokens == plain).all()

    def first(states):
        states = states.clone()
        states[0, 1, 1] += 3 * torch.randn(32, generator=torch.Generator().manual_seed(2))  # no constant: norms hide it
        return states

    with changed(model.network, layer, 1, first, seen.tokens):
        other = model.rollout(context, 2, 1, (3, 4)).tokens
    assert not torch.allclose(other[0], plain[0], atol=1e-2)
    assert torch.allclose(other[1], plain[1], atol=1e-5)
    with changed(model.network, layer, 7, first, seen.tokens):  # a chunk that the rollout does not come to
        assert (model.rollout(context, 2, 1, (3, 4)).tokens == plain).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_state_knows_what_is_done_next(name, seen):
    model = model_of(name, action_channels=4)
    actions = torch.zeros(2, 16, 1)
    other = actions.clone()
    other[:, 8:12] = 1.0  # in chunk 2
    found, again = (
        hidden_states(model, Encoded(Clips(seen.clips.frames, 10.0, ("a", "b"), actions=done), seen.tokens))
        for done in (actions, other)
    )
    last = -1
    assert torch.allclose(found[:, 0], again[:, 0], atol=1e-5)
    assert not torch.allclose(found[:, 1, last], again[:, 1, last], atol=1e-2)


def test_other_peoples_models_say_what_they_hold(tmp_path):
    model = VJepa2(tiny_models.save_vjepa2(tmp_path), torch.device("cpu"))
    frames = torch.randint(0, 255, (2, 8, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tokenizer = FrameTokenizer(4, 24, 24)
    other = frames.clone()
    other[:, 4:] = 0
    found, again = (
        hidden_states(ExternalModel("v", model, tokenizer), Encoded(Clips(f, 10.0, ("a", "b")), tokenizer.encode(f)))
        for f in (frames, other)
    )
    assert found.shape == (2, 2, 1, 2, 2, 24)
    assert torch.allclose(found[:, 0], again[:, 0], atol=1e-5)  # it is bidirectional, and is not shown what comes
    assert not torch.allclose(found[:, 1], again[:, 1], atol=1e-3)


class Blind:
    def surprise(self, clips, context_frames, seeds):
        return torch.zeros(len(clips), clips.frames.shape[1] - context_frames)


class Wrong(Blind):
    def hidden_states(self, clips, chunk_frames):
        return torch.zeros(len(clips), 1, 1)


@pytest.mark.parametrize("kind, said", [(Blind, "has no hidden_states"), (Wrong, "hidden_states gave")])
def test_a_model_that_says_nothing_is_named(kind, said, seen):
    with pytest.raises(UserError, match=said):
        hidden_states(ExternalModel("mine", kind(), FrameTokenizer(4, 12, 12)), seen)
