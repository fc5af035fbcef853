"""Collapse ends a run, of whatever kind it is and however few clips a process has at once; an odd step does not."""

import pytest
import torch

from vidworld.core.errors import UserError
from vidworld.models.families import FAMILIES, JepaConfig, JepaModel
from vidworld.models.jepa import IN_A_ROW, CollapseAlarm, JointEmbeddingPredictor, own_past_share, std_across_clips

HEALTHY, USELESS = {"copy_last_ratio": 0.6}, {"copy_last_ratio": 1.04}
ALIKE = torch.randn(1, 64, 8).expand(16, -1, -1)
"""Embeddings that hold nothing but their place."""
DIFFERENT = torch.randn(16, 64, 8)


def alarm(tmp_path, embeddings=DIFFERENT, share=1.0):
    return CollapseAlarm(tmp_path, 50, 1.0, 0.2, lambda: (std_across_clips(embeddings), share))


def test_embeddings_of_nothing_but_their_place_do_not_differ_across_clips():
    assert float(ALIKE.std()) > 0.9
    assert std_across_clips(ALIKE) < 1e-3
    assert std_across_clips(DIFFERENT) > 0.9


@pytest.mark.parametrize(
    ("embeddings", "share", "logged", "message"),
    [
        (ALIKE, 1.0, HEALTHY, "collapsed at step 240"),
        (DIFFERENT, 1.0, USELESS, "predicts nothing at step 240"),
        (DIFFERENT, 0.5, HEALTHY, "after another clip's past at step 240"),
    ],
)
def test_a_collapse_of_any_kind_ends_the_run(tmp_path, embeddings, share, logged, message):
    check = alarm(tmp_path, embeddings, share)
    check(200, logged)
    check(205, {})  # a step that was not logged
    check(220, logged)
    with pytest.raises(UserError, match=message):
        check(240, logged)


def test_odd_steps_and_the_warm_up_do_not(tmp_path):
    check = alarm(tmp_path)
    for step in range(100, 1000, 20):
        check(step, HEALTHY if step % (20 * IN_A_ROW) == 0 else USELESS)
    check = alarm(tmp_path, ALIKE)
    for step in range(0, 100, 20):
        check(step, USELESS)


@pytest.mark.parametrize("target", ["vcreg", "sigreg", "ema"])
def test_a_jepa_that_embeds_all_clips_alike_is_noticed_with_one_clip_a_micro_batch(tmp_path, target):
    torch.manual_seed(0)
    model = JepaModel(width=32, heads=2, encoder_depth=1, predictor_depth=1, target=target)
    config = JepaConfig(out=tmp_path, tokenizer=tmp_path, model=model)
    family = FAMILIES["jepa"]
    network = family.network(config, 6)
    tokens = torch.randn(16, 1, 4, 4, 6) + 0.1 * torch.randn(16, 4, 4, 4, 6)  # a clip's chunks are alike
    check = family.alarm(config, network, tokens)
    for step in range(200, 400, 20):
        check(step, HEALTHY)
    with torch.no_grad():
        for embed in (network.embed, network.target_embed):
            if embed is not None:
                embed.weight.zero_()
                embed.bias.zero_()
    with pytest.raises(UserError, match="collapsed at step 440"):
        for step in range(400, 500, 20):
            check(step, HEALTHY)


class ToldOfThePast(JointEmbeddingPredictor):
    """Encodes every chunk after those before it, as version 0.1 did, and has learned to predict exactly that."""

    def compared(self, tokens, actions=None):
        told = tokens.cumsum(dim=1)[:, :-1]  # of a future's own chunk nothing is left, of its past everything
        return tokens, told, torch.cat((tokens[:, :1], told), dim=1)


def test_a_prediction_that_fits_a_future_after_any_past_is_noticed(tmp_path):
    tokens = torch.randn(16, 1, 4, 4, 6) + 0.1 * torch.randn(16, 4, 4, 4, 6)  # a clip's chunks are alike
    network = JointEmbeddingPredictor(6, 32, 1, 1, 2, target="vcreg")
    assert own_past_share(network, tokens) == 1.0  # an untrained one repeats the last chunk, or nearly
    told = ToldOfThePast(6, 32, 1, 1, 2, target="vcreg")
    assert own_past_share(told, tokens) < 0.75
    check = CollapseAlarm(tmp_path, 50, 1.0, 0.2, lambda: (1.0, own_past_share(told, tokens)))
    with pytest.raises(UserError, match="does not depend on what was seen"):
        for step in range(200, 300, 20):
            check(step, HEALTHY)
