"""Interventions from a configuration to the page: the oracle knows effects, frozen frames and blind answers do not."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from vidworld.analysis.interventions import InterventionResults, reach_of
from vidworld.analysis.records import Value, read_as
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import Subject, needs_actions, takes_actions
from vidworld.evaluation.interventions import check_acting, measure_interventions
from vidworld.evaluation.paired_schema import HiddenConfig, InterventionConfig
from vidworld.models.diffusion import DiffusionTransformer, GenerativeModel
from vidworld.report.interventions_page import effect_sentences, write_interventions_page

CPU = Accelerator(cpu=True, mixed_precision="no")


class SameNoise:
    """The last frame, and noise of the clip's seed: whoever draws the same in both worlds predicts no effect of it."""

    def predict(self, context, num_frames, seeds):
        last = context.frames[:, -1:].float().expand(-1, num_frames, -1, -1, -1)
        drawn = [torch.rand(last.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        SameNoise.seeds.append(sorted(seeds))
        return (last + 20 * torch.stack(drawn)).clamp(0, 255).to(torch.uint8)

    seeds = []  # noqa: RUF012


class Acting:
    """The last frame; brighter where something is done."""

    def predict(self, context, num_frames, seeds, actions):
        assert context.actions is not None and not context.actions.any()
        Acting.given.append(float(actions.abs().max()))
        return context.frames[:, -1:].expand(-1, num_frames, -1, -1, -1).contiguous()

    given = []  # noqa: RUF012


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    kinds = {"collision": ("remove", "kick")}
    return InterventionConfig(
        out=tmp_path_factory.mktemp("do"), interventions=kinds, pairs=3, pairs_at_once=3, mixed_precision="no",
        models={"mine": f"python:{__name__}.SameNoise"}, samples=1,
        shape=ClipShape(height_px=32, width_px=32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(config):
    import sys

    sys.modules.setdefault(__name__, sys.modules[SameNoise.__module__])
    SameNoise.seeds.clear()
    return measure_interventions(config, CPU)


def values(results, metric):
    return {(row.model, row.task, row.split): row.value for row in results.rows if row.metric == metric}


def test_the_oracle_knows_effects_and_what_does_not_look_fails(results):
    found = values(results, "effect_error")
    for place in (("collision", "remove"), ("collision", "kick")):
        assert found["oracle", *place] < 0.05 and found["truth", *place] < 0.05
        assert found["no_effect", *place] == pytest.approx(1.0)
        assert found["copy_last", *place] == pytest.approx(1.0, abs=0.02)
        assert found["other_scene", *place] > 1.1
        assert found["mine", *place] > 0.9


def test_both_worlds_have_the_same_draws(results):
    seeds = SameNoise.seeds
    assert len(seeds) > 4 and sum(seeds.count(each) >= 2 for each in seeds) >= 4


def test_reach_is_a_share_of_the_chains_that_are_long_enough():
    right = {"truth": (2, 4, 4, 1), "mine": (2, 1, 4, 0)}
    values = [
        Value(model, "pixels", "dominoes", "interventions", "remove", "chain_reach", "links", str(i), float(links), 0)
        for model, reach in right.items()
        for i, links in enumerate(reach)
    ]
    truth, mine = reach_of(values)
    assert truth.shares == [1.0] * 4 and truth.counts == mine.counts == [4, 3, 2, 2]
    assert mine.shares == [3 / 4, 2 / 3, 1 / 2, 1 / 2]


def test_what_is_done_is_not_done_again(config, results):
    units = {path: path.stat().st_mtime_ns for path in (config.out / "units").iterdir()}
    again = measure_interventions(config, CPU)
    assert {path: path.stat().st_mtime_ns for path in (config.out / "units").iterdir()} == units
    assert [row.value for row in again.rows if not np.isnan(row.value)] == [
        row.value for row in results.rows if not np.isnan(row.value)
    ]


def test_the_page_shows_tables_chains_and_pictures(config, results):
    page = write_interventions_page(config.out).read_text()
    assert "Effect error" in page and "Another scene’s effect" in page and "collision" in page.lower()
    assert page.count("data:image/png") == len(results.strips) == 2 * 3  # truth, the model, the oracle
    assert len(effect_sentences(results)) == 2 and all(
        "not below" in line or "below" in line for line in effect_sentences(results)
    )
    kept = json.loads((config.out / "interventions.json").read_text())
    read = read_as(InterventionResults, config.out / "interventions.json")
    assert kept["schema"] == 1 and len(read.rows) == len(results.rows)


def test_models_that_act_are_given_the_actions_and_others_are_refused(tmp_path):
    Acting.given.clear()
    config = InterventionConfig(
        out=tmp_path, interventions={"puck": ("act",)}, pairs=1, mixed_precision="no", shown=0,
        models={"acting": f"python:{__name__}.Acting", "deaf": f"python:{__name__}.SameNoise"},
        shape=ClipShape(num_frames=32, height_px=32, width_px=32),
    )  # fmt: skip
    with pytest.raises(UserError, match="deaf: takes no actions; leave it out"):
        measure_interventions(config, CPU)
    config = replace(config, models={"acting": config.models["acting"]})
    found = values(measure_interventions(config, CPU), "passed_on_error")
    assert Acting.given[0] == 0.0 and Acting.given[1] > 0.1
    assert {model for model, *_ in found} == {
        "truth",
        "reconstruction",
        "no_effect",
        "other_scene",
        "acting",
        "copy_last",
    }
    assert found["truth", "puck", "act"] < 0.1 and found["acting", "puck", "act"] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"colision": ("remove",)}, "did you mean collision"),
        ({"puck": ("act", "kick")}, "the one intervention is act"),
        ({}, "names nothing to measure"),
        ({"collision": ()}, "names nothing to measure"),
        ({"collision": ("kick", "kick")}, "kick is named twice"),
    ],
)
def test_unknown_places_are_one_line(tmp_path, given, said):
    with pytest.raises((UserError, ValueError), match=said):
        InterventionConfig(out=tmp_path, interventions=given, shape=ClipShape())


def test_a_model_cannot_have_the_name_of_an_answer_beside_it(tmp_path):
    given = {"out": tmp_path, "interventions": {"collision": ("kick",)}, "models": {"no_effect": f"{tmp_path}"}}
    with pytest.raises(ValueError, match="cannot be named 'no_effect'"):
        InterventionConfig(**given)
    with pytest.raises(ValueError, match="cannot be named 'oracle_without_memory'"):
        HiddenConfig(out=tmp_path, models={"oracle_without_memory": f"{tmp_path}"})
    for key, value in (("scenarios", ()), ("splits", ()), ("splits", ("id", "id")), ("seed", 10**23)):
        with pytest.raises(ValueError, match=key):
            HiddenConfig(out=tmp_path, models={}, **{key: value})


@pytest.mark.parametrize(
    ("channels", "kinds", "said"),
    [
        (2, {"collision": ("kick",)}, "ours: needs actions, and in these clips"),
        (0, {"puck": ("act",)}, "takes no actions"),
    ],
)
def test_a_model_that_can_follow_none_of_the_interventions_is_refused(tmp_path, channels, kinds, said):
    network = DiffusionTransformer(4, width=16, depth=1, heads=1, action_channels=channels)
    subject = Subject("ours", GenerativeModel(network, "ours", 1, 8.0, (0.7,)), "")
    assert needs_actions(subject) == takes_actions(subject) == bool(channels)
    config = InterventionConfig(out=tmp_path, interventions=kinds, models={"ours": f"{tmp_path}"})
    with pytest.raises(UserError, match=said):
        check_acting(config, [subject])
    both = replace(config, interventions={"collision": ("kick",), "puck": ("act",)})
    check_acting(both, [subject])
