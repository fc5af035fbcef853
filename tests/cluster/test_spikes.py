"""Which losses are spikes, and what a checkpoint keeps of them."""

import json

import pytest

from vidworld.models.schema import SpikeConfig
from vidworld.training.resilience import Spikes


def after(losses, **settings):
    spikes = Spikes(SpikeConfig(**{"window": 4, "most": 2, **settings}))
    return spikes, [spikes.is_one(loss, 1.0) for loss in losses]


def test_a_leap_over_the_median_is_a_spike_once_there_is_enough_to_compare_with():
    assert after([1.0, 50.0, 1.0, 1.0, 11.0, 1.0])[1] == [False, False, False, False, True, False]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_what_is_no_number_is_always_one(loss):
    assert after([loss, 1.0])[1] == [True, False]


def test_a_gradient_that_is_no_number_is_one():
    assert Spikes(SpikeConfig()).is_one(1.0, float("nan"))


def test_a_skipped_loss_does_not_raise_what_is_usual():
    _, found = after([1.0, 1.0, 1.0, 1.0, 100.0, 1.0, 1.0, 12.0])
    assert found[-1]


def test_too_many_in_a_window_end_a_run_and_old_ones_are_forgotten():
    spikes, _ = after([float("nan"), 1.0, 1.0, 1.0, 1.0, float("nan")])
    assert not spikes.too_many
    spikes.is_one(float("nan"), 1.0)
    assert spikes.too_many
    assert spikes.skipped == 3


def test_what_a_checkpoint_keeps_of_them_decides_the_same():
    spikes, _ = after([1.0, 2.0, float("nan"), 1.0])
    again = Spikes(spikes.config)
    again.restore(json.loads(json.dumps(spikes.state())))
    assert again.is_one(11.0, 1.0) == spikes.is_one(11.0, 1.0)
    assert again.recent == spikes.recent
