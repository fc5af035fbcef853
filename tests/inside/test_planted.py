"""A linear code that was planted in a model's state is found, and steering it steers the future as it should."""

import pytest
import torch
from planted_states import SHAPE, planted, several, told

from vidworld.analysis.ridge import Spectrum
from vidworld.inside.concepts import CONCEPTS, scene_samples
from vidworld.inside.features import features_of, grid_of
from vidworld.inside.probes import score
from vidworld.inside.steering import Steering, steer, steered_clips


@pytest.fixture(scope="module")
def found():
    """The model, what it is read with, its features by part and layer, and their samples."""
    model, evaluator = planted()
    grid = grid_of(evaluator, SHAPE)
    counts = {"fit": 100, "choose": 40, "test": 40}
    discs = {part: scene_samples(part, SHAPE, 8, count, grid)["discs"] for part, count in counts.items()}
    features = {p: features_of(model, evaluator, [s], grid, 50)[0] for p, s in told(evaluator, discs).items()}
    return model, evaluator, features, discs


@pytest.mark.parametrize("concept", ["place", "velocity"])
def test_a_planted_code_is_read(found, concept):
    _, _, features, samples = found
    fit, choose, test = (samples[part].answers[concept] for part in ("fit", "choose", "test"))
    assert len(features["fit"]) == 2
    for layer in range(2):
        ridge = Spectrum(features["fit"][layer]).ridge(fit, features["choose"][layer], choose)
        read = score(ridge(features["test"][layer]), test, fit.mean(dim=0), samples["test"].group, False)
        assert read.value > 0.99
        assert read.low <= read.value <= read.high


@pytest.mark.parametrize("concept", ["place", "velocity"])
def test_steering_a_planted_code_steers_the_future(found, concept):
    model, evaluator, features, samples = found
    test, other = (steered_clips(evaluator, several(evaluator, first, 16), "id") for first in (0, 500))
    steering, chosen_on = (Steering("planted", model, evaluator, clips) for clips in (test, other))
    fitted = list(zip(features["fit"], features["choose"], strict=True))
    answers = tuple(samples[part].answers[concept] for part in ("fit", "choose"))
    rows = [row for row, _, _ in steer(steering, chosen_on, concept, fitted, answers)]
    steered = [row for row in rows if row.direction in ("probe", "means")]
    assert [row.best for row in steered].count(True) == 1
    for row in steered:
        assert row.slope == pytest.approx(1, abs=0.05)
        assert row.low > 0.9
        assert row.others < 0.05
        assert row.read == 1
    for row in rows:
        if row.direction == "random":
            assert abs(row.slope) < 0.2 and row.low < 0.1
    (gone,) = [row for row in rows if row.direction == "ablated"]
    (kept,) = [row for row in rows if row.direction == "random ablated"]
    assert gone.slope < 0.1
    assert kept.slope > 0.9


def test_targets_are_of_discs_that_nothing_touches(found):
    _, evaluator, _, _ = found
    steered = steered_clips(evaluator, several(evaluator, 0, 16), "id")
    clip = torch.arange(len(steered.disc))
    later = steered.tracks.velocity[clip, 7:, steered.disc]
    assert (later == later[:, :1]).all()
    assert not steered.others[clip, steered.disc].any()
    sizes = steered.target["velocity"].norm(dim=1)
    assert (sizes >= 0.5).all() and (sizes <= 1.5).all()
    assert set(steered.target) <= set(CONCEPTS)
