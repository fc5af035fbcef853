"""A linear code that was planted in a model's state is found, and steering it steers the future as it should."""

import pytest
import torch
from planted_states import SHAPE, planted, several, told

from vidworld.analysis.ridge import Spectrum
from vidworld.core.clip import Tracks
from vidworld.inside.concepts import CONCEPTS, hidden_samples, pairs_of, scene_samples
from vidworld.inside.existence import EXISTENCE, hidden_pairs, steer_existence
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
            assert abs(row.slope) < 0.05 and row.low < 0.02
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


def test_a_planted_disc_is_put_in_and_taken_out_with_its_state(pairs):
    model, evaluator, fitted, answers, (test, other) = pairs
    steering, chosen_on = (Steering("planted", model, evaluator, each) for each in (test, other))
    rows = list(steer_existence(steering, chosen_on, fitted, answers))
    assert len(rows) == 2 * 3 * 2
    for row in rows:
        assert row.low <= row.slope <= row.high
        if row.direction == "exchanged":
            assert row.clips >= 5 and row.slope == pytest.approx(1, abs=0.05)
        if row.direction == "random":
            assert abs(row.slope) < 0.2


@pytest.fixture(scope="module")
def pairs():
    """The model, what it is read with, its features by layer with their answers, and the pairs that are steered."""
    model, evaluator = planted()
    grid, features, answers = grid_of(evaluator, SHAPE), {}, []
    for part, count in {"fit": 60, "choose": 30}.items():
        samples = hidden_samples("hidden", part, SHAPE, 8, count)
        evaluator.tokenizer.tell(samples.clips.frames, both(samples.tracks))
        features[part] = features_of(model, evaluator, [samples], grid, 50)[0]
        answers.append(samples.answers[EXISTENCE])
    steered = []
    for part in ("test", "choose"):
        a, b = pairs_of("legacy_permanence", part, SHAPE, 8, 12)
        evaluator.tokenizer.tell(torch.cat((a.frames, b.frames)), both((a.truth, b.truth)))
        steered.append(hidden_pairs(evaluator, part, SHAPE, 12))
    return model, evaluator, list(zip(features["fit"], features["choose"], strict=True)), tuple(answers), steered


def both(truths):
    """The tracks of A's clips, then of B's."""
    return Tracks(**{name: torch.cat([vars(each)[name] for each in truths]) for name in vars(truths[0])})
