"""Scorers that know no physics: what sees the future alone is at one half in every form of surprise."""

import numpy as np
import pytest
import torch

from vidworld.analysis.records import FUTURE_ONLY
from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.surprises import SCORERS, forms, measure_controls, surprise_by
from vidworld.metrics import METRICS
from vidworld.simulation import LAWS
from vidworld.simulation.quadruplets import quadruplets

SETTING = ClipShape(height_px=32, width_px=32)


@pytest.mark.parametrize("law", LAWS)
def test_a_scorer_of_the_future_alone_is_at_one_half_in_every_form(law):
    rows = list(measure_controls(law, SETTING, 8, 4, 10))
    assert {row.scorer for row in rows} == set(SCORERS)
    assert {row.form for row in rows} == set(forms())
    assert {row.aggregation for row in rows} == {"mean", "max"}
    for row in rows:
        assert row.low <= row.value <= row.high and row.n == 10
        if row.scorer in FUTURE_ONLY:
            assert row.value == pytest.approx(0.5, abs=1e-9), row


def test_the_matrix_is_past_by_future():
    made = quadruplets("collision", "id", 0, range(4), shape=ClipShape(height_px=32, width_px=32))

    def where(frames, start):
        """The sum of the future's pixels, and a hundred times that of the past's last frame."""
        future = frames[:, start:].double().sum(dim=(1, 2, 3, 4))
        past = frames[:, start - 1].double().sum(dim=(1, 2, 3))
        return (future + 100 * past)[:, None].expand(-1, frames.shape[1] - start)

    matrix = surprise_by(where, made, 8)
    assert matrix.shape == (4, 2, 2, 1)
    possible = [where(clips.frames, 8)[:, :1].numpy() for clips in (made.a, made.b)]
    assert np.array_equal(matrix[:, 0, 0], possible[0]) and np.array_equal(matrix[:, 1, 1], possible[1])
    # The future of B after the past of A less that after its own past is the pasts' difference, 100-fold.
    step = matrix[:, 0, :] - matrix[:, 1, :]
    assert np.allclose(step[:, 0], step[:, 1])


def test_scorers_by_hand():
    frames = torch.zeros(1, 4, 3, 16, 16, dtype=torch.uint8)
    frames[0, 2:] = 10
    frames[0, 3] = 30
    found = {name: scorer(frames, 2).tolist() for name, scorer in SCORERS.items()}
    assert found["blind"] == [[0.0, 0.0]]
    assert found["static_scene"] == [[10.0, 30.0]]
    assert found["count_only"] == [[0.0, 0.0]]
    assert found["motion_energy"] == [[100.0, 400.0]]
    assert found["still_life"] == [[100.0, 900.0]]


def test_counting_counts_discs():
    made = quadruplets("permanence", "id", 0, range(6))
    shown = made.a.tracks.visible[:, 8:]
    counted = SCORERS["count_only"](made.a.frames, 8)
    whole = (shown > 0.9).sum(dim=-1)
    some = ((shown > 0.45) | (shown == 0)).all(dim=-1) & (shown < 0.2).logical_or(shown > 0.9).all(dim=-1)
    assert some.any()
    assert torch.equal(counted[some], whole[some].float())


def test_forms_are_all_that_take_surprise():
    every = {name for name, metric in METRICS.items() if metric.takes == "surprise"}
    assert set(forms()) == every - {"surprise_accuracy_maximum"}
