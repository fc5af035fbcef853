"""Hidden properties: nothing tells of them before the reveal, and both events are where they should be."""

import numpy as np
import pytest
import torch

from vidworld.core.clip_shape import ClipShape
from vidworld.simulation.properties import (
    HIDDEN_DISC,
    OVER,
    PROPERTY_OF,
    REVEALED,
    TESTED,
    UNSEEN,
    moment_of_reveal_s,
    moment_of_test_s,
    property_pairs,
)
from vidworld.simulation.simulated import SimulatedClips

SIZE = ClipShape(height_px=32, width_px=32)
COUNT = 48


@pytest.fixture(scope="module", params=PROPERTY_OF)
def pair(request):
    return property_pairs(request.param, "id", 0, range(COUNT), SIZE)


def test_the_first_of_a_pair_is_the_scenarios_clip(pair):
    scenario = pair.own.identity[0].partition("/")[0]
    clips = SimulatedClips(scenario, "id", shape=SIZE).clips(range(6))
    assert torch.equal(clips.frames, pair.own.frames[:6]) and clips.identity == pair.own.identity[:6]


def test_pairs_are_equal_up_to_the_reveal_and_then_differ(pair):
    end_s = SIZE.duration_s
    for tracks in (pair.own.tracks, pair.other.tracks):
        reveal, test = moment_of_reveal_s(tracks), moment_of_test_s(tracks)
        assert ((reveal > UNSEEN * end_s - 1e-9) & (reveal < REVEALED * end_s + 1e-9)).all()
        assert ((test > TESTED * end_s) & (test < OVER * end_s)).all()
        assert (tracks.visible == 1).all()
    assert torch.equal(moment_of_reveal_s(pair.own.tracks), moment_of_reveal_s(pair.other.tracks))
    assert torch.equal(pair.own.frames[:, :4], pair.other.frames[:, :4])
    change = (pair.own.tracks.velocity - pair.other.tracks.velocity)[:, 7, HIDDEN_DISC].norm(dim=-1)
    assert (change > 0.2).all()


def test_nothing_before_the_reveal_tells_of_a_mass():
    tracks = SimulatedClips("hidden_mass", "val", shape=SIZE).clips(range(120)).tracks
    ratio = (tracks.mass[:, HIDDEN_DISC] / tracks.mass[:, 0]).log()
    seen = [tracks.position[:, 0].flatten(1), tracks.velocity[:, 0].flatten(1), tracks.radius[:, :1]]
    seen += [moment_of_reveal_s(tracks)[:, None], tracks.color.flatten(1).double()]
    correlation = np.corrcoef(torch.cat([ratio[:, None], *seen], dim=1).T.numpy() + 1e-12)[0, 1:]
    assert np.nanmax(np.abs(correlation)) < 0.3  # 3.3 standard deviations of none
    assert (tracks.radius == tracks.radius[:, :1]).all()
    assert ratio.exp().min() < 0.5 and ratio.exp().max() > 2.0


def test_out_of_distribution_are_properties_outside_the_range():
    tracks = SimulatedClips("hidden_mass", "ood", shape=SIZE).clips(range(16)).tracks
    ratio = tracks.mass[:, HIDDEN_DISC] / tracks.mass[:, 0]
    assert ((ratio < 0.4) | (ratio > 2.5)).all()
