"""Landscapes of energy: lowest where the true action is, flat where actions are dropped; in results and on the page."""

import numpy as np
import pytest
from acting import CHUNK, POINT, SIDE, DeafWorld, PointWorld, point_evaluator

from vidworld.core.clip_shape import ClipShape
from vidworld.models.external import ExternalModel
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.planning.checks import landscape_of_model, landscape_of_simulator
from vidworld.planning.episodes import Arena
from vidworld.planning.protocol import PlanningProtocol, completed
from vidworld.report.landscapes import _mark
from vidworld.simulation.environments import ENVIRONMENTS


@pytest.fixture
def protocol(monkeypatch):
    monkeypatch.setitem(ENVIRONMENTS._places, "point", "acting:POINT")
    return completed(PlanningProtocol(environment="point"), POINT)


def of_model(model, protocol, number=3):
    external = ExternalModel("mine", model, FrameTokenizer(CHUNK, SIDE, SIDE))
    shape = ClipShape(num_frames=16, height_px=SIDE, width_px=SIDE)
    return landscape_of_model("mine", external, point_evaluator(), Arena(POINT, protocol, shape), number)


def test_the_lowest_action_of_truth_and_of_a_model_that_knows_it_is_the_nearest_of_the_grid(protocol):
    truth, model = landscape_of_simulator(Arena(POINT, protocol, ClipShape()), 3), of_model(PointWorld(), protocol)
    assert truth.action == model.action and max(map(abs, truth.action)) <= 0.8
    assert np.abs(np.subtract(truth.lowest, truth.action)).max() <= 1 / 12 + 1e-9
    assert model.lowest == truth.lowest and truth.rank == model.rank == 0.0
    energy = np.array(truth.energy)
    assert energy.shape == (13, 13) and energy[0, 0] > energy.min()
    y, x = np.unravel_index(energy.argmin(), energy.shape)
    assert [x / 6 - 1, y / 6 - 1] == pytest.approx(truth.lowest)  # columns are x


def test_a_model_that_drops_its_actions_is_flat(protocol):
    found = of_model(DeafWorld(), protocol)
    assert np.ptp(found.energy) == 0 and found.rank == 0.5


def test_marks_lie_in_the_middle_of_pixels():
    assert _mark([-1.0, 1.0], 5) == (10.0, 90.0) and _mark([0.0, 0.0], 5) == (50.0, 50.0)
