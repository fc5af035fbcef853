"""Chance of known form: context the same to the bit, futures by the stated law; speeds that training leaves out."""

import pytest
import torch

from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.simulation.chance import BAR, PANEL_STD, Again, moment_s, panel_brightness
from vidworld.simulation.chancy import HOLE, KICK_STD, PEG_SPEED
from vidworld.simulation.resimulated import true_futures
from vidworld.simulation.simulated import SimulatedClips

SHAPE = ClipShape()
SEEN = 8
CHANCY = ("kick", "peg", "panel")
KEPT = 0.9113
"""Variance of a standard normal number whose ends are cut off at 2.5 (scipy.stats.truncnorm)."""


def made(name: str, numbers=range(48), **more):
    return SimulatedClips(name, "id", **more).clips(numbers)


@pytest.mark.parametrize("name", CHANCY)
def test_another_future_has_the_same_context_to_the_bit(name):
    own, other = made(name), made(name, again=Again(5, SEEN))
    assert torch.equal(own.frames[:, :SEEN], other.frames[:, :SEEN])
    assert torch.equal(own.tracks.position[:, :SEEN], other.tracks.position[:, :SEEN])
    differ = (own.frames[:, SEEN:] != other.frames[:, SEEN:]).flatten(1).any(1)
    assert differ.double().mean() > (0.3 if name == "peg" else 0.99)


@pytest.mark.parametrize("name", CHANCY)
def test_what_was_seen_is_left_to_chance_no_more(name):
    own, other = made(name), made(name, again=Again(5, 12))
    assert torch.equal(own.frames[:, :12], other.frames[:, :12])
    assert torch.equal(own.frames, other.frames) is (name != "panel")


@pytest.mark.parametrize("name", CHANCY)
def test_clips_of_another_future_are_among_the_true_futures(name):
    numbers, source = [3, 9], SimulatedClips(name, "id", again=Again(2, SEEN))
    futures = true_futures(source, numbers, 4, SEEN)
    clips = source.clips(numbers)
    assert torch.equal(futures.position[:, 1], clips.tracks.position)
    if futures.brightness is not None:
        assert (futures.brightness[:, 1] - panel_brightness(clips.frames)).abs().max() < 0.51 / 255


def test_a_kick_has_the_variance_that_its_level_says():
    source = SimulatedClips("kick", "id", again=Again(level=1.2))
    places = true_futures(source, range(16), 2000, SEEN).position[:, :, :, 0]
    elapsed = (torch.arange(16).double() / SHAPE.fps - moment_s(SHAPE)).clamp(min=0)
    expected = KEPT * (1.2 * KICK_STD * elapsed) ** 2
    assert torch.allclose(places.var(dim=1).mean(dim=(0, 2)), expected, rtol=0.05)


def test_levels_differ_and_the_bar_shows_them():
    clips, futures = made("kick"), true_futures(SimulatedClips("kick", "id"), range(48), 400, SEEN)
    rows = round(BAR / SHAPE.pixel) - 1
    length = (clips.frames[:, 0, 0, -rows] > 100).sum(dim=1).double()
    deviation = futures.position[:, :, -1, 0].std(dim=1).mean(dim=1)
    assert length.max() > 2 * length.min()
    assert torch.corrcoef(torch.stack([length, deviation]))[0, 1] > 0.98


def test_a_peg_sends_left_or_right_each_as_likely():
    places = true_futures(SimulatedClips("peg", "id", again=Again(level=1.0)), range(16), 400, SEEN).position
    moved = places[:, :, -1, 0, 0] - places[:, :, 0, 0, 0]
    size = PEG_SPEED * (SHAPE.duration_s - moment_s(SHAPE))
    assert torch.allclose(moved.abs(), torch.full_like(moved, size), atol=1e-9)
    assert 0.45 < (moved > 0).double().mean() < 0.55
    assert (places[:, :, 0, 0, 1] + 0.1 < places[:, :, SEEN, 0, 1]).all()
    assert torch.allclose(places[:, :, SEEN, 0, 1], places[:, :, -1, 0, 1], atol=1e-9)


def test_a_panel_flickers_as_its_level_says_and_its_disc_moves_by_law():
    source = SimulatedClips("panel", "id", again=Again(level=1.0))
    clips, futures = source.clips(range(48)), true_futures(source, range(8), 200, SEEN)
    shown = panel_brightness(clips.frames)
    assert shown.std().item() == pytest.approx(PANEL_STD, rel=0.03) and shown.mean().item() == pytest.approx(
        0.5, abs=0.01
    )
    assert futures.brightness[:, :, SEEN:].std(dim=1).mean().item() == pytest.approx(PANEL_STD, rel=0.03)
    assert futures.brightness[:, :, :SEEN].std(dim=1).max() < 1e-12 and futures.position.std(dim=1).max() < 1e-12
    assert torch.allclose(clips.tracks.velocity[:, :1].expand_as(clips.tracks.velocity), clips.tracks.velocity)


def test_the_hole_is_in_no_other_split():
    for split in ("train", "val", "id", "hole"):
        speed = SimulatedClips("uniform_hole", split).clips(range(128)).tracks.velocity[:, 0, 0].norm(dim=-1)
        within = (speed > HOLE[0]) & (speed < HOLE[1])
        assert within.all() if split == "hole" else not within.any()
    assert (speed.max() - speed.min()) > 0.8 * (HOLE[1] - HOLE[0])
    with pytest.raises(UserError, match="uniform/hole/0: training leaves no band of speeds out"):
        SimulatedClips("uniform", "hole").clips([0])
