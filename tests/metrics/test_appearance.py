"""Metrics of pictures by hand: what a disc, a scene or a screen loses is what the metric says it has lost."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.calibration import ErrorScene, other_speed, vanished
from vidworld.evaluation.pictures import scene_of
from vidworld.metrics import METRICS
from vidworld.simulation.simulated import BACKGROUND, base_pictures

START, SHAPE = 8, ClipShape()
SCENES = {name: ErrorScene.of(name, range(6), SHAPE) for name in ("uniform", "occlusion", "billiards")}
NAMES = ("object_integrity", "static_scene_error", "hidden_visible")


def measured(scene, frames):
    """The three metrics of these frames of the whole clip."""
    pictures = scene.pictures(frames[:, START:], START)
    return {name: METRICS[name].function(pictures) for name in NAMES}


@pytest.mark.parametrize("scenario", SCENES)
def test_the_truth_is_whole_still_and_hidden(scenario):
    found = measured(SCENES[scenario], SCENES[scenario].true_frames)
    # In a picture of 64 pixels a tracker is right to a hundredth of one, and bytes are rounded.
    assert np.nanmin(found["object_integrity"]) > 0.98
    assert found["static_scene_error"].max() < 2  # a sliver of a disc that is almost hidden belongs to nothing
    assert np.nanmax(found["hidden_visible"], initial=0.0) < 1e-3
    assert np.isfinite(found["hidden_visible"]).any() == (scenario == "occlusion")


@settings(max_examples=5)
@given(st.floats(-60, 60))
def test_a_disc_at_another_place_is_as_whole(percent):
    """Also where it is partly out of the picture."""
    scene = SCENES["uniform"]
    elsewhere = measured(scene, scene.render(other_speed(scene.truth, percent, SHAPE.dt_s, START)))
    assert elsewhere["object_integrity"].min() > 0.95
    assert elsewhere["static_scene_error"].max() < 2


def test_a_disc_half_behind_a_screen_is_judged_by_what_shows():
    """The truth is in the open, the prediction passes a screen late: no fault of how it looks."""
    scene = SCENES["occlusion"]
    late = scene.render(other_speed(scene.truth, -30.0, SHAPE.dt_s, START))
    found = scene.pictures(late[:, START:], START)
    counted = (scene.truth.visible >= 0.999)[:, START:] & scene.truth.present[:, START:]
    there = found.predicted.position[:, START:, :2].isfinite().all(-1) & counted
    assert float(found.intact[there].min()) > 0.9
    assert measured(scene, late)["static_scene_error"].max() < 3


def test_a_frozen_picture_is_perfect():
    scene = SCENES["billiards"]
    context = scene.true_frames[:, :START]
    frozen = torch.cat([context, context[:, -1:].expand(-1, 8, -1, -1, -1)], dim=1)
    assert measured(scene, frozen)["object_integrity"].min() > 0.95


def test_what_is_missing_counts_as_all_wrong():
    scene = SCENES["uniform"]
    gone = measured(scene, scene.render(vanished(scene.truth, 50.0, SHAPE.dt_s, START)))
    assert gone["object_integrity"][:3].tolist() == [0, 0, 0] and gone["object_integrity"][3:].min() > 0.98
    assert gone["static_scene_error"].max() < 0.2  # where it was there is background, as there should be


def test_a_larger_disc_costs_its_area_and_a_paler_one_its_distance():
    scene = SCENES["uniform"]
    larger = scene.render(replace(scene.truth, radius=scene.truth.radius * 1.2))
    found = measured(scene, larger)["object_integrity"]
    assert found == pytest.approx(np.full(6, 1 - 0.44), abs=0.03)
    true = scene.true_frames.float()
    paler = (true + 0.25 * (BACKGROUND * 255 - true)).round().to(torch.uint8)  # a quarter of the way to the background
    assert measured(scene, paler)["object_integrity"] == pytest.approx(np.full(6, 0.75), abs=0.02)


def test_a_brighter_background_is_off_by_so_many_levels():
    scene = SCENES["uniform"]
    brighter = (scene.true_frames.int() + 7).clamp(max=255).to(torch.uint8)
    assert measured(scene, brighter)["static_scene_error"] == pytest.approx(np.full(6, 7.0), abs=0.1)


def test_a_piece_that_belongs_to_no_disc_is_an_error_of_the_scene():
    scene = SCENES["uniform"]
    frames = scene.true_frames.clone()
    corner = frames[:, START:, :, :6, :6]
    alone = (scene.true_frames[:, :, :, :12, :12].flatten(1).amax(dim=1) <= 21).numpy()
    corner[:] = torch.tensor([20, 20, 90], dtype=torch.uint8)[:, None, None]
    found = measured(scene, frames)
    disc = measured(scene, scene.true_frames)["object_integrity"]
    least = np.sqrt(36 * 70**2 / 3 / 64**2)  # over all pixels, of which those of the disc do not count
    assert alone.any() and np.all(found["static_scene_error"][alone] > least)
    assert found["object_integrity"][alone] == pytest.approx(disc[alone], abs=0.01)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_what_shows_through_a_screen_is_its_share(share):
    scene = SCENES["occlusion"]
    through = scene.true_frames.float()
    ink = scene.without_screens().true_frames.float() - scene.without_screens().empty
    hidden = ink - (through - scene.empty)
    # A disc's colour in place of the screen's grey, for what share of it the disc's ink lets one see.
    color = scene.truth.color
    for i in range(color.shape[1]):
        lone = replace(scene.truth, position=scene.truth.position.clone())
        lone.position[:, :, torch.arange(color.shape[1]) != i] = torch.nan
        area = (scene.without_screens().render(lone).float() - scene.without_screens().empty).sum(dim=2, keepdim=True)
        area = area / (255 * (color[:, i] - BACKGROUND).sum(dim=1))[:, None, None, None, None]
        behind = area * (hidden.abs().amax(dim=2, keepdim=True) > 0)
        through = through + share * behind * (255 * color[:, None, i, :, None, None] - through)
    found = measured(scene, through.round().clamp(0, 255).to(torch.uint8))["hidden_visible"]
    assert np.nanmean(found) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("scenario", SCENES)
def test_the_scene_is_what_the_simulator_draws_without_discs(scenario):
    scene = SCENES[scenario]
    plate, opacity = scene_of(scene.true_frames, scene.truth)
    base = base_pictures(scene.scenes.screens, scene.scenes.blocks, SHAPE.pixel, SHAPE)
    assert torch.equal(plate.round().to(torch.uint8), base)
    assert torch.equal(opacity > 0.99, base[:, 0] >= 127)


def test_a_disc_that_never_moves_leaves_a_background():
    scene = SCENES["uniform"]
    still = replace(scene.truth, position=scene.truth.position[:, :1].expand(-1, 16, -1, -1))
    plate, opacity = scene_of(scene.render(still), still)
    assert torch.equal(plate.round(), torch.full_like(plate, 20.0)) and float(opacity.max()) < 0.02
