"""Effects of a change: the truth is 0, no effect 1, larger injected errors score worse; how far down chains."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vidworld.metrics.interventions import (
    Worlds,
    chain_order,
    chain_reach,
    chain_time_error,
    changed_discs,
    effect_error,
    passed_on_error,
    unaffected_drift,
)
from vidworld.simulation.interventions import world_pairs

START, DT_S = 8, 0.1


def worlds(scenario, kind, split="id", count=16):
    pair = world_pairs(scenario, kind, split, 0, range(count))
    return Worlds(pair.factual.tracks, pair.changed.tracks)


@pytest.fixture(scope="module")
def kicked():
    return worlds("collision", "kick", "more", 12)


@pytest.fixture(scope="module")
def chains():
    return worlds("dominoes", "remove")


def with_changed(truth, position):
    return Worlds(truth.factual, replace(truth.changed, position=position))


def scaled(truth, factor):
    """The predicted effect is so many times the true one."""
    apart = truth.changed.position - truth.factual.position
    effect = apart - apart[:, START - 1 : START]
    position = truth.changed.position + torch.where(torch.arange(16)[:, None, None] >= START, factor - 1, 0.0) * effect
    return with_changed(truth, position)


def test_the_truth_has_no_error_and_no_effect_has_one(kicked):
    for metric in (effect_error, passed_on_error):
        assert np.nanmax(metric(kicked, kicked, DT_S, START)) == 0.0
        np.testing.assert_allclose(np.nanmean(metric(scaled(kicked, 0.0), kicked, DT_S, START)), 1.0, atol=1e-9)
    assert np.nanmax(unaffected_drift(kicked, kicked, DT_S, START)) < 1e-12
    frozen = Worlds(*(replace(w, position=w.position[:, START - 1 : START].expand_as(w.position)) for w in kicked))
    np.testing.assert_allclose(effect_error(frozen, kicked, DT_S, START), 1.0, atol=1e-9)


@pytest.mark.parametrize("metric", [effect_error, passed_on_error])
def test_a_larger_error_of_the_effect_scores_worse(kicked, metric):
    for factors in ((1.0, 1.2, 1.5, 2.5), (1.0, 0.7, 0.3, -0.5)):
        means = [np.nanmean(metric(scaled(kicked, factor), kicked, DT_S, START)) for factor in factors]
        np.testing.assert_allclose(means, [abs(1 - factor) for factor in factors], atol=1e-9)


def test_discs_that_nothing_reaches_must_stay(kicked):
    drifts = []
    own = torch.as_tensor(changed_discs(kicked, START))[:, None, :, None]
    for size in (0.0, 0.1, 0.4, 1.0):
        later = torch.where((torch.arange(16)[:, None, None] >= START) & ~own, size, 0.0)
        drifts.append(
            np.nanmean(unaffected_drift(with_changed(kicked, kicked.changed.position + later), kicked, DT_S, START))
        )
    np.testing.assert_allclose(drifts, np.array([0.0, 0.1, 0.4, 1.0]) * 2**0.5, atol=1e-6)


def test_to_vanish_is_worse_than_to_say_that_nothing_follows(kicked):
    gone = replace(kicked.changed, position=kicked.changed.position.clone())
    gone.position[:, START:] = torch.nan
    for predicted in (
        Worlds(kicked.factual, gone),
        Worlds(replace(kicked.factual, position=gone.position), kicked.changed),
    ):
        assert np.nanmin(effect_error(predicted, kicked, DT_S, START)) > 1.5
        assert np.nanmin(unaffected_drift(predicted, kicked, DT_S, START)) > 3


@pytest.mark.parametrize("kind", ["remove", "mass", "kick", "move"])
def test_what_was_changed_is_known_by_the_end_of_the_context(kind):
    truth = worlds("collision", kind)
    assert changed_discs(truth, START).sum(axis=1).tolist() == [1] * 16


def test_the_truth_reaches_the_end_of_every_chain(chains):
    reach, links = chain_reach(chains, chains, DT_S, START), chains.changed.present[:, 0].sum(1).numpy() - 1
    assert (reach == links).all() and links.max() > 2
    assert np.nanmin(chain_order(chains, chains, DT_S, START)) == 1.0
    assert np.nanmax(chain_time_error(chains, chains, DT_S, START)) == 0.0


def test_later_events_and_chains_that_stop_reach_less_far(chains):
    reaches, late = [], []
    for frames in (0, 1, 2, 4):
        position = chains.changed.position.clone()
        if frames:
            position[:, START + frames :] = chains.changed.position[:, START:-frames]
            position[:, START : START + frames] = position[:, START - 1 : START]
        predicted = with_changed(chains, position)
        reaches.append(chain_reach(predicted, chains, DT_S, START).mean())
        late.append(np.nanmean(chain_time_error(predicted, chains, DT_S, START)))
    assert reaches[0] >= reaches[1] > reaches[2] >= reaches[3]
    assert late[0] == 0.0 and (np.diff(late) > 0.04).all()
    frozen = with_changed(chains, chains.changed.position[:, START - 1 : START].expand_as(chains.changed.position))
    assert np.nanmean(chain_order(frozen, chains, DT_S, START)) == 0.5
    assert np.nanmean(chain_time_error(frozen, chains, DT_S, START)) == pytest.approx(0.8)
