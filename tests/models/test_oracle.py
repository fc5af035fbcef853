"""The oracle: at the truth's own score where the context decides, calibrated where it does not, never fooled."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.surprises import encode_quadruplets, surprise_of
from vidworld.metrics import METRICS
from vidworld.models.oracle import Oracle, draw_futures
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.simulation import LAWS
from vidworld.simulation.inference import infer
from vidworld.simulation.quadruplets import quadruplets
from vidworld.simulation.scenarios import GRAVITY
from vidworld.simulation.simulated import SimulatedClips

pytestmark = pytest.mark.thorough

CONTEXT, SAMPLES = 8, 8
ATTACK = Path(__file__).parents[3] / "shared" / "attacks" / "oracle_world.py"


@pytest.fixture(scope="module")
def evaluator():
    return Evaluator(FrameTokenizer(4, 64, 64), {}, Accelerator(cpu=True), CONTEXT, 0)


@pytest.fixture(scope="module")
def oracle(evaluator):
    return Oracle(evaluator.tokenizer)


def tracked(evaluator, oracle, clips, samples):
    """The oracle's samples as the evaluation sees them."""
    rollout = evaluator.roll_out(oracle, evaluator.encode(clips), samples)
    return [evaluator.by_pixels(evaluator.decode(tokens), clips.tracks) for tokens in rollout.tokens.unbind(dim=1)]


def score(name, predicted, clips):
    return METRICS[name].function(predicted, clips.tracks, clips.dt_s, CONTEXT)


@pytest.mark.parametrize("split", ["id", "ood"])
@pytest.mark.parametrize("scenario", ["uniform", "parabola", "collision", "billiards", "occlusion"])
def test_where_the_context_decides_it_is_at_the_truths_own_score(evaluator, oracle, scenario, split):
    clips = SimulatedClips(scenario, split).clips(range(12))
    (found,) = tracked(evaluator, oracle, clips, 1)
    true = evaluator.by_pixels(clips.frames[:, CONTEXT:], clips.tracks)
    wrong, floor = (np.nanmean(score("energy_score", [tracks], clips)) for tracks in (found, true))
    assert wrong < floor + 0.03  # a fifth of a pixel
    assert score("phantom_objects", found, clips).sum() == 0
    if scenario == "occlusion":
        assert np.nanmean(score("reappearance", found, clips)) == 1.0


@pytest.fixture(scope="module")
def bounces():
    """Clips, when their disc meets the floor, samples of it by its places, and what is decided."""
    clips = SimulatedClips("bounce", "id").clips(range(64))
    down, height = clips.tracks.velocity[:, 0, 0, 1], 10 - clips.tracks.radius[:, 0] - clips.tracks.position[:, 0, 0, 1]
    contact_s = ((down.square() + 2 * GRAVITY * height).sqrt() - down) / GRAVITY
    places, decided = draw_futures(infer(clips.frames[:, :CONTEXT], clips.fps), 8, 64, range(64))
    return clips, contact_s, places[:, :, :, 0].numpy(), decided


def test_what_the_context_decides(bounces):
    """A contact that it shows, with what follows; of one that it does not, the restitution is open."""
    _, contact_s, places, decided = bounces
    assert decided[contact_s < 0.55].all() and (contact_s < 0.55).sum() > 5
    open_ones = (contact_s > 0.72) & (contact_s < 1.15)
    assert not decided[open_ones].any() and open_ones.sum() > 20
    assert bool((places[decided.numpy()] == places[decided.numpy()][:, :1]).all())  # one future


def test_its_samples_are_calibrated(bounces):
    """The truth's rank among 64 samples of the last height is as any other's: uniform, by its mean and its variance."""
    clips, _, places, decided = bounces
    undecided = ~decided.numpy()
    true = clips.tracks.position[:, -1, 0, 1].numpy()
    rank = (places[:, :, -1, 1] < true[:, None]).mean(axis=1)[undecided]
    assert abs(rank.mean() - 0.5) < 3 / np.sqrt(12 * len(rank))
    assert abs(rank.var() - 1 / 12) < 3 * np.sqrt(1 / 180 / len(rank))


def test_a_calibrated_sampler_beats_the_mean_of_its_samples_by_the_proper_score_alone(bounces, evaluator, oracle):
    clips, _, _, decided = bounces
    some = (~decided).nonzero()[:, 0]
    clips = clips.at(some)
    samples = tracked(evaluator, oracle, clips, SAMPLES)
    objects = clips.tracks.position.shape[2]
    mean = torch.stack([sample.position[:, :, :objects] for sample in samples]).mean(dim=0)
    hedge = type(clips.tracks)(**vars(clips.tracks) | {"position": mean})
    of_mean = score("energy_score", [hedge], clips)
    proper = score("energy_score", samples, clips) - of_mean
    plain = np.mean([score("energy_score", [each], clips) for each in samples], axis=0) - of_mean
    speeds = np.mean([score("velocity_error", each, clips) for each in samples], axis=0)
    speeds = speeds - score("velocity_error", hedge, clips)
    for difference, sign in ((proper, -1), (plain, 1), (speeds, 1)):  # 0 lies outside of two standard errors
        assert sign * difference.mean() > 2 * difference.std() / np.sqrt(len(difference))
    assert score("error_of_mean", samples, clips) == pytest.approx(of_mean, abs=1e-6)
    assert score("best_of_n_error", samples, clips).mean() < 0.5 * of_mean.mean()


@pytest.mark.parametrize("law", LAWS)
def test_it_is_surprised_by_what_is_impossible(evaluator, oracle, law):
    encoded = encode_quadruplets(evaluator, quadruplets(law, "id", 0, range(8)))
    accuracy = METRICS["surprise_accuracy"].function(surprise_of(evaluator, oracle, encoded))
    assert accuracy.mean() >= 0.98


def test_a_future_follows_from_the_clip_and_its_seed_and_not_from_the_batch(evaluator, oracle):
    clips = SimulatedClips("bounce", "id").clips(range(6))
    seen = evaluator.encode(clips)
    context = seen.chunks(0, evaluator.context_length)
    together = oracle.rollout(context, 2, 4, range(6)).tokens
    some = torch.tensor([4, 1])
    alone = type(context)(context.clips.at(some), context.tokens[some])
    assert torch.equal(oracle.rollout(alone, 2, 4, [4, 1]).tokens, together[some])
    assert not torch.equal(oracle.rollout(context, 2, 4, range(7, 13)).tokens, together)


def test_it_sees_the_context_alone(evaluator, oracle):
    """No true tracks, no name, and no frame after the context."""
    clips = SimulatedClips("bounce", "id").clips(range(3))
    bare = type(clips)(clips.frames[:, :CONTEXT].clone(), clips.fps, ("", "", ""))
    for given in (bare, clips.at(slice(None))):
        shown = type(clips)(given.frames[:, :CONTEXT], given.fps, given.identity, given.tracks)
        futures = oracle.futures(shown, 8, 2, [1, 2, 3])
        assert torch.equal(futures[1], oracle.futures(bare, 8, 2, [1, 2, 3])[1])


@pytest.mark.skipif(not ATTACK.is_file(), reason="the other oracle is not here (../shared/attacks)")
@pytest.mark.parametrize("scenario", ["uniform", "parabola", "collision"])
def test_another_physicist_with_an_integrator_of_its_own_predicts_the_same(oracle, scenario):
    spec = importlib.util.spec_from_file_location("oracle_world", ATTACK)
    other = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(other)
    clips = SimulatedClips(scenario, "id").clips(range(3))
    context = type(clips)(clips.frames[:, :CONTEXT], clips.fps, clips.identity)
    (ours,) = oracle.futures(context, 8, 1, [0, 1, 2])
    theirs = other.Oracle().predict(context, 8, [0, 1, 2])
    assert (ours.float() - theirs.float()).abs().mean() < 0.15  # levels of 256; a still disc's would be 4
