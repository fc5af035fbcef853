"""LeWM as a model of ours: the package's own network where it is installed, else one with its methods."""

import pytest
import torch
from torch import nn

from vidworld.core.clip import Clips
from vidworld.core.errors import UserError
from vidworld.models.external import ExternalModel
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.planning.stable_worldmodel import LeWorldModel

BLOCK, WIDTH = 2, 16


class Exact(nn.Module):
    """What LeWM offers, of a world whose brightness grows by its actions; `hears` is what it takes of them."""

    def __init__(self, hears=1.0):
        super().__init__()
        self.hears, self.predictor = nn.Parameter(torch.tensor(hears)), nn.Identity()

    def encode(self, info):
        info["emb"] = info["pixels"].mean(dim=(2, 3, 4))[..., None]
        info["act_emb"] = info["action"].sum(dim=-1, keepdim=True)
        return info

    def predict(self, emb, act_emb):
        return emb + self.hears * act_emb

    def get_cost(self, info, actions):
        ends = info["pixels"][:, :, -1].mean(dim=(2, 3, 4)) + self.hears * actions.sum(dim=(2, 3))
        return (ends - info["goal"][:, :, -1].mean(dim=(2, 3, 4))).square()


def brightening(clips=3, frames=9):
    torch.manual_seed(0)
    actions = torch.rand(clips, frames, 2) / 20
    actions[:, 0] = 0
    bright = (0.1 + actions.sum(dim=-1).cumsum(dim=1)).mul(255).round().to(torch.uint8)
    shown = bright[:, :, None, None, None].expand(-1, -1, 3, 8, 8).contiguous()
    return Clips(shown, 10.0, tuple(f"clip/{i}" for i in range(clips)), actions=actions)


def plain(pictures):
    return pictures


def test_it_is_surprised_where_what_happens_does_not_follow_from_the_actions():
    clips = brightening()
    knows, deaf = (LeWorldModel(Exact(hears), BLOCK, plain).surprise(clips, 3, [0] * 3) for hears in (1.0, 0.0))
    assert knows.shape == deaf.shape == (3, 6) and knows.max() < 1e-4 < deaf.min()
    assert torch.equal(deaf[:, 0], deaf[:, 1]) and torch.equal(deaf[:, 2], deaf[:, 3])  # frames 3 and 4, 5 and 6
    with pytest.raises(UserError, match="LeWM needs actions"):
        LeWorldModel(Exact(), BLOCK).surprise(Clips(clips.frames, 10.0, clips.identity), 3, [0] * 3)


def test_its_cost_is_least_for_what_leads_to_the_goal():
    clips, model = brightening(), LeWorldModel(Exact(), BLOCK, plain)
    context = Clips(clips.frames[:, :5], 10.0, clips.identity, actions=clips.actions[:, :5])
    done = torch.stack([clips.actions[:, 5:], torch.zeros(3, 4, 2), -clips.actions[:, 5:]], dim=1)
    found = model.cost(context, clips.frames[:, -1:], done)
    assert found.shape == (3, 3) and (found.argmin(dim=1) == 0).all()
    with pytest.raises(UserError, match="steps of 2 frames, not 3"):
        model.cost(context, clips.frames[:, -1:], done[:, :, :3])
    external = ExternalModel("lewm", model, FrameTokenizer(4, 8, 8))
    assert external.is_surprised and not external.predicts


def test_its_own_network():
    lewm = pytest.importorskip("stable_worldmodel.wm.lewm", reason="docs/stable_worldmodel.md: its own environment")
    from stable_worldmodel.wm.lewm.module import Embedder, Predictor
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    form = {"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": WIDTH}
    predictor = Predictor(
        num_frames=3, depth=1, heads=2, mlp_dim=WIDTH, input_dim=WIDTH, hidden_dim=WIDTH, output_dim=WIDTH, dim_head=8
    )
    encoder = ViTModel(ViTConfig(image_size=224, patch_size=56, **form))
    network = lewm.LeWM(encoder, predictor, Embedder(input_dim=2 * BLOCK, emb_dim=WIDTH))
    for block in predictor.transformer.layers:  # they begin at zero, where actions are not heard
        nn.init.normal_(block.adaLN_modulation[-1].weight, std=0.3)
    model, clips = LeWorldModel(network, BLOCK), brightening()
    with torch.no_grad():
        surprise = model.surprise(clips, 3, [0] * 3)
        context = Clips(clips.frames[:, :5], 10.0, clips.identity, actions=clips.actions[:, :5])
        costs = model.cost(context, clips.frames[:, -1:], torch.randn(3, 4, 6, 2))
    assert surprise.shape == (3, 6) and surprise.isfinite().all() and surprise.min() > 0
    assert costs.shape == (3, 4) and costs.isfinite().all() and (costs.std(dim=1) > 0).all()
