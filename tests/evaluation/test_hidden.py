"""Hidden properties from a configuration to the page: chance before the reveal, and after it only with memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from scripts import ROOT

from vidworld.analysis.hidden import HiddenResults
from vidworld.analysis.records import read_as
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.hidden import measure_hidden, state_features
from vidworld.evaluation.paired_schema import HiddenConfig
from vidworld.models.diffusion import DiffusionTransformer, GenerativeModel
from vidworld.models.jepa import JointEmbeddingPredictor, PredictiveModel
from vidworld.models.states import has_states
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.models.world_model import CopyLast
from vidworld.report.hidden_page import hidden_sentences, write_hidden_page
from vidworld.simulation.simulated import SimulatedClips

CPU = Accelerator(cpu=True, mixed_precision="no")
SIZE = ClipShape(height_px=32, width_px=32)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return HiddenConfig(
        out=tmp_path_factory.mktemp("hidden"), pairs=6, pairs_at_once=6, samples=2, mixed_precision="no",
        scenarios=("hidden_mass",), fitted=48, read=32,
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(config):
    return measure_hidden(config, CPU)


@pytest.mark.thorough
def test_before_the_reveal_all_is_chance_and_after_it_the_oracle_knows(results):
    ranks = {(row.model, row.split): row.value for row in results.rows if row.metric == "implied_rank"}
    known = ("truth", "reconstruction")
    assert {value for (model, split), value in ranks.items() if split == "before" and model not in known} == {0.5}
    assert ranks["oracle", "after"] == ranks["truth", "after"] == 1.0
    assert ranks["copy_last", "after"] == 0.5 and ranks["oracle_without_memory", "after"] < 0.9
    spread = {row.split: row.value for row in results.rows if (row.model, row.metric) == ("oracle", "implied_spread")}
    assert spread["after"] < 0.02 and spread["before"] > 0.05


def test_a_context_that_no_chunk_ends_at_is_refused_before_anything_is_measured(config):
    with pytest.raises(UserError, match="before_frames 3 is no multiple of the tokenizer's chunk of 4"):
        measure_hidden(replace(config, before_frames=3), CPU)


def test_what_is_done_is_kept_and_the_page_is_made(config, results):
    units = {path: path.stat().st_mtime_ns for path in (config.out / "units").iterdir()}
    assert len(units) == 2 * 5  # references, two oracles and two baselines, before and after
    page = write_hidden_page(config.out).read_text()
    assert "Implied rank" in page and "Oracle without memory" in page and results.probes == []  # without a tokenizer


@pytest.mark.parametrize("kind", ["jepa", "regression", "diffusion"])
def test_states_remember_and_see_no_future(kind):
    torch.manual_seed(0)
    tokenizer = FrameTokenizer(4, 32, 32)
    size = {"width": 16, "heads": 1}
    if kind == "diffusion":
        model = GenerativeModel(DiffusionTransformer(tokenizer.channels, depth=2, **size), kind, 1, 8.0, (0.7,))
    else:
        target = "vcreg" if kind == "jepa" else "frozen"
        network = JointEmbeddingPredictor(tokenizer.channels, encoder_depth=1, predictor_depth=1, target=target, **size)
        model = PredictiveModel(network, kind)
    assert has_states(model) and not has_states(CopyLast(tokenizer))
    evaluator = Evaluator(tokenizer, {}, CPU, 8, 0)
    seen = evaluator.encode(SimulatedClips("uniform", "id", shape=SIZE).clips(range(3)))
    states = state_features(model, evaluator, seen, 0)
    assert states.shape == (3, 4, 32) and states.isfinite().all()
    assert state_features(None, evaluator, seen, 0).shape == (3, 4, 2 * tokenizer.channels)
    later = seen.tokens.clone()
    later[:, 2] += 1.0
    changed = state_features(model, evaluator, type(seen)(seen.clips, later), 0)
    assert np.allclose(changed[:, :2], states[:, :2], atol=1e-5)
    assert not np.allclose(changed[:, 3], states[:, 3], atol=1e-7)  # the last chunk's state tells of the one before it


def test_a_page_says_whether_the_best_model_is_above_who_forgets():
    made = read_as(HiddenResults, ROOT / "results" / "hidden" / "longer_seeds_1_2_diffusion.json")
    mass, restitution = hidden_sentences(made)
    assert "above chance and above the oracle without memory (0.56)" in mass
    assert "above chance and not above the oracle without memory (0.76)" in restitution
