"""Planted faults: a size of 0 changes nothing, any other changes the horizon alone, and pictures show it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.calibration import INJECTED_ERRORS, ErrorScene
from vidworld.metrics import METRICS
from vidworld.simulation.simulated import SimulatedClips

CLIPS, START = 12, 8
SETTING = ClipShape(height_px=32, width_px=32)
SCENES = {name: ErrorScene.of(name, range(CLIPS), SETTING) for name in {fault.scenario for fault in INJECTED_ERRORS}}
by_name = pytest.mark.parametrize("fault", INJECTED_ERRORS, ids=lambda fault: fault.name)


def same(a, b):
    """Equal to the bit, also where both are NaN."""
    return torch.equal(a.nan_to_num(-1e9), b.nan_to_num(-1e9))


def planted(fault, size):
    return fault.plant(SCENES[fault.scenario].truth, size, SETTING.dt_s, START)


@pytest.mark.parametrize("scenario", sorted(SCENES))
def test_a_scene_is_the_clips_of_its_numbers(scenario):
    clips = SimulatedClips(scenario, "id", 0, CLIPS, shape=ClipShape(height_px=32, width_px=32)).clips(range(CLIPS))
    scene = SCENES[scenario]
    assert same(scene.truth.position, clips.tracks.position)
    assert torch.equal(scene.render(scene.truth), clips.frames)


@by_name
def test_no_size_changes_nothing(fault):
    truth, found = SCENES[fault.scenario].truth, planted(fault, 0.0)
    objects = truth.present.shape[2]
    assert torch.allclose(
        found.position[:, :, :objects].nan_to_num(-1.0), truth.position.nan_to_num(-1.0), rtol=0, atol=1e-12
    )
    assert not found.position[:, :, objects:].isfinite().any()
    assert torch.equal(SCENES[fault.scenario].render(found), SCENES[fault.scenario].render(truth))


@by_name
@given(st.floats(0.1, 1.0))
@settings(max_examples=5)
def test_a_fault_changes_the_horizon_and_nothing_before(fault, share):
    truth, found = SCENES[fault.scenario].truth, planted(fault, share * fault.sizes[-1])
    objects = truth.present.shape[2]
    assert same(found.position[:, :START, :objects], truth.position[:, :START])
    assert not found.position[:, :START, objects:].isfinite().any()
    assert not same(found.position[:, START:, :objects], truth.position[:, START:]) or (
        found.position[:, START:, objects:].isfinite().any()
    )


@by_name
def test_a_fault_is_seen_in_pictures_of_the_horizon_alone(fault):
    scene = SCENES[fault.scenario]
    difference = (scene.render(planted(fault, fault.sizes[-1])) != scene.render(scene.truth)).flatten(2).any(dim=2)
    assert not difference[:, :START].any()
    assert difference[:, START:].any()


def test_discs_pushed_into_each_other_do_not_overflow():
    """Where two discs overlap no channel is darker than either of them."""
    fault = next(fault for fault in INJECTED_ERRORS if fault.name == "late contact")
    scene, late = SCENES["collision"], planted(fault, 4.0)
    together = scene.render(late)
    for i in range(2):
        alone = late.position.clone()
        alone[:, :, 1 - i] = torch.nan
        one = scene.render(type(late)(**{**vars(late), "position": alone}))
        assert bool((together >= one).all())


def test_sizes_rise_and_are_enough_for_a_rank_correlation():
    for fault in INJECTED_ERRORS:
        assert len(fault.sizes) >= 5
        assert sorted(set(fault.sizes)) == list(fault.sizes) and fault.sizes[0] > 0


def test_every_metric_of_tracks_stands_under_a_fault_that_its_scenario_has():
    met = {metric for fault in INJECTED_ERRORS for metric in fault.metrics}
    assert met == {metric.name for metric in METRICS.values() if metric.takes in ("tracks", "samples")}
    for fault in INJECTED_ERRORS:
        for metric in fault.metrics:
            assert fault.scenario in METRICS[metric].scenarios
