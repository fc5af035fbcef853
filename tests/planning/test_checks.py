"""Offline checks: a model that ignores its actions is caught, one that hears them is not."""

import pytest
import torch
from acting import CHUNK, SIDE, BrokenWorld, DeafWorld, PointWorld, point_clips, point_evaluator

from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import ModelFailure
from vidworld.models.external import ExternalModel
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.planning.checks import check_actions, energies


def check(model, clips=None):
    external = ExternalModel("mine", model, FrameTokenizer(CHUNK, SIDE, SIDE))
    return check_actions("mine", external, point_evaluator(), point_clips() if clips is None else clips, 8, "point")


class Turned(PointWorld):
    """It takes right for left."""

    def predict(self, context, num_frames, seeds, actions):
        return super().predict(context, num_frames, seeds, -actions)


class Late(PointWorld):
    """It hears each action a chunk late."""

    def predict(self, context, num_frames, seeds, actions):
        first = torch.zeros_like(actions[:, :CHUNK])
        return super().predict(context, num_frames, seeds, torch.cat((first, actions[:, :-CHUNK]), dim=1))


class Early(PointWorld):
    """It hears each action a chunk early."""

    def predict(self, context, num_frames, seeds, actions):
        last = torch.zeros_like(actions[:, :CHUNK])
        return super().predict(context, num_frames, seeds, torch.cat((actions[:, CHUNK:], last), dim=1))


class Backwards(PointWorld):
    """It hears the last action first."""

    def predict(self, context, num_frames, seeds, actions):
        held = actions.unflatten(1, (-1, CHUNK)).flip(1).flatten(1, 2)
        return super().predict(context, num_frames, seeds, held)


@pytest.mark.parametrize(
    ("kind", "order"), [(Late, "a chunk late"), (Early, "a chunk early"), (Backwards, "backwards")]
)
def test_a_model_that_hears_its_actions_in_another_order_is_caught(kind, order):
    assert check(kind(), point_clips(frames=24)).hears == order
    assert check(kind(), point_clips(frames=16)).hears == "in another order"  # of two chunks there is one


def test_a_model_that_hears_its_actions_passes():
    found = check(PointWorld())
    assert not found.ignores and not found.hears and found.factor > 100 and found.factor_low > 10
    assert found.rank == 0.0 and found.rank_high < 0.5 and found.top == 1.0
    assert found.error_true < found.error_shuffled / 10


def test_a_model_that_drops_its_actions_is_caught():
    found = check(DeafWorld())
    assert found.ignores and not found.hears
    assert (found.factor, found.factor_low, found.rank, found.top) == (1.0, 1.0, 0.5, 0.0)


def test_a_model_that_takes_actions_the_wrong_way_is_caught():
    found = check(Turned())
    assert found.ignores and found.rank > 0.5 and found.hears == "with the opposite sign"


def test_energies_are_those_of_every_clips_own_actions_first():
    external = ExternalModel("mine", PointWorld(), FrameTokenizer(CHUNK, SIDE, SIDE))
    clips = point_clips(40)  # more futures than go through a model at once
    found = energies("mine", external, point_evaluator(), clips, 8).chunks[:, :16]
    assert found.shape == (40, 16) and bool((found[:, 0] <= found.amin(dim=1)).all())
    alone = energies("mine", external, point_evaluator(), clips.at(slice(0, 2)), 8).chunks[:, :2]
    torch.testing.assert_close(alone[0], found[0, :2])


def test_what_cannot_be_checked_is_one_line():
    with pytest.raises(ModelFailure, match="mine: predict takes no actions"):
        check(BrokenWorld())
    with pytest.raises(UserError, match="two clips or more"):
        check(PointWorld(), point_clips(1))
