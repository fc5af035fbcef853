"""Samples of a world: each is measured, and equal ones are read out once."""

from collections import defaultdict

import pytest
import torch
from accelerate import Accelerator

from vidworld.evaluation import evaluator as evaluator_module
from vidworld.evaluation.evaluator import Evaluator, Subject
from vidworld.evaluation.rollouts import _of_subject
from vidworld.metrics import METRICS
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.models.world_model import ConstantVelocity, CopyLast, Rollout
from vidworld.simulation.simulated import SimulatedClips


class Both(ConstantVelocity):  # which is given the true tracks
    """A world whose two samples are those of two other worlds."""

    name = "both"

    def __init__(self, *models):
        self.models = models

    def rollout(self, context, horizon, samples, seeds):
        tokens = torch.cat([model.rollout(context, horizon, 1, seeds).tokens for model in self.models], dim=1)
        return Rollout(tokens, tokens)

    def surprise(self, seen, context_length, seeds):
        return self.models[0].surprise(seen, context_length, seeds)


@pytest.fixture(scope="module")
def evaluator():
    return Evaluator(FrameTokenizer(4, 64, 64), {}, Accelerator(cpu=True), 8, 0)


def measured(evaluator, model, samples):
    """Values by metric and clip."""
    seen = evaluator.encode(SimulatedClips("collision", "id").clips(range(3)))
    metrics = [metric for metric in METRICS.values() if "collision" in metric.scenarios]
    subject = Subject("it", model, "")
    found = _of_subject(lambda: seen, evaluator, ("collision", "id", 0), metrics, subject, samples)
    return {(value.metric, value.identity): value.value for value in found}


def test_one_future_is_read_out_once_however_many_samples_are_asked_for(evaluator, monkeypatch):
    calls = []
    locate = evaluator_module.locate_discs
    monkeypatch.setattr(evaluator_module, "locate_discs", lambda *given: calls.append(1) or locate(*given))
    alone = measured(evaluator, CopyLast(evaluator.tokenizer), 1)
    of_three = measured(evaluator, CopyLast(evaluator.tokenizer), 3)
    assert len(calls) == 2
    assert {key: of_three[key] for key in alone} == alone
    assert {metric for metric, _ in of_three} - {metric for metric, _ in alone} == {"determinism_spread"}
    assert {of_three[key] for key in of_three if key[0] == "determinism_spread"} == {0.0}  # also where discs are lost


def test_samples_that_differ_are_each_measured_and_averaged(evaluator):
    models = CopyLast(evaluator.tokenizer), ConstantVelocity(evaluator.tokenizer)
    first, second, both = (measured(evaluator, model, 2) for model in (*models, Both(*models)))
    of_one_prediction = measured(evaluator, models[0], 1)
    differing = defaultdict(int)
    of_tracks = {name for name in METRICS if METRICS[name].takes == "tracks"}
    for key in (key for key in of_one_prediction.keys() & second.keys() & both.keys() if key[0] in of_tracks):
        assert both[key] == pytest.approx((first[key] + second[key]) / 2), key
        differing[key[0]] += first[key] != second[key]
    assert differing["velocity_error"]
