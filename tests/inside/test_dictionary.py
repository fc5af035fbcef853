"""A dictionary finds a sparse code that was planted, and its features are judged by what they are active at."""

import math
import sys

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr

from vidworld.analysis.inside import SHUFFLED, DictionaryResults
from vidworld.analysis.records import read_as
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.inside.concepts import CONCEPTS, scene_samples
from vidworld.inside.dictionary import about, agreement, along, learned, principal_components, sparse_coders
from vidworld.inside.exciting import EXCITING, dictionaries_of, marked
from vidworld.inside.schema import InsideConfig
from vidworld.models.states import cells_of
from vidworld.report.inside_page import write_inside_page

SMALL = ClipShape(height_px=32, width_px=32)


def of(*given):
    score = agreement(*given)
    return (score.above.sum(dim=0) / score.below.sum(dim=0)).tolist()


@pytest.fixture(scope="module")
def planted():
    """States of 24 channels that are made of 3 of 40 directions, whose number is more than there are channels."""
    draw = torch.Generator().manual_seed(0)
    atoms = F.normalize(torch.randn(40, 24, generator=draw), dim=1)
    codes = torch.rand(6000, 40, generator=draw) + 0.5
    codes[codes < codes.topk(3, dim=1).values[:, -1:]] = 0
    states = codes[:, torch.randperm(40, generator=draw)] @ atoms
    states = states - states.mean(dim=0)
    return atoms, states / states.square().mean().sqrt()


def test_a_planted_sparse_code_is_recovered(planted):
    atoms, states = planted
    code = learned(states[:5000], features=64, active=3, steps=600)
    written = code.encode(states[5000:])
    found = F.normalize(code.decode(torch.eye(64)) - code.decode(torch.zeros(1, 64)), dim=1)
    nearest = (atoms @ found.T).amax(dim=1)
    assert nearest.mean() > 0.95, nearest
    assert (written >= 0).all() and int((written > 0).sum(dim=1).max()) <= 3
    unexplained = (code.decode(written) - states[5000:]).square().sum() / states[5000:].square().sum()
    components = principal_components(states, 3)
    left = (components.decode(components.encode(states)) - states).square().sum() / states.square().sum()
    assert unexplained < 0.2 < left
    # directions that nothing was made of are found nowhere near as well
    others = F.normalize(torch.randn(40, 24, generator=torch.Generator().manual_seed(1)), dim=1)
    assert (others @ found.T).amax(dim=1).mean() < 0.7


def test_scores_are_rank_correlations_and_areas_under_the_curve():
    draw = torch.Generator().manual_seed(0)
    codes = torch.randn(60, 3, generator=draw).clamp_min(0)  # with ties
    answers = torch.randn(60, 2, generator=draw)
    direction = along(codes, answers)
    expected = [spearmanr(codes[:, i], (answers @ direction)[:, i]).statistic for i in range(3)]
    assert of(codes, answers, direction, False) == pytest.approx(expected, abs=1e-5)
    sign = torch.tensor([1.0, -1.0] * 30)[:, None]
    apart = codes[::2][:, None] - codes[1::2]
    area = ((apart > 0) + 0.5 * (apart == 0)).mean(dim=(0, 1), dtype=torch.float32)
    assert of(codes, sign, torch.ones(1, 3), True) == pytest.approx(area.tolist(), abs=1e-5)
    assert of(codes, sign, -torch.ones(1, 3), True) == pytest.approx((1 - area).tolist(), abs=1e-5)


def test_a_feature_that_grows_with_a_concept_is_found_in_its_direction():
    answers = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    codes = torch.stack([(answers @ torch.tensor([0.6, -0.8])).clamp_min(0), torch.zeros(200)], dim=1)
    direction = along(codes, answers)
    assert direction[:, 0].tolist() == pytest.approx([0.6, -0.8], abs=0.1)
    found = of(codes, answers, direction, False)
    assert found[0] > 0.85 and math.isnan(found[1])  # what is never active goes with nothing


def test_features_are_read_about_what_they_are_of():
    samples = scene_samples("test", SMALL, 8, 10, (8, 8))
    codes = torch.zeros(10, 8, 8, 2)
    discs = samples["discs"]
    cell = cells_of(discs.place, (8, 8), 1.0)
    codes[discs.clip[0], cell[0, 0], cell[0, 1], 1] = 9.0
    assert about(codes, discs)[0].tolist() == [0.0, 1.0]
    assert about(codes, samples["scene"])[discs.clip[0]].tolist() == pytest.approx([0.0, 9 / 64])
    frame = torch.zeros(3, 32, 32, dtype=torch.uint8)
    assert marked(frame, (1, 2), (8, 8)).any(dim=0).nonzero().amin(dim=0).tolist() == [4, 8]
    assert int(marked(frame, (1, 2), (8, 8)).any(dim=0).sum()) == 12


def test_no_more_features_are_active_than_there_are(tmp_path):
    with pytest.raises(ValueError, match="dictionary_active 8: there are only 4 dictionary_features"):
        InsideConfig(out=tmp_path, models={}, dictionary_features=4)


def test_a_dictionary_of_somebodys_model_from_states_to_the_page(tmp_path):
    config = InsideConfig(
        out=tmp_path, models={"mine": "python:seen_pixels.SeenPixels"}, shape=SMALL, untrained=False, fit=40,
        choose=60, test=60, quadruplets=16, mixed_precision="no", dictionary_features=48, dictionary_active=4,
        dictionary_steps=300,
    )  # fmt: skip
    dictionaries_of(config)
    found = read_as(DictionaryResults, tmp_path / "dictionary.json")
    of = {(row.code, row.control, row.concept or row.metric): row for row in found.rows}
    assert set(CONCEPTS) <= {row.concept for row in found.rows}
    assert of["dictionary", "", "R2"].value > 0.8 and of["dictionary", "", "L0"].value <= 4
    assert of["neurons", "", "R2"].value == pytest.approx(1)
    assert of["dictionary", "", "count"].low > 0.2
    assert of["dictionary", SHUFFLED, "count"].value < 0.35
    assert all(not row.low > row.high and -1 <= row.low <= row.high <= 8 for row in found.rows)
    shares = [of["dictionary", control, "follow a concept"].value for control in ("", SHUFFLED)]
    assert shares[0] > 0.15 > shares[1]
    assert found.features and all(1 <= len(row.exciting) <= EXCITING for row in found.features)
    assert found.features[0].exciting[0].split(" at ")[0].count("/") >= 3
    (strip,) = found.strips
    page = write_inside_page(tmp_path).read_text()
    assert (tmp_path / strip.file).exists() and strip.title in page and "Follow a concept" in page


def test_without_the_library_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sparsify", None)
    with pytest.raises(UserError, match=r"eai-sparsify, which is not installed: pip install 'vidworld\[dictionary\]'"):
        sparse_coders()
