"""What a rollout implies of a hidden property: that of the truth, and chance where nothing is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vidworld.metrics.hidden import (
    concerns_mass,
    implied_property,
    implied_rank,
    implied_spread,
    outcome_rank,
    property_error,
    true_property,
)
from vidworld.metrics.interventions import Worlds
from vidworld.simulation.properties import PROPERTY_OF, property_pairs

START, DT_S = 8, 0.1


@pytest.fixture(scope="module", params=PROPERTY_OF)
def truth(request):
    pair = property_pairs(request.param, "id", 0, range(24))
    return Worlds(pair.own.tracks, pair.other.tracks)


def test_the_truth_implies_itself(truth):
    for tracks in truth:
        mass = tracks.mass.numpy()
        assert (concerns_mass(tracks) == (mass[:, 1] != mass[:, 0])).all()
        apart = np.abs(implied_property(tracks, tracks, DT_S, START) - true_property(tracks, DT_S))
        assert np.median(apart) < 1e-6 and apart.mean() < 0.02
    assert property_error(truth, truth, DT_S, 4).mean() < 0.05  # from before the reveal it follows its own velocities
    assert (
        implied_rank(truth, truth, DT_S, START).mean() == outcome_rank(truth, truth, DT_S, START).mean() == 1.0
    )  # no NaN


def test_the_true_property_is_that_of_the_scene(truth):
    mass = truth.factual.mass.numpy()
    found = true_property(truth.factual, DT_S)
    if concerns_mass(truth.factual).all():
        np.testing.assert_allclose(found, mass[:, 1] / (mass[:, 1] + mass[:, 2]))
    else:
        assert found.min() > 0.29 and found.max() <= 1.0


def with_outcome(tracks, implied):
    """The third disc leaves as fast as a test would have it that implies this."""
    mass, way = tracks.mass, tracks.position[:, 0, 2] - tracks.position[:, 0, 0]
    along = way / way.norm(dim=-1, keepdim=True)
    speeds = (tracks.velocity[:, START - 1] * along[:, None]).sum(-1)
    closing, is_mass = speeds[:, 1] - speeds[:, 2], mass[:, 1] != mass[:, 0]
    taken_on = closing * torch.where(is_mass, 2 * implied, (1 + implied) / 2)
    met_s, times_s = tracks.contact_s[:, 2, None], torch.arange(16) * DT_S
    before = speeds[:, 2, None] * torch.minimum(times_s, met_s)
    after = (speeds[:, 2, None] + taken_on[:, None]) * (times_s - met_s).clamp(min=0)
    position = tracks.position.clone()
    position[:, :, 2] = tracks.position[:, :1, 2] + (before + after)[..., None] * along[:, None]
    return replace(tracks, position=position)


def test_an_outcome_that_implies_the_others_property_is_always_wrong(truth):
    true = [torch.as_tensor(true_property(tracks, DT_S)) for tracks in truth]
    right, wrong = (
        Worlds(*(with_outcome(*each) for each in zip(truth, order, strict=True))) for order in (true, true[::-1])
    )
    assert implied_rank(right, truth, DT_S, START).mean() == 1.0
    assert implied_rank(wrong, truth, DT_S, START).mean() == 0.0
    same = Worlds(*(with_outcome(tracks, torch.full_like(true[0], 0.5)) for tracks in truth))
    assert implied_rank(same, truth, DT_S, START).tolist() == [0.5] * 24


def test_what_implies_nothing_is_chance(truth):
    frozen = Worlds(*(replace(w, position=w.position[:, START - 1 : START].expand_as(w.position)) for w in truth))
    gone = Worlds(*(replace(w, position=torch.full_like(w.position, torch.nan)) for w in truth))
    for predicted in (frozen, gone):
        assert implied_rank(predicted, truth, DT_S, START).tolist() == [0.5] * 24
        assert property_error(predicted, truth, DT_S, START).tolist() == [0.5] * 24


def test_a_larger_error_of_the_outcome_is_a_larger_error_of_the_property(truth):
    true = [torch.as_tensor(true_property(tracks, DT_S)) for tracks in truth]
    errors = []
    for size in (0.0, 0.05, 0.15, 0.3):
        wrong = Worlds(*(with_outcome(tracks, known - size) for tracks, known in zip(truth, true, strict=True)))
        errors.append(property_error(wrong, truth, DT_S, START).mean())
    assert (np.diff(errors) > 0.01).all()


def test_equal_samples_have_no_spread(truth):
    twice = Worlds(truth.factual, truth.factual)
    assert implied_spread(twice, twice, DT_S, START).max() == 0.0
    assert np.nanmean(implied_spread(truth, twice, DT_S, START)) > 0.05


@pytest.mark.parametrize(("scenario", "least", "most"), [("hidden_mass", 0.5, 0.7), ("hidden_restitution", 0.04, 0.14)])
def test_out_of_range_only_a_legible_truth_is_judged(scenario, least, most):
    pair = property_pairs(scenario, "ood", 0, range(100))
    truth = Worlds(pair.own.tracks, pair.other.tracks)
    ranks = implied_rank(truth, truth, DT_S, START)
    judged = ~np.isnan(ranks)
    assert least < judged.mean() < most  # discs that hardly bounce pile up while the test is read
    assert (ranks[judged] == 1.0).all() and (outcome_rank(truth, truth, DT_S, START)[judged] == 1.0).all()
    for number in range(0, 100, 10):  # whatever a pair is measured with
        alone = Worlds(*(each.at(slice(number, number + 1)) for each in truth))
        np.testing.assert_array_equal(implied_rank(alone, alone, DT_S, START), ranks[number : number + 1])
    for metric in (outcome_rank, property_error):
        assert np.isnan(metric(truth, truth, DT_S, START)[~judged]).all()
