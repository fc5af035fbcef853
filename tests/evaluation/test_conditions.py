"""Each split, horizon and context gives values for every family and a frozen frame; so does a level of nuisance."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from vidworld.core.clip_shape import ClipShape
from vidworld.core.records import prepare_folder
from vidworld.evaluation.evaluator import Evaluator, Subject
from vidworld.evaluation.physics import differences, nuisance_notes
from vidworld.evaluation.rollouts import rollout_units
from vidworld.evaluation.schema import PhysicsConfig, measured_splits
from vidworld.evaluation.surprises import surprise_units
from vidworld.evaluation.task import Setup, measure
from vidworld.models.diffusion import DiffusionTransformer, GenerativeModel
from vidworld.models.jepa import JointEmbeddingPredictor, PredictiveModel
from vidworld.models.schema import DataConfig
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.models.world_model import ConstantVelocity, CopyLast
from vidworld.simulation import SCENARIOS
from vidworld.training.data import Mixture, training_clips

pytestmark = pytest.mark.thorough

SIZE = ClipShape(height_px=32, width_px=32)
NETWORK = {"width": 16, "heads": 1}


@pytest.fixture
def config(tmp_path):
    return PhysicsConfig(
        out=tmp_path, models={}, shape=SIZE, clips=2, further_clips=1, samples=2, scenarios=("collision",),
        quadruplets=2, further_quadruplets=2, ood_quadruplets=1, laws=("momentum", "solidity"),
    )  # fmt: skip


def set_up(config, *kinds):
    """A setup of these subjects, made for the tokenizer of frames."""
    tokenizer = FrameTokenizer(4, config.shape.height_px, config.shape.width_px)
    evaluator = Evaluator(tokenizer, {}, Accelerator(cpu=True, mixed_precision="no"), config.context_frames, 0)
    models = [kind(tokenizer) for kind in kinds]
    return Setup(
        config, evaluator, [Subject(m.name, m, "") for m in models], None, prepare_folder(config.out / "units")
    )


def regression(tokenizer):
    torch.manual_seed(0)
    network = JointEmbeddingPredictor(tokenizer.channels, encoder_depth=1, predictor_depth=1, **NETWORK)
    return PredictiveModel(network, "regression")


def jepa(tokenizer):
    torch.manual_seed(0)
    network = JointEmbeddingPredictor(tokenizer.channels, encoder_depth=1, predictor_depth=1, target="vcreg", **NETWORK)
    return PredictiveModel(network, "jepa", torch.nn.Linear(16, tokenizer.channels))


def diffusion(tokenizer):
    torch.manual_seed(0)
    return GenerativeModel(DiffusionTransformer(tokenizer.channels, depth=1, **NETWORK), "diffusion", 1, 8.0, (0.7,))


FAMILIES = (regression, jepa, diffusion)


def values_of(setup, units=rollout_units):
    return measure(list(units(setup)), setup.evaluator.accelerator, "test").values


def test_every_condition_gives_values_for_every_family_and_a_frozen_frame(config):
    values = values_of(set_up(config, *FAMILIES, CopyLast))
    wanted = {"id", "ood", "recombined", "more", "textures", "horizon_24", "horizon_56", "context_4", "context_12"}
    found = {(v.model, v.split) for v in values if v.metric == "velocity_error" and np.isfinite(v.value)}
    models = ("truth", "copy_last", *(family.__name__ for family in FAMILIES))
    assert found == {(model, split) for model in models for split in wanted}
    names = {v.identity for v in values if v.split == "horizon_56"}
    assert names == {"collision/horizon_56/0/0"}
    frozen = {v.split: v.value for v in values if (v.model, v.metric) == ("copy_last", "motion_ratio")}
    assert all(value < 0.2 for value in frozen.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_longer_rollout_begins_as_a_shorter_one(family, config):
    """Each chunk is computed once over the KV cache: what comes later changes nothing before."""
    tokenizer = FrameTokenizer(4, 16, 16)
    config = replace(config, shape=ClipShape(height_px=16, width_px=16), scenarios=("billiards",), further_clips=2)
    setup = set_up(config, family)
    seen = setup.evaluator.encode(setup.clips("billiards", "horizon_56").clips(range(2)))
    assert seen.tokens.shape[1] == 16
    context, (model,) = seen.chunks(0, 2), [family(tokenizer)]
    short, long = (model.rollout(context, horizon, 1, [3, 4]).tokens for horizon in (2, 14))
    assert long.shape[2] == 14 and long.isfinite().all()
    assert torch.allclose(long[:, :, :2], short, atol=1e-5)
    assert not torch.allclose(long[:, :, 2:], long[:, :, 1:-1])


def test_billiards_of_a_longer_horizon_begin_as_the_usual_ones(config):
    setup = set_up(replace(config, scenarios=("billiards",)))
    usual, longer = (setup.clips("billiards", split).clips([0]).frames for split in ("id", "horizon_24"))
    assert torch.equal(usual, longer[:, :16])


def test_conditions_are_those_that_a_scenario_has_clips_for(config):
    every = replace(config, scenarios="all")
    found = {name: [split for scenario, split in measured_splits(every) if scenario == name] for name in SCENARIOS}
    assert found["occlusion"] == ["id", "ood", "textures", "context_4", "context_12"]
    assert found["billiards"][3:] == ["more", "textures", "horizon_24", "horizon_56", "context_4", "context_12"]
    assert "more" not in found["bounce"] and "horizon_24" not in found["parabola"]
    assert not found["phyworld_uniform"]
    plain = replace(every, splits=("id",), horizons=(), contexts=())
    assert {split for _, split in measured_splits(plain)} == {"id"}
    assert {split for _, split in measured_splits(replace(every, further_clips=0))} == {"id", "ood", "recombined"}


def test_the_usual_horizon_and_context_are_no_conditions_of_their_own(config):
    assert config.conditions["context_4"].shape.num_frames == 12 and config.conditions["context_4"].context_frames == 4
    assert config.conditions["horizon_24"].shape.num_frames == 32
    assert not {"horizon_8", "context_8"} & config.conditions.keys()
    other = replace(config, shape=replace(SIZE, num_frames=32))
    assert "horizon_8" in other.conditions and "horizon_24" not in other.conditions


# --- nuisance ---


@pytest.mark.slow
def test_a_level_of_nuisance_is_another_evaluation_whose_metrics_know_the_truth(config):
    plain, noisy = (replace(config, nuisance=level, out=config.out / str(level)) for level in (0, 2))
    both = [set_up(each, CopyLast, ConstantVelocity) for each in (plain, noisy)]
    made_from = [{unit.batch: unit.made_from for unit in rollout_units(setup)} for setup in both]
    assert made_from[0].keys() == made_from[1].keys()
    assert all(made_from[0][batch] != made_from[1][batch] for batch in made_from[0])
    errors = []
    for setup in both:
        values = [v for v in values_of(setup) if v.split == "id"]
        assert all(("_nuisance_2/" in v.identity) is (setup is both[1]) for v in values)
        errors.append({v.model: v.value for v in values if v.metric == "velocity_error"})
    # constant velocity knows the state without nuisance; the truth through the tracker shows what that costs
    assert errors[0]["constant_velocity"] == pytest.approx(errors[1]["constant_velocity"], abs=0.2)
    assert errors[0]["truth"] < errors[1]["truth"] < 1.0


def test_what_is_lost_by_a_tokenizer_is_measured_against_pictures_without_nuisance(config):
    setup = set_up(replace(config, nuisance=1, splits=("id",), horizons=(), contexts=()))
    found = {v.metric: v.value for v in values_of(setup) if v.model == "reconstruction"}
    clips = setup.clips("collision", "id").clips([1])
    error = (clips.frames.double() - clips.without_nuisance.double()).square().mean() / 255**2
    assert found["psnr"] == pytest.approx(-10 * float(error.log10()), abs=0.5)


def test_nuisance_tells_nothing_of_what_is_possible(config):
    """A model that sees nothing but nuisance is at one half, and the truth is surprised by nothing that happened."""

    class OfNuisance(ConstantVelocity):  # which is given the truth
        name = "of_nuisance"

        def __init__(self, tokenizer):
            pass

        def surprise(self, seen, context_length, seeds):
            nuisance = seen.clips.frames.float() - seen.clips.without_nuisance.float()
            change = nuisance.diff(dim=1).square().mean(dim=(2, 3, 4))[:, context_length * 4 - 1 :]
            return change.unflatten(1, (-1, 4)).mean(dim=2)

    values = values_of(set_up(replace(config, nuisance=2), OfNuisance), surprise_units)
    accuracy = defaultdict(set)
    for value in values:
        if value.metric == "surprise_accuracy":
            accuracy[value.model].add(value.value)
    assert accuracy == {"truth": {1.0}, "of_nuisance": {0.5}}


def test_no_model_of_somebody_elses_is_shown_the_pictures_without_nuisance(config):
    clips = set_up(replace(config, nuisance=1)).clips("collision", "id").clips([0])
    assert clips.clean is not None and clips.shown.clean is None and clips.shown.tracks is None


def test_training_at_another_level_is_on_other_clips_and_said(tmp_path, monkeypatch):
    plain = DataConfig(scenarios={"uniform": 1.0}, clips=4, shape=SIZE)
    noisy = replace(plain, nuisance=1)
    assert len({training_clips(replace(plain, nuisance=level)) for level in (0, 1, 2)}) == 3
    before = training_clips(noisy)
    with monkeypatch.context() as change:
        change.setattr("vidworld.training.finished.NUISANCE_VERSION", 99)
        assert training_clips(noisy) != before
    assert not torch.equal(Mixture(plain).frames([0]), Mixture(noisy).frames([0]))
    budgets = {}
    for name, data in (("calm", plain), ("wet", noisy)):
        shared = dict.fromkeys(("tokenizer", "seed", "steps", "clips_seen", "parameters", "training_flops"), 1)
        budgets[name] = shared | {"data": {"nuisance": data.nuisance}}
    (line,) = differences(budgets["calm"], budgets["wet"])
    assert line == "data differ: {'nuisance': 0} and {'nuisance': 1}"
    notes = list(nuisance_notes(budgets, 1))
    assert notes[0].startswith("Measured at nuisance level 1")
    assert notes[1:] == ["calm was trained at nuisance level 0, and is measured at level 1."]


def test_a_level_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nuisance"):
        PhysicsConfig(out=tmp_path, models={}, nuisance=3)
    with pytest.raises(ValueError, match="nuisance"):
        DataConfig(nuisance=-1)
