"""Collapse ends a run, of whatever kind it is and however few clips a process has at once; an odd step does not."""

import pytest
import torch

from vidworld.core.errors import UserError
from vidworld.models.families import FAMILIES, JepaConfig, JepaModel
from vidworld.models.jepa import IN_A_ROW, CollapseAlarm, std_across_clips

HEALTHY, USELESS = {"copy_last_ratio": 0.6}, {"copy_last_ratio": 1.04}
ALIKE = torch.randn(1, 64, 8).expand(16, -1, -1)
"""Embeddings that hold nothing but their place."""
DIFFERENT = torch.randn(16, 64, 8)


def alarm(tmp_path, embeddings=DIFFERENT):
    return CollapseAlarm(tmp_path, 50, 1.0, 0.2, lambda: embeddings)


def test_embeddings_of_nothing_but_their_place_do_not_differ_across_clips():
    assert float(ALIKE.std()) > 0.9
    assert std_across_clips(ALIKE) < 1e-3
    assert std_across_clips(DIFFERENT) > 0.9


@pytest.mark.parametrize(
    ("embeddings", "logged", "message"),
    [(ALIKE, HEALTHY, "collapsed at step 240"), (DIFFERENT, USELESS, "predicts nothing at step 240")],
)
def test_a_collapse_of_either_kind_ends_the_run(tmp_path, embeddings, logged, message):
    check = alarm(tmp_path, embeddings)
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
    network, tokens = family.network(config, 6), torch.randn(16, 4, 4, 4, 6)
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
