"""Rollouts and surprise: shapes, what they depend on, and what a perfect or a blind world would say."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.surprises import as_matrix, encode_quadruplets, surprise_of
from vidworld.metrics.surprise import surprise_accuracy
from vidworld.models.diffusion import DiffusionTransformer, GenerativeModel, sample
from vidworld.models.jepa import JointEmbeddingPredictor, PredictiveModel
from vidworld.models.tokenizers.autoencoder import Autoencoder
from vidworld.models.world_model import (
    Blind,
    ConstantVelocity,
    CopyLast,
    Encoded,
    FrameDifference,
    WorldModel,
    truth_surprise,
)
from vidworld.simulation.quadruplets import quadruplets
from vidworld.simulation.simulated import SimulatedClips
from vidworld.simulation.tracker import locate_discs


@pytest.fixture(scope="module")
def tokenizer():
    """A tokenizer of enough channels that its linear path alone shows where discs are."""
    torch.manual_seed(0)
    network = Autoencoder(patch_size=(4, 4, 4), channels=64, width=32, depth=1, heads=1, grid=(8, 8)).eval()
    frames = SimulatedClips("collision", "train", shape=ClipShape(height_px=32, width_px=32)).clips(range(32)).frames
    network.fit_components(frames)
    network.fit_statistics(frames)
    return network


@pytest.fixture(scope="module")
def seen(tokenizer):
    clips = SimulatedClips("uniform", "id", shape=ClipShape(height_px=32, width_px=32)).clips(range(4))
    return Encoded(clips, tokenizer.encode(clips.frames))


def random_weights(network):
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


@pytest.fixture(scope="module")
def models(tokenizer):
    dit = random_weights(DiffusionTransformer(64, width=32, depth=2, heads=2))
    jepa = random_weights(JointEmbeddingPredictor(64, width=32, encoder_depth=1, predictor_depth=1, heads=2))
    return {
        "diffusion": GenerativeModel(dit, "diffusion", steps=3, shift=3.0, levels=(0.5, 0.9)),
        "jepa": PredictiveModel(jepa),
        "copy_last": CopyLast(tokenizer),
        "constant_velocity": ConstantVelocity(tokenizer),
    }


NAMES = ("diffusion", "jepa", "copy_last", "constant_velocity")


@pytest.mark.parametrize("name", NAMES)
def test_a_world_rolls_out_and_is_surprised_in_the_stated_shapes(name, models, seen):
    model = models[name]
    assert isinstance(model, WorldModel)
    rollout = model.rollout(seen.chunks(0, 2), horizon=2, samples=3, seeds=range(4))
    assert rollout.tokens.shape == (4, 3, 2, 8, 8, 64)
    surprise = model.surprise(seen, 2, range(4))
    assert surprise.shape == (4, 2)
    assert (surprise >= 0).all()


@pytest.mark.parametrize("name", ("copy_last", "constant_velocity"))
def test_a_rollout_takes_no_actions_that_it_would_ignore(name, models, seen):
    with pytest.raises(TypeError, match="actions"):
        models[name].rollout(seen.chunks(0, 2), 2, 1, range(4), actions=torch.zeros(4, 1, 2, 1))


@pytest.mark.parametrize("name", NAMES)
def test_a_rollout_does_not_depend_on_its_batch(name, models, seen):
    together = models[name].rollout(seen.chunks(0, 2), 2, 2, range(4)).tokens
    some = torch.tensor([2])
    alone = Encoded(seen.clips.at(some), seen.tokens[some]).chunks(0, 2)
    assert torch.allclose(models[name].rollout(alone, 2, 2, [2]).tokens, together[2:3], atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_surprise_at_a_chunk_ignores_the_chunks_after_it(name, models, seen, tokenizer):
    frames = seen.clips.frames.clone()
    frames[:, 12:] = 255 - frames[:, 12:]
    changed = Encoded(type(seen.clips)(frames, 10.0, seen.clips.identity, seen.clips.tracks), tokenizer.encode(frames))
    before, after = (models[name].surprise(each, 2, range(4)) for each in (seen, changed))
    assert torch.allclose(before[:, 0], after[:, 0], atol=1e-6)
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_samples_of_the_diffusion_world_differ_and_repeat_by_seed(models, seen):
    context = seen.chunks(0, 2)
    one, again, other = (
        models["diffusion"].rollout(context, 2, 2, s).tokens for s in (range(4), range(4), range(4, 8))
    )
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    assert not torch.allclose(one[:, 0], one[:, 1])


def test_a_rollout_from_memory_equals_one_that_looks_at_all_chunks_again(models, seen):
    model, seeds = models["diffusion"], [5, 6, 7, 8]
    network, tokens = model.network, seen.tokens[:, :2]
    noise = torch.stack([torch.randn(3, 8, 8, 64, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    for k in range(3):
        previous = tokens[:, -1:]

        def denoised(noisy, level, _, tokens=tokens, previous=previous):
            kv_caches = network.prefill(tokens[:, :-1])
            return network(noisy, torch.full((4, 1), level), previous, kv_caches)[0]

        with torch.no_grad():
            chunk = sample(denoised, noise[:, k : k + 1], model.steps, model.shift)
        tokens = torch.cat((tokens, chunk), dim=1)
    found = model.rollout(seen.chunks(0, 2), 3, 1, seeds).tokens[:, 0]
    assert torch.allclose(found, tokens[:, 2:], atol=1e-3)


def test_all_noise_levels_at_once_surprise_as_each_alone(models, seen):
    model = models["diffusion"]
    together = model.surprise_by_level(seen, 2, range(4))
    for i, level in enumerate(model.levels):
        alone = GenerativeModel(model.network, "alone", 3, 3.0, (level,)).surprise_by_level(seen, 2, range(4))
        assert torch.allclose(together[..., i], alone[..., 0], rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_each_chunk_is_predicted_from_the_true_ones_before_it(name, models, tokenizer):
    """However much of what was shown is called the context: a contact is known once it was seen."""
    clips = SimulatedClips("collision", "id", shape=ClipShape(height_px=32, width_px=32)).clips(range(6))
    collisions = Encoded(clips, tokenizer.encode(clips.frames))
    early, late = (models[name].surprise(collisions, context, range(6)) for context in (1, 3))
    assert torch.allclose(early[:, 2:], late, rtol=1e-4)


def test_after_the_splice_constant_velocity_goes_on_as_what_is_shown(tokenizer):
    evaluator = Evaluator(tokenizer, {}, Accelerator(mixed_precision="no"), context_frames=8, seed=0)
    for law in ("constancy", "legacy_constancy", "collision", "legacy_collision"):
        made = quadruplets(law, "id", 0, range(8), shape=ClipShape(height_px=32, width_px=32))
        matrix = surprise_of(evaluator, ConstantVelocity(tokenizer), encode_quadruplets(evaluator, made))
        assert np.array_equal(matrix[:, 0, :, 1], matrix[:, 1, :, 1])
        assert (matrix[:, 0, :, 0] != matrix[:, 1, :, 0]).any()
        assert matrix[..., 1].mean() < 0.002


def test_surprise_works_with_one_chunk_of_context(models, seen):
    surprise = models["diffusion"].surprise(seen, 1, range(4))
    assert surprise.shape == (4, 3)
    assert torch.allclose(surprise[:, 1:], models["diffusion"].surprise(seen, 2, range(4)), rtol=1e-4)


def test_a_long_rollout_of_the_jepa_world_begins_like_a_short_one(models, seen):
    context = seen.chunks(0, 2)
    short, long = (models["jepa"].rollout(context, horizon, 1, range(4)).tokens for horizon in (1, 4))
    assert torch.equal(short[:, :, 0], long[:, :, 0])


def test_constant_velocity_is_right_where_nothing_acts(tokenizer, seen):
    predicted = ConstantVelocity(tokenizer).predict(seen.chunks(0, 2).clips, 8)
    true = seen.clips.frames[:, 8:]
    assert (predicted.float() - true.float()).abs().mean() < 1.0
    tracks = seen.clips.tracks
    place = locate_discs(predicted, tracks.color, tracks.radius)
    assert torch.allclose(place, tracks.position[:, 8:].float(), atol=0.06)


def test_controls_that_see_one_chunk_or_only_change_are_at_one_half(tokenizer):
    evaluator = Evaluator(tokenizer, {}, Accelerator(mixed_precision="no"), context_frames=8, seed=0)
    made = quadruplets("permanence", "id", 0, range(8), shape=ClipShape(height_px=32, width_px=32))
    encoded = encode_quadruplets(evaluator, made)
    for control in (Blind(), FrameDifference()):
        matrix = as_matrix(control.surprise(encoded.stack, 2, range(32)))
        assert (surprise_accuracy(matrix) == 0.5).all(), control.name
    a, a_b, b_a, b = encoded.stack.tokens[:, 2:].chunk(4)
    truth = as_matrix(truth_surprise(torch.cat((a, a_b, b_a, b)), torch.cat((a, a, b, b))))
    assert (surprise_accuracy(truth) == 1.0).all()


def test_spliced_clips_have_exactly_the_tokens_of_the_possible_ones(tokenizer):
    made = quadruplets("collision", "id", 0, range(4), shape=ClipShape(height_px=32, width_px=32))
    a, b = tokenizer.encode(made.a.frames), tokenizer.encode(made.b.frames)
    assert torch.equal(tokenizer.encode(made.a_then_b.frames), torch.cat((a[:, :2], b[:, 2:]), dim=1))
