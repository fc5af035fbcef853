"""Scenes from pixels: what the context shows is found again, how surely, and what it does not show is left open."""

import pytest
import torch

from vidworld.core.clip_shape import ClipShape
from vidworld.simulation import SCENARIOS
from vidworld.simulation.inference import EXPLAINED, infer
from vidworld.simulation.scenarios import GRAVITY, RESTITUTION, RESTITUTION_OUTSIDE
from vidworld.simulation.simulated import SimulatedClips
from vidworld.simulation.stage import sample_scenes
from vidworld.simulation.tracker import palette_index

CONTEXT, COUNT, SHAPE = 8, 12, ClipShape()
SCENARIOS_OF = ["uniform", "parabola", "bounce", "collision", "billiards", "occlusion"]


def scenes(scenario, split="id"):
    (found,) = sample_scenes(
        SCENARIOS[scenario], f"{scenario}/{split}/0", range(COUNT), SHAPE, split, torch.device("cpu")
    )
    return found


@pytest.fixture(scope="module")
def inferred():
    """By scenario, once."""
    found = {}

    def of(scenario):
        if scenario not in found:
            clips = SimulatedClips(scenario, "id").clips(range(COUNT))
            found[scenario] = clips, infer(clips.frames[:, :CONTEXT], clips.fps)
        return found[scenario]

    return of


def of_disc(posterior, clip, color):
    """Position, velocity and radius of the disc of this colour."""
    number = palette_index(posterior.seen.color[clip].float())
    (disc,) = ((number == palette_index(color[None].float())) & posterior.seen.present[clip]).nonzero()[:, 0].tolist()
    return posterior.theta[clip, 5 * disc : 5 * disc + 5]


@pytest.mark.parametrize("scenario", SCENARIOS_OF)
def test_the_state_of_every_disc_is_found(inferred, scenario):
    _, posterior = inferred(scenario)
    true, seen = scenes(scenario), 0
    assert bool((posterior.cost < EXPLAINED).all())
    for clip in range(COUNT):
        if int(posterior.frame[clip]):
            continue  # its first frames were left out: it starts from a later state
        for disc in true.present[clip].nonzero()[:, 0].tolist():
            found = of_disc(posterior, clip, true.color[clip, disc])
            assert found[:2].tolist() == pytest.approx(true.position[clip, disc].tolist(), abs=0.05)
            assert found[2:4].tolist() == pytest.approx(true.velocity[clip, disc].tolist(), abs=0.15)
            assert float(found[4]) == pytest.approx(float(true.radius[clip, disc]), abs=0.02)
            seen += 1
    assert seen >= COUNT / 2


@pytest.mark.parametrize("scenario", SCENARIOS_OF)
def test_gravity_is_told_from_the_pixels(inferred, scenario):
    _, posterior = inferred(scenario)
    assert set(posterior.gravity.tolist()) == {GRAVITY if scenario in ("parabola", "bounce") else 0.0}


def test_screens_and_blocks_are_found_to_a_fraction_of_a_pixel(inferred):
    _, posterior = inferred("occlusion")
    true, seen = scenes("occlusion"), posterior.seen
    for clip in range(COUNT):
        for found, boxes in ((seen.screens, true.screens), (seen.blocks, true.blocks)):
            there = [sorted(box for box in each[clip].tolist() if any(box)) for each in (found, boxes)]
            assert len(there[0]) == len(there[1])
            for one, other in zip(*there, strict=True):
                assert one == pytest.approx(other, abs=0.05 * SHAPE.pixel)


@pytest.mark.parametrize("split", ["id", "ood"])
def test_a_restitution_is_known_after_a_contact_and_drawn_from_its_range_before(split):
    clips, true = SimulatedClips("bounce", split).clips(range(COUNT)), scenes("bounce", split)
    posterior = infer(clips.frames[:, :CONTEXT], clips.fps)
    level = torch.linspace(0.01, 0.99, 50, dtype=torch.float64).expand(COUNT, -1)
    drawn = posterior.draw(torch.zeros(COUNT, 50, posterior.theta.shape[1], dtype=torch.float64), level)[..., -1]
    fall, height = true.velocity[:, 0, 1], SHAPE.height - true.radius[:, 0] - true.position[:, 0, 1]
    contact_s = ((fall.square() + 2 * GRAVITY * height).sqrt() - fall) / GRAVITY
    seen, unseen = contact_s < 0.55, contact_s > 0.72  # two frames of the context after it, or none
    assert seen.any() and unseen.any()
    assert bool(((drawn[seen] - true.restitution[seen, None]).abs() < 0.1).all())
    low, high = RESTITUTION if split == "id" else RESTITUTION_OUTSIDE
    assert bool((drawn[unseen].amin(dim=1) < low + 0.02).all())
    assert bool((drawn <= high + 1e-9).all()) and bool((drawn >= low - 1e-9).all())
    impact = fall + GRAVITY * contact_s
    highest = (2 * GRAVITY * (SHAPE.height - 2 * true.radius[:, 0])).sqrt() / impact  # it rebounds within the picture
    expected = highest.clamp(max=high)[unseen]
    assert drawn[unseen].amax(dim=1).tolist() == pytest.approx(expected.tolist(), abs=0.03)


def test_what_is_inferred_does_not_depend_on_the_batch(inferred):
    clips, posterior = inferred("collision")
    alone = infer(clips.frames[3:4, :CONTEXT], clips.fps)
    assert alone.theta[0].tolist() == pytest.approx(posterior.theta[3].tolist(), abs=1e-6)


def test_an_empty_picture_holds_nothing():
    frames = torch.full((2, CONTEXT, 3, 64, 64), 20, dtype=torch.uint8)
    posterior = infer(frames, 10.0)
    assert not posterior.seen.present.any() and not posterior.seen.screens.any()
    assert posterior.positions(posterior.theta[:, None], 8).isfinite().all()


def test_specks_that_look_like_a_disc_wedged_in_do_not_end_it():
    clips = SimulatedClips("occlusion", "id", nuisance=1).clips(range(10, 11))
    found = infer(clips.frames[:, :CONTEXT], clips.fps)
    assert found.theta.isfinite().all() and found.cost > EXPLAINED
