"""Errors of the picture: they change the horizon alone, each lowers a headline metric, and none raises any."""

from functools import cache

import numpy as np
import pytest
import torch

from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.calibration import ErrorScene
from vidworld.evaluation.picture_errors import PICTURE_ERRORS
from vidworld.metrics import METRICS

CLIPS, START = 6, 8
SETTING = ClipShape(height_px=48, width_px=48)
by_name = pytest.mark.parametrize("error", PICTURE_ERRORS, ids=lambda error: error.name)


@cache
def scene_of(scenario):
    return ErrorScene.of(scenario, range(CLIPS), SETTING)


@cache
def measured(scenario, error, size):
    """The mean of every headline metric of rollouts in the scenario, turned so that more is better."""
    scene = scene_of(scenario)
    pictures = scene.pictures(error.frames(scene, size, START)[:, START:], START)
    found = {}
    for metric in METRICS.values():
        if not metric.headline or scenario not in metric.scenarios or metric.takes not in ("tracks", "pictures"):
            continue
        given = (pictures,) if metric.takes == "pictures" else (pictures.predicted, scene.truth, SETTING.dt_s, START)
        found[metric.name] = float(np.nanmean(metric.function(*given))) * (1 if metric.higher_is_better else -1)
    return found


@by_name
def test_no_size_changes_nothing(error):
    scene = scene_of(error.scenario)
    assert torch.equal(error.frames(scene, 0.0, START), scene.true_frames)


@by_name
def test_an_error_changes_the_horizon_and_nothing_before(error):
    scene = scene_of(error.scenario)
    changed = (error.frames(scene, error.sizes[-1], START) != scene.true_frames).flatten(2).any(dim=2)
    assert not changed[:, :START].any() and changed[:, START:].any()


@pytest.mark.thorough
@by_name
def test_each_size_costs_more_by_every_metric_that_is_to_see_it(error):
    values = [measured(error.scenario, error, size) for size in (0.0, *error.sizes)]
    assert len(error.sizes) == 5 and len(error.metrics) >= 1
    for metric in error.metrics:
        assert METRICS[metric].headline
        assert all(np.diff([found[metric] for found in values]) < 0), metric


UNFELT = {
    # Places are read to a hundredth of a pixel, and by so little an error of the picture may move them either way.
    "object_integrity": 1e-4,
    "velocity_error": 0.03, "outgoing_velocity_error": 0.03, "restitution_error": 0.03, "momentum_drift": 0.01,
    "reappearance_error": 0.02, "contact_time_error": 0.03,
}  # fmt: skip


@by_name
def test_no_headline_metric_gains(error):
    none, *wrong = (measured(error.scenario, error, size) for size in (0.0, *error.sizes))
    for found in wrong:
        for metric, value in found.items():
            assert value <= none[metric] + UNFELT.get(metric, 1e-6), metric


def test_every_metric_of_pictures_stands_under_an_error_that_its_scenario_has():
    assert {name for error in PICTURE_ERRORS for name in error.metrics} == {
        metric.name for metric in METRICS.values() if metric.takes == "pictures"
    }
    for error in PICTURE_ERRORS:
        assert list(error.sizes) == sorted(set(error.sizes)) and error.sizes[0] > 0
        assert all(error.scenario in METRICS[name].scenarios for name in error.metrics)


def test_every_scenario_has_an_integrity_metric_for_a_headline():
    scenarios = {name for metric in METRICS.values() if metric.takes == "tracks" for name in metric.scenarios}
    assert scenarios == set(METRICS["object_integrity"].scenarios) and METRICS["object_integrity"].headline
