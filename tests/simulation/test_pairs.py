"""Quadruplets that no cue tells: A and B differ in which disc is where, and in nothing that a picture sums up."""

from functools import cache

import pytest
import torch
from torch import Tensor

from vidworld.core.clip import Clips, Tracks
from vidworld.simulation import LAWS
from vidworld.simulation.quadruplets import Quadruplets, layout_of, quadruplets

COUNT, SPLICE, CONTACT = 48, 8, 7
HIDDEN = ("permanence", "constancy", "continuity", "solidity")
EVERY = [law for law in LAWS if f"legacy_{law}" in LAWS]  # two discs and their companion; another law is its own


@cache
def made(law: str, split: str = "id") -> Quadruplets:
    return quadruplets(law, split, 0, range(COUNT))


def both(law: str, split: str = "id") -> tuple[Tracks, Tracks]:
    def tracks(clips: Clips) -> Tracks:
        assert clips.tracks is not None
        return clips.tracks

    return tracks(made(law, split).a), tracks(made(law, split).b)


def swapped(values: Tensor) -> Tensor:
    """The first two objects in each other's place."""
    return values[:, :, [1, 0, 2]]


@pytest.mark.thorough
@pytest.mark.parametrize("law", EVERY)
@pytest.mark.parametrize("split", ["id", "ood"])
def test_the_discs_and_the_companion_are_the_same_in_both(law: str, split: str) -> None:
    a, b = both(law, split)
    for name in ("radius", "color", "mass"):
        assert torch.equal(getattr(a, name), getattr(b, name))
    assert torch.allclose(a.position[:, :, 2], b.position[:, :, 2], atol=1e-9)
    assert a.present.all() and b.present.all()
    assert (a.color[:, [0, 0, 1]] != a.color[:, [1, 2, 2]]).any(-1).all()


@pytest.mark.parametrize("law", EVERY)
def test_the_companion_is_seen_in_one_half_and_hides_in_the_other(law: str) -> None:
    visible = both(law)[0].visible[:, :, 2]
    past, future = visible[:, : SPLICE - 2].mean(1), visible[:, SPLICE + 2 :].mean(1)
    goes_in = past > future
    assert 0.25 < goes_in.double().mean() < 0.75
    assert (torch.where(goes_in, past, future) > 0.6).all()
    assert (visible[:, 0] + visible[:, -1] == 1).all()
    assert torch.where(goes_in, future, past).mean() < 0.25


@pytest.mark.parametrize("law", HIDDEN)
@pytest.mark.parametrize("split", ["id", "ood"])
def test_hidden_discs_change_places(law: str, split: str) -> None:
    a, b = both(law, split)
    assert torch.allclose(a.position, swapped(b.position), atol=1e-9)
    assert torch.equal(a.radius[:, 0], a.radius[:, 1])
    assert torch.allclose(a.velocity[:, 0, 0].norm(dim=-1), a.velocity[:, 0, 1].norm(dim=-1))
    for one in (a, b):
        assert (one.visible[:, SPLICE - 1 : SPLICE + 1, :2] == 0).all()
        assert (one.visible[:, : SPLICE - 1, :2].amax(1) > 0.4).all()


@pytest.mark.parametrize("law", ["constancy", "continuity"])
def test_both_discs_are_in_view_as_long_and_come_out_soon(law: str) -> None:
    """Before the splice or after it: how long each colour is seen ties then, whatever the other half shows."""
    a, _ = both(law)
    unlike = [(half[:, :, 0] - half[:, :, 1]).abs().amax(1) for half in (a.visible[:, :SPLICE], a.visible[:, SPLICE:])]
    assert torch.minimum(*unlike).max() < 2e-3
    assert (a.visible[:, SPLICE:12, :2].amax(1) > 0).double().mean() > 0.9


def test_permanence_lets_one_come_out_and_keeps_the_other() -> None:
    for first, second, tracks in ((0, 1, both("permanence")[0]), (1, 0, both("permanence")[1])):
        assert (tracks.visible[:, SPLICE:, first].amax(1) > 0.9).all()
        assert (tracks.visible[:, SPLICE:, second] == 0).all()
        assert torch.allclose(tracks.visible[:, :SPLICE, 0], tracks.visible[:, :SPLICE, 1], atol=2e-3)


def test_continuity_lets_the_first_cross_the_gap_in_the_past_and_the_second_in_the_future() -> None:
    a, _ = both("continuity")
    ahead = ((a.position[:, 0, 1] - a.position[:, 0, 0]) * a.velocity[:, 0, 0])[:, 0]
    assert (ahead > 0).all()  # in A the second disc leads
    start, end = a.position[:, 0, 1, 0], a.position[:, -1, 0, 0]
    assert ((end - start) * a.velocity[:, 0, 0, 0] < 0).logical_or((end - start).abs() < 4).all()


def test_solidity_turns_back_discs_that_meet_and_lets_others_pass() -> None:
    a, b = both("solidity")
    meets = torch.tensor([layout_of(identity) == "meeting" for identity in made("solidity").identity])
    for one in (a, b):
        turned = (one.velocity[:, 0, :2, 0] + one.velocity[:, -1, :2, 0]).abs() < 1e-9
        assert torch.equal(turned.all(1), meets) and torch.equal(turned.any(1), meets)
        assert torch.equal(one.contact_s[:, :2].isfinite().all(1), meets)
    assert meets.double().mean() == 0.5
    apart = (a.position[:, 0, 0, 1] - a.position[:, 0, 1, 1]).abs()
    assert (apart[meets] < 1e-9).all() and (apart[~meets] > 2 * a.radius[~meets, 0]).all()


@pytest.mark.parametrize("law", ["momentum", "collision"])
@pytest.mark.parametrize("split", ["id", "ood"])
def test_in_the_open_momentum_and_energy_are_the_same(law: str, split: str) -> None:
    a, b = both(law, split)
    assert torch.allclose(a.position[:, CONTACT], b.position[:, CONTACT], atol=1e-6)
    of_both = [(each.mass[:, None, :2, None], each.velocity[:, :, :2]) for each in (a, b)]
    momenta, energies = zip(*((mass * v, mass * v * v) for mass, v in of_both), strict=True)
    assert torch.allclose(momenta[0].sum(2), momenta[1].sum(2), atol=1e-9)
    assert torch.allclose(energies[0].sum((2, 3)), energies[1].sum((2, 3)), atol=1e-9)
    assert (a.visible[:, :, :2] == 1).all() and (b.visible[:, :, :2] == 1).all()
    assert a.contact_s[:, 2].isnan().all() and b.contact_s[:, 2].isnan().all()


def test_momentum_exchanges_velocities_of_discs_that_never_touch() -> None:
    a, b = both("momentum")
    assert torch.allclose(a.velocity[:, :, [1, 0]], b.velocity[:, :, :2])
    assert ((a.velocity[:, 0, 0] - a.velocity[:, 0, 1]).norm(dim=-1) >= 1.5).all()
    assert a.contact_s.isnan().all() and b.contact_s.isnan().all()
    apart = a.position[:, CONTACT, 0] - a.position[:, CONTACT, 1]
    assert ((apart * (a.velocity[:, 0, 0] - a.velocity[:, 0, 1])).sum(-1).abs() < 1e-6).all()  # nearest there


def test_collision_comes_from_one_side_so_that_straight_on_is_as_far_from_either() -> None:
    a, b = both("collision")
    normal = a.position[:, CONTACT, 1] - a.position[:, CONTACT, 0]
    tangent = torch.stack([-normal[:, 1], normal[:, 0]], dim=-1)
    sides, outcomes = [], []
    for one in (a, b):
        assert torch.allclose(one.contact_s[:, :2], torch.full((COUNT, 2), CONTACT / 10, dtype=torch.float64))
        relative = one.velocity[:, :, 0] - one.velocity[:, :, 1]
        sides.append((relative[:, 0] * tangent).sum(-1).sign())
        outcomes.append((relative[:, 0], relative[:, -1]))
    assert torch.equal(*sides)
    (in_a, out_a), (in_b, out_b) = outcomes
    right_a = (in_a - out_a).norm(dim=-1) < (in_b - out_a).norm(dim=-1)
    right_b = (in_b - out_b).norm(dim=-1) < (in_a - out_b).norm(dim=-1)
    assert (right_a ^ right_b).all()


@pytest.mark.parametrize("law", EVERY)
@pytest.mark.parametrize("shape", [{"num_frames": 24}, {"fps": 8.0}, {"height_px": 32, "width_px": 32}])
def test_other_shapes_fit(law: str, shape: dict[str, int]) -> None:
    from vidworld.core.clip_shape import ClipShape

    four = quadruplets(law, "val", 3, [5], shape=ClipShape(**shape))
    assert len(four) == 1
