"""Concepts by layer, end to end for somebody's model: what is there is read, and what is made wrong is not."""

import math

import pytest
import torch

from vidworld.analysis.inside import SHUFFLED, ProbeResults
from vidworld.analysis.records import read_as
from vidworld.analysis.ridge import Spectrum
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.inside.concepts import CONCEPTS, hidden_samples, scene_samples
from vidworld.inside.features import in_grid, windows
from vidworld.inside.probes import network_of, ratio_over, score
from vidworld.inside.probing import probe_models
from vidworld.inside.schema import InsideConfig
from vidworld.models.states import cells_of
from vidworld.report.inside_page import write_inside_page

SMALL = ClipShape(height_px=32, width_px=32)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    config = InsideConfig(
        out=tmp_path_factory.mktemp("inside"), models={"mine": "python:seen_pixels.SeenPixels"}, shape=SMALL,
        fit=60, choose=30, test=40, quadruplets=16, mixed_precision="no",
    )  # fmt: skip
    probe_models(config)
    return config.out, read_as(ProbeResults, config.out / "probes.json")


@pytest.mark.thorough
def test_every_concept_has_its_rows_and_controls(results):
    _, found = results
    kinds = {(row.probe, row.control) for row in found.rows}
    assert len(kinds) == 4 and set(found.concepts) == set(CONCEPTS)
    for name, concept in CONCEPTS.items():
        rows = [row for row in found.rows if row.concept == name]
        assert {row.metric for row in rows} == {"accuracy" if concept.binary else "R2"}
        assert all(row.low <= row.value <= row.high for row in rows)
    place = {(row.probe, row.control): row for row in found.rows if row.concept == "place"}
    assert place["ridge", ""].value > 0.4
    assert place["ridge", ""].selectivity == pytest.approx(place["ridge", ""].value - place["ridge", SHUFFLED].value)


def test_shuffled_labels_are_at_chance_within_their_interval(results):
    shuffled = [row for row in results[1].rows if row.control == SHUFFLED]
    assert {row.metric for row in shuffled} == {"accuracy", "R2"}
    for row in shuffled:
        chance = 0.5 if row.metric == "accuracy" else 0.0
        assert row.low <= chance + 0.02 and row.high >= chance - 0.05, row


def test_the_page_shows_every_concept(results):
    folder, found = results
    page = write_inside_page(folder).read_text()
    assert page.count('class="heat"') == 1
    for row in found.rows:
        if row.probe == "ridge" and not row.control:
            assert f">{row.value:.2f}<" in page
    with pytest.raises(UserError, match=r"holds no probes.json"):
        write_inside_page(folder / "none")


def test_what_is_hidden_looks_the_same_in_both_clips():
    for kind in ("hidden", "screens"):
        samples = hidden_samples(kind, "test", SMALL, 8, 6)
        (answer,) = samples.answers.values()
        assert float(answer.sum()) == 0
        half = len(samples.clips) // 2
        a, b = (samples.clips.frames[some].int() for some in (slice(half), slice(half, None)))
        assert int((a[:, -1] - b[:, -1]).abs().max()) <= 1
        assert (a - b).abs().amax() > 50
        for group in samples.group.unique():
            assert float(answer[samples.group == group].sum()) == 0


def test_frames_in_another_order_have_the_truth_of_the_last_one_shown():
    plain, mixed = (scene_samples("test", SMALL, 8, 10, (8, 8), shuffled)["scene"] for shuffled in (False, True))
    assert (plain.answers["count"] == mixed.answers["count"]).all()
    for clip in range(4):
        shown = [tuple(frame.flatten().tolist()) for frame in mixed.clips.frames[clip]]
        frames = [tuple(frame.flatten().tolist()) for frame in plain.clips.frames[clip]]
        assert sorted(shown) == sorted(frames)
        moved = plain.answers["position"][clip] - mixed.answers["position"][clip]
        assert (shown[-1] == frames[-1]) == bool((moved.abs() < 1e-6).all())


def test_windows_are_about_the_cell_and_go_back_to_it():
    states = torch.arange(2 * 4 * 4, dtype=torch.float32).view(2, 4, 4, 1)
    cell = cells_of(torch.tensor([[9.9, 0.1], [5.1, 5.1]]), (4, 4), 1.0)
    assert cell.tolist() == [[0, 3], [2, 2]]
    clip = torch.tensor([0, 1])
    found = windows(states, clip, cell)
    assert found[0].tolist() == [0, 0, 0, 2, 3, 0, 6, 7, 0]
    assert found[1, 4] == states[1, 2, 2, 0]
    back = in_grid(found, clip, cell, 2, (4, 4))
    assert (back[1, 1:, 1:] == states[1, 1:, 1:]).all() and (back[1, 0] == 0).all()


def test_probes_find_what_is_linear_and_what_is_not():
    draw = torch.Generator().manual_seed(0)
    x, others = torch.randn(400, 6, generator=draw), torch.randn(300, 6, generator=draw)
    group = torch.arange(300)

    def answers(features):
        return {"line": features[:, :1] * 2 + 1, "bend": features[:, 1:2].abs()}

    spectrum, told, true = Spectrum(x), answers(x), answers(others)
    reads = network_of(spectrum.components(x), told, spectrum.components(others), true)(spectrum.components(others))
    line, bend = (
        score(spectrum.ridge(told[name], others, true[name])(others), true[name], told[name].mean(dim=0), group, False)
        for name in told
    )
    assert line.value > 0.999 and line.low > 0.999
    assert bend.value < 0.1
    assert score(reads["bend"], true["bend"], told["bend"].mean(dim=0), group, False).value > 0.5


def test_intervals_resample_groups_and_not_samples():
    above, below = torch.tensor([1.0, 0.0] * 20), torch.ones(40)
    apart = ratio_over(above, below, torch.arange(40))
    together = ratio_over(above, below, torch.arange(40) // 2)
    assert apart.low < 0.45 and apart.high > 0.55
    assert together == (0.5, 0.5, 0.5)
    assert math.isnan(ratio_over(above[:0], below[:0], torch.arange(0)).value)
