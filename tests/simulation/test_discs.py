"""The simulation is exact: conservation, contacts, walls, rest."""

import math

import pytest
import torch
from disc_scenes import BOX, FLOOR, energy, make_scenes, momentum
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vidworld.simulation.discs import Scenes, simulate

TIMES_S = torch.arange(32, dtype=torch.float64) / 10


@st.composite
def crowds(draw: st.DrawFn, gravity: bool = False) -> Scenes:
    """Sixteen worlds of two to nine discs of any size and velocity, in the cells of a grid: none overlap."""
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(2, 9))
    fastest = draw(st.sampled_from([0.1, 3.0, 6.0]))

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(16, *shape, generator=random, dtype=torch.float64)

    cell = torch.stack([torch.randperm(9, generator=random)[:count] for _ in range(16)])
    radius = uniform(0.2, 10 / 6, count)
    middle = (torch.stack([cell % 3, cell // 3], dim=-1) + 0.5) * 10 / 3
    one = make_scenes([[0.0, 0.0]] * count, [[0.0, 0.0]] * count, [1.0] * count, walls=BOX)
    scenes = {name: value.repeat(16, *[1] * (value.ndim - 1)) for name, value in vars(one).items()}
    scenes["position"] = middle + uniform(-1, 1, count, 2) * (10 / 6 - radius[..., None])
    scenes["velocity"] = uniform(-fastest, fastest, count, 2)
    scenes["radius"], scenes["mass"] = radius, uniform(0.5, 2, count) * radius**2
    scenes["gravity"] = uniform(0, 5) * gravity
    return Scenes(**scenes)


@settings(max_examples=5)
@given(crowds())
def test_energy_is_conserved_between_walls(scenes: Scenes) -> None:
    motion = simulate(scenes, TIMES_S)
    drift = energy(scenes, motion) - energy(scenes, motion)[:, :1]
    assert float(drift.abs().max()) <= 1e-9


@settings(max_examples=5)
@given(crowds(gravity=True))
def test_energy_is_conserved_under_gravity(scenes: Scenes) -> None:
    motion = simulate(scenes, TIMES_S)
    drift = energy(scenes, motion) - energy(scenes, motion)[:, :1]
    assert float(drift.abs().max()) <= 1e-9


@settings(max_examples=8)
@given(crowds())
def test_momentum_is_conserved_without_walls(scenes: Scenes) -> None:
    free = Scenes(**{**vars(scenes), "walls": scenes.walls[:, :0]})
    motion = simulate(free, TIMES_S)
    drift = momentum(free, motion) - momentum(free, motion)[:, :1]
    assert float(drift.abs().max()) <= 1e-9


@settings(max_examples=5)
@given(crowds())
def test_discs_enter_neither_each_other_nor_the_walls(scenes: Scenes) -> None:
    position = simulate(scenes, torch.linspace(0, 3.1, 125, dtype=torch.float64)).position
    radius = scenes.radius[:, None]
    apart = (position[:, :, :, None] - position[:, :, None]).norm(dim=-1) - radius[..., None] - radius[..., None, :]
    apart = apart + torch.eye(radius.shape[2]) * 100
    assert float(apart.min()) >= -1e-9
    assert float((position - radius[..., None]).min()) >= -1e-9
    assert float((position + radius[..., None]).max()) <= 10 + 1e-9


def test_head_on_contact_of_equal_discs_swaps_their_velocities() -> None:
    scenes = make_scenes([[2.0, 5.0], [8.0, 5.0]], [[2.0, 0.0], [-1.0, 0.0]], [1.0, 1.0])
    motion = simulate(scenes, TIMES_S)
    contact_s = 4.0 / 3.0
    assert motion.contact_s[0].tolist() == pytest.approx([contact_s, contact_s])
    before, after = motion.velocity[0, :14], motion.velocity[0, 14:]
    assert torch.allclose(before, torch.tensor([[2.0, 0.0], [-1.0, 0.0]], dtype=torch.float64).expand_as(before))
    assert torch.allclose(after, torch.tensor([[-1.0, 0.0], [2.0, 0.0]], dtype=torch.float64).expand_as(after))


def test_velocity_in_the_frame_of_a_contact_is_the_one_after() -> None:
    scenes = make_scenes([[2.0, 5.0], [6.0, 5.0]], [[2.0, 0.0], [0.0, 0.0]], [1.0, 1.0])
    motion = simulate(scenes, TIMES_S)  # the contact is at 1.0 s, frame 10
    assert motion.velocity[0, 9, 0].tolist() == [2.0, 0.0]
    assert motion.velocity[0, 10, 0].tolist() == pytest.approx([0.0, 0.0])


def test_restitution_scales_the_closing_speed() -> None:
    scenes = make_scenes([[2.0, 5.0], [8.0, 5.3]], [[2.0, 0.0], [-1.0, 0.0]], [1.0, 0.7], restitution=0.6)
    motion = simulate(scenes, TIMES_S)
    normal = motion.position[0, :, 0] - motion.position[0, :, 1]
    contact = torch.tensor([float(motion.contact_s[0, 0])], dtype=torch.float64)
    normal = simulate(scenes, contact).position[0, 0]
    normal = (normal[0] - normal[1]) / (normal[0] - normal[1]).norm()
    closing = (motion.velocity[0, 0, 0] - motion.velocity[0, 0, 1]) @ normal
    leaving = (motion.velocity[0, -1, 0] - motion.velocity[0, -1, 1]) @ normal
    assert float(-leaving / closing) == pytest.approx(0.6, abs=1e-12)


def test_free_fall_and_bounce_against_the_formula() -> None:
    gravity, drop, restitution = 4.0, 3.0, 0.8
    scenes = make_scenes([[5.0, 6.0]], [[0.5, 0.0]], [1.0], gravity, restitution, FLOOR)
    motion = simulate(scenes, TIMES_S)
    first = math.sqrt(2 * drop / gravity)
    flight = 2 * restitution * math.sqrt(2 * drop / gravity)
    for i, t in enumerate(TIMES_S.tolist()):
        since = t - first
        if since < 0:
            height = drop - gravity * t * t / 2
        elif since < flight:
            height = restitution * gravity * first * since - gravity * since * since / 2
        else:
            continue
        assert float(9.0 - motion.position[0, i, 0, 1]) == pytest.approx(height, abs=1e-12)
        assert float(motion.position[0, i, 0, 0]) == pytest.approx(5 + 0.5 * t, abs=1e-12)


def test_a_disc_that_loses_energy_comes_to_rest_on_the_floor() -> None:
    scenes = make_scenes([[5.0, 8.9]], [[1.0, 0.0]], [1.0], 5.0, 0.3, FLOOR)
    motion = simulate(scenes, TIMES_S)
    assert motion.position[0, -1, 0, 1] == 9.0
    assert motion.velocity[0, -1, 0].tolist() == [1.0, 0.0]


def test_a_disc_that_lies_on_the_floor_stays() -> None:
    scenes = make_scenes([[5.0, 9.0]], [[0.0, 0.0]], [1.0], 5.0, 0.9, FLOOR)
    motion = simulate(scenes, TIMES_S)
    assert torch.equal(motion.position, scenes.position[:, None].expand_as(motion.position))


def test_simultaneous_contacts_are_all_resolved() -> None:
    """Two discs reach one at rest between them at the same time, then two walls at the same time."""
    scenes = make_scenes(
        [[2.0, 5.0], [5.0, 5.0], [8.0, 5.0]], [[2.0, 0.0], [0.0, 0.0], [-2.0, 0.0]], [0.5, 0.5, 0.5], walls=BOX
    )
    motion = simulate(scenes, TIMES_S)
    assert motion.contact_s[0].tolist() == [1.0, 1.0, 1.0]
    assert torch.allclose(motion.velocity[0, 15], -scenes.velocity[0])
    assert torch.allclose(motion.velocity[0, -1], scenes.velocity[0])  # after the walls at 2.75 s


def test_a_row_of_touching_discs_passes_the_blow_on() -> None:
    scenes = make_scenes([[1.0, 5.0], [4.0, 5.0], [5.0, 5.0], [6.0, 5.0]], [[2.0, 0.0]] + [[0.0, 0.0]] * 3, [0.5] * 4)
    motion = simulate(scenes, TIMES_S)
    assert torch.allclose(motion.velocity[0, -1, :, 0], torch.tensor([0, 0, 0, 2.0], dtype=torch.float64))


@pytest.mark.parametrize("offset", [2.0, 2.0 - 1e-13, 2.0 + 1e-13, 2.0 - 1e-9])
def test_grazing_discs_go_on(offset: float) -> None:
    scenes = make_scenes([[2.0, 4.0], [5.0, 4.0 + offset]], [[2.0, 0.0], [0.0, 0.0]], [1.0, 1.0])
    motion = simulate(scenes, TIMES_S)
    assert torch.allclose(motion.velocity[0, -1], scenes.velocity[0], atol=1e-3)


def test_absent_discs_are_not_there() -> None:
    scenes = make_scenes([[2.0, 5.0], [5.0, 5.0]], [[2.0, 0.0], [0.0, 0.0]], [1.0, 1.0], walls=BOX)
    alone = Scenes(**{**vars(scenes), "present": torch.tensor([[True, False]])})
    motion = simulate(alone, TIMES_S[:16])
    assert motion.contact_s.isnan().all()
    assert motion.velocity[0, -1, 0].tolist() == [2.0, 0.0]


def test_several_discs_may_not_come_to_rest_under_gravity() -> None:
    scenes = make_scenes([[2.0, 5.0], [8.0, 5.0]], [[0.0, 0.0]] * 2, [1.0, 1.0], 5.0, 0.5, FLOOR)
    with pytest.raises(ValueError, match="restitution 1"):
        simulate(scenes, TIMES_S)


def test_clips_of_a_batch_do_not_disturb_each_other() -> None:
    scenes = [
        make_scenes([[2.0, 5.0], [8.0, 5.0]], [[2.0, 0.3], [-3.0, 0.0]], [1.0, 1.0], walls=BOX),
        make_scenes([[2.0, 5.0], [8.0, 8.0]], [[0.1, 0.0], [-3.0, 5.0]], [0.6, 1.0], walls=BOX),
    ]
    both = Scenes(**{k: torch.cat([getattr(w, k) for w in scenes]) for k in vars(scenes[0])})
    together = simulate(both, TIMES_S)
    for i, scene in enumerate(scenes):
        alone = simulate(scene, TIMES_S)
        assert torch.equal(alone.position[0], together.position[i])
        assert torch.equal(alone.velocity[0], together.velocity[i])
