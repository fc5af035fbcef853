"""Cues that know no physics: what each says by hand, and what all of them say of the laws."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidworld.analysis import cues as kept
from vidworld.analysis.cues import CONTROL_LIMIT, FITTED, CueAccuracy, LawCues, cues_of_law, told_by_cues
from vidworld.evaluation.cues import (
    COPIES,
    CUES_VERSION,
    FORMS,
    CueValues,
    cue_distances,
    cues_of,
    distances,
    evidence,
    fitted,
    measure_law,
    mirrored,
)
from vidworld.metrics.surprise import surprise_accuracy
from vidworld.simulation import LAWS

NEW = [law for law in LAWS if not LAWS[law].legacy]


def values(*numbers, there=None):
    """One clip's cue of one number a frame."""
    value = np.array(numbers, float)[None, :, None]
    return CueValues(value, np.ones_like(value) if there is None else np.array(there, float)[None, :, None])


def test_forms_by_hand():
    past, future = values(1, 2, 3), values(4, 6)
    assert distances(past, future, "before") == pytest.approx((5 - 2) ** 2)
    assert distances(past, future, "last") == pytest.approx((1 + 9) / 2)
    assert distances(past, future, "straight") == pytest.approx((0 + 1) / 2)


def test_frames_without_a_value_do_not_count():
    past, future = values(1, 9, 3, there=[1, 0, 1]), values(4, 9, there=[1, 0])
    assert distances(past, future, "before") == pytest.approx(4)
    assert distances(past, future, "last") == pytest.approx(1)
    assert distances(past, future, "straight") == pytest.approx(0)
    nothing = values(0, 0, there=[0, 0])
    assert distances(nothing, nothing, "last") == 0
    assert distances(past, nothing, "last") > 1e5


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3))
def test_what_goes_straight_on_is_found_whatever_the_line(start, slope, kink):
    """The straight form is zero for a line, and for no other."""
    line = start + slope * np.arange(8.0)
    past = values(*line[:4])
    assert distances(past, values(*line[4:]), "straight") == pytest.approx(0, abs=1e-9)
    bent = line[4:] + kink * np.arange(1, 5)
    assert distances(past, values(*bent), "straight") == pytest.approx(kink**2 * 30 / 4, abs=1e-9)


def test_cues_by_hand():
    """A red square of 4 pixels a side that moves by two pixels, then a green one beside it."""
    frames = torch.full((1, 3, 3, 16, 16), 20, dtype=torch.uint8)
    red, green = torch.tensor([235, 45, 45])[:, None, None], torch.tensor([45, 205, 60])[:, None, None]
    for frame, left in enumerate((2, 4, 4)):
        frames[0, frame, :, 2:6, left : left + 4] = red.byte()
    frames[0, 2, :, 8:12, 4:8] = green.byte()
    found = cues_of(frames)
    assert found["number of colours"].value[0, :, 0].tolist() == [1, 1, 2]
    assert found["number of objects"].value[0, :, 0].tolist() == [1, 1, 2]
    assert found["colour histogram"].value[0].sum(1).tolist() == [16, 16, 32]
    first, second, _ = found["centroid, coloured"].value[0]
    assert second - first == pytest.approx([2, 0], abs=1e-5)
    assert found["second moments, coloured"].value[0, 0] == pytest.approx([1.25, 1.25, 0], abs=1e-4)
    assert found["spread, coloured"].value[0, 0] == pytest.approx(2.5, abs=1e-4)
    assert found["centroid, coloured"].there[0, :, 0].tolist() == [0, 0, 1]  # where most is shown
    energy = found["motion energy"].value[0, :, 0]
    assert energy.shape == (2,) and (energy > 0).all()


def test_what_depends_on_past_and_future_apart_is_at_one_half():
    """Any sum of a number of the past and one of the future: no control of this form can fail."""
    rng = np.random.default_rng(0)
    past, future = rng.normal(size=(2, 50, 2))
    matrix = past[:, :, None, None] + future[:, None, :, None]
    assert (surprise_accuracy(matrix) == 0.5).all()


def test_a_regression_on_all_cues_finds_what_they_tell_together():
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(4000, 1))
    seen = np.concatenate([hidden + 0.4, 0.5 - hidden, rng.normal(size=(4000, 8))], axis=1)
    weights = fitted(seen[:2000])
    assert weights[0] > 1 and weights[1] > 1 and abs(weights[2:]).max() < 0.3
    assert (seen[2000:] @ weights > 0).mean() > 0.95
    noise = rng.normal(size=(4000, 30))
    assert 0.45 < (noise[2000:] @ fitted(noise[:2000]) > 0).mean() < 0.55


def test_evidence_is_of_the_own_past_against_the_other():
    matrix = np.array([[[1.0, 2.0], [3.0, 4.0]]])  # by past and future
    found = evidence({"one": matrix, "one object, last": matrix})
    assert found.tolist() == [[(3 - 1) / 4], [(2 - 4) / 6]]


@pytest.mark.thorough
@pytest.mark.parametrize("law", NEW)
def test_no_cue_solves_a_few_of_a_new_law_and_a_frozen_frame_ties(law):
    found = cue_distances(law, "id", range(24))
    copies = surprise_accuracy(found[next(iter(COPIES))][..., None])
    assert (copies == 0.5).all()
    assert all(each.shape == (24, 2, 2) and np.isfinite(each).all() for each in found.values())
    named = {name.rpartition(", ")[0] for name in found if name not in (*COPIES, kept.MIRRORED)}
    assert len(found) == len(named) * len(FORMS) + len(COPIES) + 1
    accuracies = {name: surprise_accuracy(each[..., None]).mean() for name, each in found.items()}
    judged = {name: value for name, value in accuracies.items() if not name.startswith(kept.RULES)}
    assert all(0.15 < value < 0.85 for value in judged.values()), judged


def test_cues_solve_the_legacy_law_of_momentum_and_one_object_does_the_new():
    found = {law: cue_distances(law, "id", range(24)) for law in ("legacy_momentum", "momentum")}
    for law, cue in (("legacy_momentum", "motion energy, before"), ("momentum", "one object, straight")):
        assert surprise_accuracy(found[law][cue][..., None]).mean() > 0.95


def test_who_goes_back_the_way_it_came_is_the_mirrored_past():
    frames = torch.arange(6, dtype=torch.uint8).view(1, 6, 1, 1, 1).expand(1, 6, 3, 2, 2)
    back = torch.cat((frames[:, :3], frames[:, :3].flip(1)), dim=1)
    assert mirrored(frames, back, 3).tolist() == [0.0]
    assert mirrored(frames, frames, 3) == pytest.approx((1 + 9 + 25) / 3)


# --- what is kept of them ---


@pytest.mark.parametrize("law", LAWS)
def test_every_law_of_today_has_been_measured_and_cues_tell_the_legacy_ones_alone(law):
    found = cues_of_law(law)
    assert found, "python eval/measure_cues.py measures it"
    assert kept.cue_table().laws[law].cues_version == CUES_VERSION
    assert bool(told_by_cues(law)) == bool(LAWS[law].legacy), told_by_cues(law)
    if not LAWS[law].legacy:
        assert all(each.n >= 2000 for each in found if not each.layout)
        judged = [each for each in found if not each.cue.startswith(kept.RULES)]
        assert all(0.40 <= each.value <= CONTROL_LIMIT for each in judged)
        assert all(each.high <= CONTROL_LIMIT for each in judged if each.cue == FITTED and not each.layout)


def test_a_law_is_told_by_an_interval_in_either_direction_and_in_one_layout(monkeypatch):
    def accuracy(cue, low, high, layout=""):
        return CueAccuracy(cue, layout, (low + high) / 2, low, high, 1000)

    def told(*accuracies):
        table = kept.CueTable({}, {"momentum": LawCues(LAWS.version("momentum"), 1, accuracies)})
        monkeypatch.setattr(kept, "cue_table", lambda: table)
        return told_by_cues("momentum")

    assert told(accuracy("motion energy, before", 0.55, 0.65)) == ""
    assert "(motion energy, before 0.65 in the layout x, above 0.60)" in told(
        accuracy("motion energy, before", 0.61, 0.69, "x")
    )
    assert "(brightness, last, turned round, 0.80, above 0.60)" in told(accuracy("brightness, last", 0.15, 0.25))
    assert told(accuracy("one object, straight", 0.99, 1.0)) == ""
    monkeypatch.setitem(LAWS._versions, "momentum", 99)
    assert cues_of_law("momentum") == ()


@pytest.mark.slow
@pytest.mark.parametrize("law", NEW)
def test_the_law_is_measured_again(law):
    """On other numbers of quadruplets than those that are kept, and fewer."""
    found = measure_law(law, 400, 400)
    judged = [each for each in found.accuracies if not each.cue.startswith(kept.RULES)]
    assert not [each for each in judged if each.tells]
    before = {(each.cue, each.layout): each for each in cues_of_law(law)}
    for each in found.accuracies:
        known = before[each.cue, each.layout]
        assert each.low <= known.high and known.low <= each.high
