"""Actions: what a future depends on, that memory changes nothing, and what is refused."""

from dataclasses import replace

import pytest
import torch
from einops import rearrange

from vidworld.core.clip import Clips, packed
from vidworld.core.errors import UserError
from vidworld.models.diffusion import DiffusionTransformer, GenerativeModel, flow_loss
from vidworld.models.external import ExternalModel
from vidworld.models.jepa import JointEmbeddingPredictor, PredictiveModel, own_past_share
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.models.world_model import Encoded

CLIPS, CHUNKS, CHANNELS, PER_FRAME, CHUNK = 3, 4, 8, 2, 4
WIDTH = 32


def networks(actions=PER_FRAME * CHUNK):
    """One network a family with large weights, so that actions show in an untrained one."""
    torch.manual_seed(0)
    small = {"width": WIDTH, "heads": 2, "action_channels": actions}
    found = {
        "regression": JointEmbeddingPredictor(CHANNELS, encoder_depth=1, predictor_depth=1, **small),
        "jepa": JointEmbeddingPredictor(CHANNELS, encoder_depth=1, predictor_depth=1, target="ema", **small),
        "diffusion": DiffusionTransformer(CHANNELS, depth=2, modulation_rank=8, **small),
    }
    for network in found.values():
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return found


def models(actions=PER_FRAME * CHUNK):
    made = networks(actions)
    return {
        "regression": PredictiveModel(made["regression"], "regression"),
        "jepa": PredictiveModel(made["jepa"], "jepa", torch.nn.Linear(WIDTH, CHANNELS)),
        "diffusion": GenerativeModel(made["diffusion"], "diffusion", 2, 3.0, (0.5, 1.0)),
    }


def clips_with_actions(clips=CLIPS, chunks=CHUNKS):
    torch.manual_seed(1)
    frames = torch.zeros(clips, chunks * CHUNK, 3, 8, 8, dtype=torch.uint8)
    actions = torch.rand(clips, chunks * CHUNK, PER_FRAME) * 2 - 1
    made = Clips(frames, 10.0, tuple(str(i) for i in range(clips)), actions=actions)
    return Encoded(made, torch.randn(clips, chunks, 2, 2, CHANNELS))


def futures(samples, horizon=2, clips=CLIPS):
    torch.manual_seed(2)
    return torch.rand(clips, samples, horizon, PER_FRAME * CHUNK) * 2 - 1


FAMILIES = ("regression", "jepa", "diffusion")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_future_follows_from_its_actions(family):
    model, seen, actions = models()[family], clips_with_actions(), futures(3)
    actions[:, 1] = actions[:, 0]
    rollout = model.rollout(seen, 2, 3, range(CLIPS), actions)
    assert rollout.tokens.shape == (CLIPS, 3, 2, 2, 2, CHANNELS)
    assert torch.allclose(rollout.tokens[:, 0], rollout.tokens[:, 1], atol=1e-5)  # the chance is the same, too
    assert (rollout.tokens[:, 0] - rollout.tokens[:, 2]).abs().amax() > 1e-2


@pytest.mark.parametrize("family", FAMILIES)
def test_actions_that_ask_for_a_gradient_get_the_true_one(family):
    model, seen, actions = models()[family], clips_with_actions(), futures(2)
    plain = model.rollout(seen, 2, 2, range(CLIPS), actions).embeddings
    asked = actions.clone().requires_grad_()
    cost = model.rollout(seen, 2, 2, range(CLIPS), actions=asked).embeddings.square().mean()
    (slope,) = torch.autograd.grad(cost, asked)
    assert not plain.requires_grad and torch.allclose(plain.square().mean(), cost, atol=1e-6)
    step = 1e-3 * slope / slope.norm()
    ahead, behind = (
        model.rollout(seen, 2, 2, range(CLIPS), actions=actions + sign * step).embeddings.square().mean()
        for sign in (1, -1)
    )
    assert float(ahead - behind) / 2e-3 == pytest.approx(float(slope.norm()), rel=0.05)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_done_later_changes_nothing_before_it(family):
    model, seen, actions = models()[family], clips_with_actions(), futures(2, horizon=3)
    actions[:, 1, :2] = actions[:, 0, :2]
    tokens = model.rollout(seen, 3, 2, range(CLIPS), actions).tokens
    assert torch.allclose(tokens[:, 0, :2], tokens[:, 1, :2], atol=1e-5)
    assert not torch.allclose(tokens[:, 0, 2], tokens[:, 1, 2], atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_done_before_matters(family):
    """Of the context, whose chunks the model remembers as what came of actions."""
    model, seen, actions = models()[family], clips_with_actions(), futures(1)
    other = replace(seen, clips=replace(seen.clips, actions=seen.clips.actions.flip(0)))
    first, second = (model.rollout(each, 2, 1, range(CLIPS), actions).tokens for each in (seen, other))
    assert not torch.allclose(first, second, atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_candidate_does_not_depend_on_the_others(family):
    model, seen, actions = models()[family], clips_with_actions(), futures(4)
    together = model.rollout(seen, 2, 4, range(CLIPS), actions).tokens
    one = Encoded(seen.clips.at(torch.tensor([1])), seen.tokens[1:2])
    alone = model.rollout(one, 2, 1, [1], actions[1:2, 2:3]).tokens
    assert torch.allclose(alone, together[1:2, 2:3], atol=1e-4)


@pytest.mark.parametrize("family", ("regression", "jepa"))
def test_memory_gives_what_one_pass_gives(family):
    """The first predicted chunk of a rollout is what the whole clip in one pass has at that place."""
    model, seen = models()[family], clips_with_actions()
    network, actions = model.network, seen.actions
    _, predicted, _ = network.compared(seen.tokens, actions)
    rollout = model.rollout(seen.chunks(0, CHUNKS - 1), 1, 1, range(CLIPS), actions[:, None, -1:])
    assert torch.allclose(rollout.embeddings[:, 0, 0], predicted[:, -1], atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_surprise_depends_on_what_is_done(family):
    model, seen = models()[family], clips_with_actions()
    shuffled = replace(seen, clips=replace(seen.clips, actions=seen.clips.actions.roll(1, dims=0)))
    assert not torch.allclose(model.surprise(seen, 2, range(CLIPS)), model.surprise(shuffled, 2, range(CLIPS)))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_without_actions_refuses_them_and_ignores_those_of_clips(family):
    model, seen = models(actions=0)[family], clips_with_actions()
    with pytest.raises(UserError, match="trained without"):
        model.rollout(seen, 2, 1, range(CLIPS), futures(1))
    without = replace(seen, clips=replace(seen.clips, actions=None))
    surprises = (model.surprise(each, 2, range(CLIPS)) for each in (seen, without))
    assert torch.equal(*surprises)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_with_actions_refuses_clips_without_and_others(family):
    model, seen = models()[family], clips_with_actions()
    without = replace(seen, clips=replace(seen.clips, actions=None))
    for refused in (
        lambda: model.surprise(without, 2, range(CLIPS)),
        lambda: model.rollout(without, 2, 1, [0] * CLIPS),
    ):
        with pytest.raises(UserError, match="without any"):
            refused()
    with pytest.raises(UserError, match="3 numbers of action a chunk, where the model has 8"):
        model.rollout(seen, 2, 1, range(CLIPS), torch.zeros(CLIPS, 1, 2, 3))


class Drifter:
    """Somebody else's model: the last frame, lighter by what is done in the first channel since."""

    def predict(self, context, num_frames, seeds, actions=None):
        done = torch.zeros(len(context), num_frames, 1) if actions is None else actions[..., :1]
        change = 100 * done.cumsum(dim=1)[..., None, None] + context.actions[:, -1, 0].view(-1, 1, 1, 1, 1)
        frames = context.frames[:, -1:].float() + 100 + change.expand(-1, -1, 3, 8, 8)
        return frames.clamp(0, 255).to(torch.uint8)


class Mute:
    def predict(self, context, num_frames, seeds):
        return context.frames[:, -1:].expand(-1, num_frames, -1, -1, -1)


def test_somebody_elses_model_is_given_the_actions_of_each_frame():
    tokenizer, seen, actions = FrameTokenizer(CHUNK, 8, 8), clips_with_actions(), futures(3) / 8
    seen = Encoded(seen.clips, tokenizer.encode(seen.clips.frames))
    model = ExternalModel("drifter", Drifter(), tokenizer)
    assert model.acts
    tokens = model.rollout(seen, 2, 3, range(CLIPS), actions).tokens
    frames = tokenizer.decode(tokens.flatten(0, 1)).unflatten(0, (CLIPS, 3))
    of_first = rearrange(actions, "b s t (p a) -> b s (t p) a", a=PER_FRAME)[..., 0].cumsum(dim=-1)
    expected = 100 + 100 * of_first + seen.clips.actions[:, None, -1:, 0]
    assert torch.allclose(frames[:, :, :, 0, 0, 0].float(), expected.clamp(0, 255), atol=1.5)
    assert model.rollout(seen, 2, 1, range(CLIPS)).tokens.shape[1] == 1


def test_somebody_elses_model_that_takes_no_actions_says_so():
    tokenizer, seen = FrameTokenizer(CHUNK, 8, 8), clips_with_actions()
    with pytest.raises(UserError, match="mute: predict takes no actions"):
        ExternalModel("mute", Mute(), tokenizer).rollout(seen, 2, 1, range(CLIPS), futures(1))


def test_every_loss_reaches_the_weights_of_the_actions():
    made, seen = networks(), clips_with_actions()
    noise, level = torch.randn_like(seen.tokens[:, 1:]), torch.full((CLIPS, CHUNKS - 1), 0.5)
    losses = {
        "regression": made["regression"](seen.tokens, seen.actions).total,
        "jepa": made["jepa"](seen.tokens, seen.actions).total,
        "diffusion": flow_loss(made["diffusion"], seen.tokens, noise, level, seen.actions),
    }
    for family, loss in losses.items():
        loss.backward()
        assert made[family].embed_action.weight.grad.abs().sum() > 0


def test_the_alarm_of_a_pastless_model_takes_actions():
    share = own_past_share(networks()["jepa"], clips_with_actions().tokens, clips_with_actions().actions)
    assert 0 <= share <= 1


def test_a_chunk_has_the_actions_of_its_frames_in_their_order():
    actions = torch.arange(16.0).view(1, 8, 2)
    assert torch.equal(packed(actions, 2), torch.arange(16.0).view(1, 2, 8))
    seen = clips_with_actions()
    assert torch.equal(seen.chunks(1, 3).actions, seen.actions[:, 1:3])
