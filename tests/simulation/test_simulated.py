"""Simulated clips: the same for the same number, and each scenario shows what it should."""

import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from vidworld.core.clip import Clips, Tracks
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.simulation import SCENARIOS
from vidworld.simulation.scenarios import GRAVITY
from vidworld.simulation.simulated import SPLITS, SimulatedClips


def clips(scenario: str, split: str = "id", count: int = 64, **shape: int) -> Clips:
    return SimulatedClips(scenario, split, shape=ClipShape(**shape)).clips(range(count))


def tracks(scenario: str, split: str = "id", count: int = 64, **setting: int) -> Tracks:
    made = clips(scenario, split, count, **setting).tracks
    assert made is not None
    return made


def fingerprint(made: Clips) -> str:
    """The same for two sets of clips that are equal to the bit."""
    assert made.tracks is not None
    digest = sha256(made.frames.numpy().tobytes())
    for value in vars(made.tracks).values():
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.thorough
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("split", ["train", "ood"])
def test_a_clip_is_the_same_in_any_batch(scenario: str, split: str) -> None:
    source = SimulatedClips(scenario, split, seed=3)
    together = source.clips(range(19))
    for some in ([17, 5, 11], [0]):
        assert fingerprint(source.clips(some)) == fingerprint(together.at(torch.tensor(some)))
        assert source.clips(some).identity == tuple(f"{scenario}/{split}/3/{i}" for i in some)


SCRIPT = """
import sys
import torch
torch.set_num_threads(2)
sys.path.insert(0, sys.argv[1])
from test_simulated import fingerprint
from vidworld.simulation.simulated import SimulatedClips
for scenario in ("billiards", "occlusion"):
    made = SimulatedClips(scenario, "train", seed=9).clips([40, 3, 12, 7])
    print(fingerprint(made.at(torch.tensor([3, 1]))))
"""


def test_a_clip_is_the_same_in_another_process() -> None:
    run = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent)]
    there = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    here = [
        fingerprint(SimulatedClips(scenario, "train", seed=9).clips([7, 3])) for scenario in ("billiards", "occlusion")
    ]
    assert there == here


@pytest.mark.thorough
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_splits_and_seeds_have_clips_of_their_own(scenario: str) -> None:
    drawn_by = SCENARIOS[scenario]
    lacks = {"recombined": not drawn_by.ranges.corner, "hole": not drawn_by.ranges.hole, "more": not drawn_by.more}
    splits = [split for split in SPLITS if not lacks.get(split)]
    made = [SimulatedClips(scenario, split, seed).clips([0, 1]) for split in splits for seed in (0, 1)]
    firsts = {fingerprint(one.at(slice(i, i + 1))) for one in made for i in range(2)}
    assert len(firsts) == 2 * len(made)


@pytest.mark.parametrize(
    "setting", [{"height_px": 32, "width_px": 64}, {"height_px": 96, "width_px": 60, "num_frames": 12}]
)
@pytest.mark.parametrize("scenario", ["uniform", "parabola", "collision", "bounce", "billiards"])
def test_any_picture_is_filled(scenario: str, setting: dict[str, int]) -> None:
    made = clips(scenario, count=8, **setting)
    assert made.frames.shape[1:] == (setting.get("num_frames", 16), 3, setting["height_px"], setting["width_px"])
    assert made.tracks is not None
    assert (made.tracks.visible[made.tracks.present] == 1).all()


@pytest.mark.parametrize("scenario", ["uniform", "parabola", "bounce", "collision", "billiards"])
@pytest.mark.parametrize("split", ["train", "ood"])
def test_discs_stay_in_view(scenario: str, split: str) -> None:
    true = tracks(scenario, split)
    assert (true.visible[true.present] == 1).all()
    assert (true.visible[~true.present] == 0).all() and true.position[~true.present].isnan().all()


@pytest.mark.thorough
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_ranges_in_distribution_and_outside_it(scenario: str) -> None:
    ranges = SCENARIOS[scenario].ranges
    for split in ("train", "val", "id", "ood"):
        true = tracks(scenario, split, 128)
        there = true.present[:, 0].clone()
        if scenario.endswith("_pairs"):
            there[:, 2] = False  # the companion is drawn alike in every split
        speed, radius = true.velocity[:, 0].norm(dim=-1), true.radius
        if scenario == "dominoes" or scenario.startswith("hidden_"):
            there &= speed > 0  # what waits to be struck rests in every split
        fast_enough = (speed >= ranges.speed[0] - 1e-9) & (speed <= ranges.speed[1] + 1e-9)
        large_enough = (radius >= ranges.radius[0]) & (radius <= ranges.radius[1])
        inside = fast_enough & large_enough
        if (scenario, split) != ("open_pairs", "ood"):  # of two discs that meet, B's speeds follow from A's
            assert bool(inside[there].any()) is (split != "ood")
        assert bool((~inside)[there].any()) is (split == "ood")
        if split == "ood":
            assert (~fast_enough & large_enough & there).any() and (fast_enough & ~large_enough & there).any()


@pytest.mark.thorough
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_training_has_fast_discs_and_large_ones_and_recombined_those_that_are_both(scenario: str) -> None:
    ranges = SCENARIOS[scenario].ranges

    def corner(split: str) -> tuple[torch.Tensor, torch.Tensor]:
        true = tracks(scenario, split, 256)
        there = true.present[:, 0]
        fast = true.velocity[:, 0].norm(dim=-1) > ranges.fast
        return fast & there, (true.radius > ranges.large) & there

    fast, large = corner("train")
    if not ranges.corner:
        with pytest.raises(UserError, match="nothing is left to recombine"):
            corner("recombined")
        return
    assert fast.any() and large.any() and not (fast & large).any()
    fast, large = corner("recombined")
    assert (fast & large).any(1).all()


def test_uniform_motion_is_uniform_and_in_any_direction() -> None:
    true = tracks("uniform", count=256)
    steps = true.position.diff(dim=1) * 10
    assert torch.allclose(steps, true.velocity[:, 1:], atol=1e-12)
    assert torch.allclose(steps, true.velocity[:, :1].expand_as(steps), atol=1e-12)
    assert ((true.velocity[:, 0, 0] > 0).long() @ torch.tensor([1, 2])).bincount().min() > 32


def test_a_parabola_falls_with_gravity() -> None:
    true = tracks("parabola")
    change = true.velocity.diff(dim=1) * 10
    assert torch.allclose(change[..., 0], torch.zeros_like(change[..., 0]), atol=1e-11)
    assert torch.allclose(change[..., 1], torch.full_like(change[..., 1], GRAVITY), atol=1e-11)


def test_discs_collide_within_the_clip() -> None:
    true = tracks("collision", count=256)
    contact = true.contact_s[:, 0]
    assert torch.equal(contact, true.contact_s[:, 1])
    assert contact.min() > 0.2 and contact.max() < 1.4
    assert 0.6 < float((contact > 0.75).double().mean()) < 0.9
    momentum = (true.mass[:, None, :, None] * true.velocity).sum(2)
    assert torch.allclose(momentum, momentum[:, :1].expand_as(momentum), atol=1e-9)
    change = (true.velocity[:, -1] - true.velocity[:, 0]).norm(dim=-1)
    assert change.min() > 0.1
    head_on = (true.velocity[:, 0, 0] * true.velocity[:, 0, 1]).sum(-1) / (true.velocity[:, 0].norm(dim=-1).prod(1))
    assert 0.15 < float((head_on < -1 + 1e-9).double().mean()) < 0.35


CROWDED = [name for name in SCENARIOS if SCENARIOS[name].more]


@pytest.mark.parametrize("scenario", CROWDED)
def test_more_discs_than_in_training_in_view_and_of_the_same_ranges(scenario: str) -> None:
    few, many = (tracks(scenario, split, 64) for split in ("train", "more"))
    count = many.present[:, 0].sum(dim=1)
    assert count.min() >= 3 and count.float().mean() > few.present[:, 0].sum(dim=1).float().mean()
    assert (scenario == "billiards") or {3, 4, 5} >= set(count.tolist()) > {3}
    assert (many.visible[many.present] == 1).all()
    ranges, there = SCENARIOS[scenario].ranges, many.present[:, 0]
    speed = many.velocity[:, 0].norm(dim=-1)[there]
    assert speed.min() >= ranges.speed[0] - 1e-9 and speed.max() <= ranges.speed[1] + 1e-9
    assert not ((many.velocity[:, 0].norm(dim=-1) > ranges.fast) & (many.radius > ranges.large) & there).any()
    apart = torch.cdist(many.color, many.color) + torch.eye(many.color.shape[1])
    assert apart.min() > 0.5


def test_those_that_stand_by_touch_nobody() -> None:
    alone, collide = (tracks(name, "more", 64) for name in ("uniform", "collision"))
    assert alone.contact_s.isnan().all()
    assert collide.contact_s[:, :2].isfinite().all() and collide.contact_s[:, 2:].isnan().all()
    assert torch.allclose(alone.velocity[:, :1].expand_as(alone.velocity), alone.velocity, atol=1e-12, equal_nan=True)


def test_a_scenario_that_draws_no_more_discs_says_so() -> None:
    with pytest.raises(UserError, match=r"bounce/more/0: nothing draws more discs .* Scenario\.more"):
        clips("bounce", "more", 1)


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if SCENARIOS[name].goes_on])
def test_scenarios_that_go_on_have_clips_for_the_longest_horizon(scenario: str) -> None:
    true = tracks(scenario, count=6, num_frames=64)
    assert (true.visible[true.present] == 1).all()


def test_a_bouncing_disc_bounces() -> None:
    true = tracks("bounce", count=128)
    speed_down = true.velocity[:, :, 0, 1]
    bounces = (speed_down[:, 1:] < speed_down[:, :-1] - 1e-9).any(1)
    assert bounces.all()
    assert true.contact_s.isnan().all()  # the floor is no disc


def test_billiards_have_three_to_five_discs_and_keep_their_energy() -> None:
    true = tracks("billiards", count=128)
    assert sorted(true.present[:, 0].sum(1).unique().tolist()) == [3, 4, 5]
    energy = (true.mass[:, None] * true.velocity.square().sum(-1)).nansum(-1)
    assert torch.allclose(energy, energy[:, :1].expand_as(energy), atol=1e-9)
    assert (true.contact_s.isfinite().sum(1) > 0).double().mean() > 0.5


def test_occlusion_hides_discs_for_a_while() -> None:
    true = tracks("occlusion", count=256)
    hidden = (true.visible == 0) & true.present
    assert hidden[:, :, 0].any(1)[true.present[:, 0, 0]].all()
    assert not hidden.all(1).any()
    assert (true.present[:, 0].sum(1) == 0).any() and (true.present[:, 0].sum(1) == 2).any()


def test_the_objects_of_a_clip_differ_in_colour() -> None:
    colors = tracks("billiards").color
    apart = torch.cdist(colors, colors) + torch.eye(5)
    assert apart.min() > 0.5


def test_phyworlds_settings_are_its_own() -> None:
    uniform = tracks("phyworld_uniform", num_frames=32)
    assert (uniform.velocity[..., 1] == 0).all() and (uniform.velocity[..., 0] > 0).all()
    slow = uniform.velocity[:, 0, 0, 0] * 2.4 + 2 * uniform.radius[:, 0] < 10
    assert (uniform.visible[slow, :24] == 1).all()  # phyworld keeps 24 frames in view where it can
    assert uniform.visible[:, -1].min() < 1
    parabola = tracks("phyworld_parabola", num_frames=32)
    assert torch.allclose(parabola.velocity[..., 1].diff(dim=1) * 10, torch.tensor(2.5).double(), atol=1e-11)
    collision = tracks("phyworld_collision", num_frames=32)
    assert collision.contact_s.min() >= 0.8 - 1e-9 and collision.contact_s.max() <= 2.4 + 1e-9
    assert (collision.velocity[..., 1] == 0).all()


def test_tracks_without_contacts_know_none() -> None:
    true = tracks("uniform", count=3)
    read = Tracks(**{name: value for name, value in vars(true).items() if name != "contact_s"})
    assert read.contact_s.shape == (3, 1) and read.contact_s.isnan().all()
    assert read.at(slice(1, 3)).between(2, 5).contact_s.shape == (2, 1)


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="there is no scenario 'colision'; did you mean collision"):
        SimulatedClips("colision", "train")
    with pytest.raises(UserError, match="there is no split 'test'"):
        SimulatedClips("collision", "test")
    with pytest.raises(IndexError, match="clips 0 to 9, not 10"):
        SimulatedClips("collision", "train", length=10).clips([10])
    with pytest.raises(UserError, match="uniform/train/0: no clip fits"):
        SimulatedClips("uniform", "train", shape=ClipShape(num_frames=500)).clips([0])


@pytest.mark.slow
def test_frames_are_made_faster_than_training_takes_them() -> None:
    """At least 30,000 frames a second at 64 px with two discs; on a machine with nothing else to do."""
    source = SimulatedClips("collision", "train")
    best_s = float("inf")
    for start in range(0, 5120, 512):
        began = time.perf_counter()
        made = source.clips(range(start, start + 512))
        best_s = min(best_s, time.perf_counter() - began)
    assert made.frames.shape[0] * made.frames.shape[1] / best_s > 30_000
