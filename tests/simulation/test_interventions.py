"""Pairs with and without one change: equal but for it, with nothing come of it yet when the context ends."""

import pytest
import torch

from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.simulation.environments.acted_pairs import acted_pairs
from vidworld.simulation.interventions import INTERVENTIONS, LEAST_EFFECT, world_pairs
from vidworld.simulation.simulated import SimulatedClips

SIZE = ClipShape(height_px=32, width_px=32)
START = 8


def tracks_of(pair):
    return pair.factual.tracks, pair.changed.tracks


@pytest.mark.parametrize("kind", INTERVENTIONS)
def test_one_disc_is_changed_and_nothing_has_come_of_it_when_the_context_ends(kind):
    pair = world_pairs("collision", kind, "more", 0, range(8), START, SIZE)
    one, other = tracks_of(pair)
    apart = (one.position - other.position)[:, :START].norm(dim=-1).nan_to_num()
    looks = (one.radius != other.radius) | (one.present[:, 0] != other.present[:, 0])
    assert (looks | (apart.amax(1) > 1e-9)).sum(1).tolist() == [1] * 8
    for tracks in (one, other):
        assert not (tracks.contact_s <= (START - 0.5) * SIZE.dt_s).any()
    effect = apart.new_zeros(8)
    both = one.present & other.present
    gone = (other.position - one.position) - (other.position - one.position)[:, START - 1 : START]
    effect = torch.where(both, gone.norm(dim=-1), 0.0)[:, START:].amax((1, 2))
    assert (effect >= LEAST_EFFECT).all()
    assert (effect < 10).all()


def test_a_kick_shows_in_the_last_four_frames_of_the_context():
    one, other = tracks_of(world_pairs("uniform", "kick", "id", 0, range(6), START, SIZE))
    assert torch.equal(one.position[:, :4], other.position[:, :4])
    change = (one.velocity - other.velocity)[:, 4:].norm(dim=-1)
    assert (change >= 1.5).all() and torch.allclose(change, change[:, :1].expand_as(change))
    steps = other.position.diff(dim=1) / SIZE.dt_s
    assert torch.allclose(steps[:, 4:], other.velocity[:, 5:], atol=1e-9)


def test_mass_is_of_the_size():
    one, other = tracks_of(world_pairs("collision", "mass", "id", 0, range(12), START, SIZE))
    ratio = (other.mass / one.mass).amax(1), (other.mass / one.mass).amin(1)
    assert {round(float(x), 6) for each in ratio for x in each} == {0.5, 1.0, 2.0}
    torch.testing.assert_close(other.radius**2, other.mass)
    assert float(other.radius.min()) >= 0.6 and float(other.radius.max()) <= 1.3


def test_pairs_are_functions_of_their_numbers_and_share_nuisance():
    whole = world_pairs("collision", "kick", "id", 3, range(5), START, SIZE, nuisance=1)
    some = world_pairs("collision", "kick", "id", 3, [3, 1], START, SIZE, nuisance=1)
    for side in ("factual", "changed"):
        assert torch.equal(getattr(whole, side).frames[[3, 1]], getattr(some, side).frames)
    assert torch.equal(whole.factual.frames[:, :4], whole.changed.frames[:, :4])
    assert not torch.equal(whole.factual.frames[:, :4], whole.factual.clean[:, :4])


def test_a_chain_passes_one_velocity_on():
    tracks = SimulatedClips("dominoes", "id", shape=SIZE).clips(range(24)).tracks
    count = tracks.present[:, 0].sum(1)
    assert set(count.tolist()) == {3, 4, 5, 6}
    for clip, last in enumerate((count - 1).tolist()):
        torch.testing.assert_close(tracks.velocity[clip, -1, last], tracks.velocity[clip, 0, 0], atol=1e-6, rtol=0)
        assert (tracks.contact_s[clip, 1 : last + 1].diff() > 0).all()
    assert (tracks.contact_s[:, 0] > 0.79).all()


def test_an_intervention_that_nothing_follows_from_is_one_line(monkeypatch):
    monkeypatch.setattr("vidworld.simulation.stage.MAX_CANDIDATES", 512)
    with pytest.raises(UserError, match="do/uniform/remove/id/0: no clip fits"):
        world_pairs("uniform", "remove", "id", 0, [0], START, SIZE)
    with pytest.raises(UserError, match="there is no intervention 'paint'; there are remove, mass"):
        world_pairs("uniform", "paint", "id", 0, [0])


def test_the_agent_acts_or_does_not():
    shape = ClipShape(num_frames=32, height_px=32, width_px=32)
    still, acted = acted_pairs("puck", "id", 0, range(2), START, shape, 0.5)
    assert torch.equal(still.frames[:, :START], acted.frames[:, :START])
    assert not still.actions.any() and not acted.actions[:, :START].any() and acted.actions[:, START:].any()
    apart = (acted.tracks.position - still.tracks.position)[:, :, 1].norm(dim=-1)
    assert (apart.amax(1) >= 0.5).all() and not apart[:, :START].any()
