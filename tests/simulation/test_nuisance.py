"""Nuisance: nothing at level 0, a function of numbers, the same in all clips of a quadruplet, and readable through."""

import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.metrics import METRICS
from vidworld.simulation import LAWS
from vidworld.simulation.nuisance import AMPLITUDES, BARE, _noise, add_nuisance, with_drops
from vidworld.simulation.quadruplets import layout_of, quadruplets
from vidworld.simulation.simulated import SimulatedClips
from vidworld.simulation.tracker import after_context, locate_discs, with_strangers

LEVELS = sorted(AMPLITUDES)
LONG = (
    SimulatedClips("collision", "id", shape=ClipShape(num_frames=6, height_px=24, width_px=40)).clips(range(9)).frames
)
few = settings(max_examples=20)


def test_level_0_leaves_every_bit_and_says_nothing() -> None:
    assert add_nuisance(LONG, "a", range(9), 0) is LONG
    made = SimulatedClips("uniform", "id", nuisance=0).clips([3])
    assert made.clean is None and made.identity == ("uniform/id/0/3",)
    assert torch.equal(made.without_nuisance, made.frames)


@pytest.mark.parametrize("scenario", ["uniform", "occlusion", "billiards"])
def test_the_clip_of_a_number_is_the_same_scene_at_every_level(scenario: str) -> None:
    plain, *noisy = (SimulatedClips(scenario, "ood", nuisance=level).clips(range(5)) for level in (0, 1, 2))
    assert plain.tracks is not None
    for level, made in enumerate(noisy, start=1):
        assert made.tracks is not None and torch.equal(made.without_nuisance, plain.frames)
        assert all(
            torch.equal(a, b) or a.isnan().any()
            for a, b in zip(vars(made.tracks).values(), vars(plain.tracks).values(), strict=True)
        )
        assert made.identity[4] == f"{scenario}/ood_nuisance_{level}/0/4"
    assert not torch.equal(noisy[0].frames, noisy[1].frames)


@few
@given(st.lists(st.integers(0, 8), min_size=1, max_size=5), st.integers(1, 6), st.sampled_from(LEVELS))
def test_nuisance_is_the_same_in_any_batch_and_order_and_for_any_length(numbers, length, level) -> None:
    together = add_nuisance(LONG, "a", range(9), level)
    assert torch.equal(add_nuisance(LONG[numbers, :length], "a", numbers, level), together[numbers, :length])


@pytest.mark.parametrize("level", LEVELS)
def test_other_names_numbers_and_frames_have_nuisance_of_their_own(level) -> None:
    frames = torch.full((2, 3, 3, 32, 32), 90, dtype=torch.uint8)
    here, elsewhere = (add_nuisance(frames, name, [0, 1], level).flatten(0, 1) for name in "ab")
    pictures = torch.cat((here, elsewhere)).flatten(1).double()
    correlation = torch.corrcoef(pictures - pictures.mean(dim=1, keepdim=True)) - torch.eye(len(pictures))
    assert correlation.abs().max() < 0.08  # of 3072 numbers


SCRIPT = """
import torch
from hashlib import sha256
torch.set_num_threads(2)
from vidworld.simulation.simulated import SimulatedClips
for split in ("id", "textures"):
    made = SimulatedClips("occlusion", split, seed=9, nuisance=2).clips([40, 3])
    print(sha256(made.frames[1].numpy().tobytes()).hexdigest())
"""


def test_nuisance_is_the_same_in_another_process() -> None:
    there = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout.split()
    here = [SimulatedClips("occlusion", split, seed=9, nuisance=2).clips([3]).frames[0] for split in ("id", "textures")]
    assert there == [sha256(frames.numpy().tobytes()).hexdigest() for frames in here]


@few
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99), st.integers(0, 2**32 - 1))
def test_drops_fall_behind_whatever_is_not_bare_background(height, width, frame, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.full((3, 3, height, width), BARE, dtype=torch.uint8)
    solid = torch.rand(3, 1, height, width, generator=generator) < 0.5
    other = torch.randint(BARE + 1, 256, pictures.shape, generator=generator, dtype=torch.uint8)
    pictures = torch.where(solid, other, pictures)
    wet = with_drops(pictures, torch.arange(3), frame, AMPLITUDES[2].rain)
    assert torch.equal(wet[solid.expand_as(wet)], pictures[solid.expand_as(wet)])
    assert (wet >= pictures).all()  # nothing runs over


@pytest.mark.parametrize("std", [2.0, 4.0, 6.0])
def test_sensor_noise_has_its_deviation_and_is_bounded(std: float) -> None:
    noise = _noise(torch.arange(50), 4000, std).double()
    assert abs(float(noise.mean())) < 0.05
    assert float(noise.std()) == pytest.approx((std**2 + 1 / 12) ** 0.5, rel=0.025)  # rounded to whole numbers
    assert float(noise.abs().max()) <= 2.45 * std + 1


def test_a_texture_stands_still_and_is_each_clips_own() -> None:
    made = SimulatedClips("uniform", "textures", nuisance=1).clips(range(3))
    assert made.clean is not None
    plain = (made.clean == BARE).all(dim=2)
    assert 0.1 < float((made.clean > BARE).all(dim=2).double().mean()) < 0.6
    patches = made.clean[:, :, :, :6, :6]  # a corner that discs reach in few frames
    assert (patches == patches.median(dim=1, keepdim=True).values).double().mean() > 0.9
    assert not torch.equal(plain[0, 0], plain[1, 0])


# --- quadruplets ---


@pytest.mark.thorough
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("level", LEVELS)
def test_nuisance_follows_the_quadruplet_and_the_place_in_time(law: str, level) -> None:
    made = quadruplets(law, "id", 0, range(4), nuisance=level)
    plain, cut = quadruplets(law, "id", 0, range(4)), made.splice_frame
    for side in ("a", "b", "a_then_b", "b_then_a"):
        assert torch.equal(getattr(made, side).without_nuisance, getattr(plain, side).frames)
    # a future is the same to the bit after either past, and so is a past
    assert torch.equal(made.a_then_b.frames[:, cut:], made.b.frames[:, cut:])
    assert torch.equal(made.b_then_a.frames[:, cut:], made.a.frames[:, cut:])
    # where A and B look the same without nuisance they look the same with it, at the splice and everywhere
    alike = (plain.a.frames == plain.b.frames).all(dim=2, keepdim=True).expand_as(plain.a.frames)
    assert torch.equal(made.a.frames[alike], made.b.frames[alike])
    assert alike.double().mean() > 0.5 and not torch.equal(made.a.frames, plain.a.frames)


def test_a_quadruplets_layout_is_known_at_every_level() -> None:
    for number in range(8):
        names = {layout_of(f"solidity/{split}/0/{number}") for split in ("id", "id_nuisance_2")}
        assert len(names) == 1 and None not in names
    assert layout_of(quadruplets("momentum", "ood", 3, [5], nuisance=1).identity[0]) == "crossing"


# --- how much it is, and whether discs are still found ---


def energies(made: Clips) -> tuple[float, float]:
    """Mean squared change from frame to frame of what moves, and of the nuisance."""
    clean = made.without_nuisance.double()
    return tuple(float(x.diff(dim=1).square().mean()) for x in (clean, made.frames.double() - clean))  # type: ignore


@pytest.mark.thorough
@pytest.mark.parametrize("scenario", ["uniform", "collision", "occlusion", "billiards"])
def test_level_1_is_about_as_much_as_what_moves_and_level_2_several_times_that(scenario: str) -> None:
    (motion, mild), (_, strong) = (
        energies(SimulatedClips(scenario, "id", nuisance=n).clips(range(24))) for n in (1, 2)
    )
    assert 0.4 < mild / motion < 1.7
    assert strong / motion > 3


@pytest.mark.thorough
@pytest.mark.parametrize("scenario", ["uniform", "collision", "occlusion", "billiards"])
@pytest.mark.parametrize(("split", "level", "limit"), [("id", 1, 0.06), ("id", 2, 0.1), ("textures", 0, 0.06)])
def test_the_tracker_reads_the_truth_through_it(scenario: str, split: str, level, limit: float) -> None:
    made = SimulatedClips(scenario, split, nuisance=level).clips(range(24))
    truth = made.tracks
    assert truth is not None
    tracks = after_context(locate_discs(made.frames[:, 8:], *with_strangers(truth)), truth, 8)
    given_both = (tracks, truth, made.dt_s, 8)
    assert np.nanmean(METRICS["velocity_error"](*given_both)) < limit
    assert METRICS["phantom_objects"](*given_both).sum() == 0
    if scenario == "occlusion":
        assert np.nanmean(METRICS["reappearance"](*given_both)) == 1.0
