"""Readings of uncertainty: known variances are read as they are, the oracle passes and what knows nothing fails."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vidworld.analysis.records import Value, read_as
from vidworld.analysis.uncertainty import UncertaintyResults, checks_of, contrasts_of, tables_of, uncertainty_row
from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import load
from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import evaluation_accelerator
from vidworld.evaluation.true_gaussians import MOMENTS_OF, of_cells, of_numbers
from vidworld.evaluation.uncertainty import CONTROLS_OF_UNCERTAINTY, Bench, known_of, measure_uncertainty, readings
from vidworld.evaluation.uncertainty_schema import UncertaintyConfig
from vidworld.models.families import FAMILIES, DiffusionConfig, DiffusionModel, RegressionConfig, RegressionModel
from vidworld.models.files import read_budget, save_model
from vidworld.models.probe import Probe
from vidworld.models.tokenizers.autoencoder import Autoencoder
from vidworld.report.uncertainty_page import uncertainty_summary, write_uncertainty_page
from vidworld.simulation.simulated import SimulatedClips

SHIPPED = Path(__file__).parents[2] / "configs" / "sure" / "uncertainty.yaml"


def test_variances_within_and_between_members_are_told_apart():
    draw = np.random.default_rng(0)
    clips, std, disagreement = 300, 0.7, 0.4
    centre = disagreement * draw.normal(size=(5, 1, clips, 1, 2))
    happened = np.zeros((clips, 3, 2))
    found = readings(centre + std * draw.normal(size=(5, 8, clips, 3, 2)), np.zeros((9, clips, 3, 2)), happened)
    assert found["aleatoric"].mean() == pytest.approx(2 * std**2, rel=0.05)
    assert found["epistemic"].mean() == pytest.approx(2 * disagreement**2, rel=0.1)
    alike = readings(std * draw.normal(size=(5, 8, clips, 3, 2)), np.zeros((9, clips, 3, 2)), happened)
    assert abs(alike["epistemic"].mean()) < 0.02  # few futures scatter by themselves
    doubled = readings(
        centre + 2**0.5 * std * draw.normal(size=(5, 8, clips, 3, 2)), np.zeros((9, clips, 3, 2)), happened
    )
    assert doubled["aleatoric"].mean() == pytest.approx(2 * found["aleatoric"].mean(), rel=0.05)
    assert doubled["epistemic"].mean() == pytest.approx(found["epistemic"].mean(), rel=0.1)


def test_one_member_has_no_epistemic_reading_and_one_future_no_aleatoric_one():
    draws, true, happened = np.zeros((1, 1, 4, 3, 2)), np.zeros((9, 4, 3, 2)), np.ones((4, 3, 2))
    found = readings(draws, true, happened)
    assert np.isnan(found["aleatoric"]).all() and np.isnan(found["epistemic"]).all()
    assert np.isnan(found["covered_0.9"]).all()  # no region, which the truth could lie in
    row = uncertainty_row(("mine", "kick", "id", "position"), found)
    assert np.isnan([row.covered_90.value, row.calibration_error, row.excess, *row.selective]).all()
    assert np.allclose(found["error"], 2**0.5) and np.allclose(found["energy"], 2**0.5)


@pytest.fixture(scope="module")
def control_rows():
    """Rows of the oracle and the controls, of as many clips as an evaluation has."""
    config = load(UncertaintyConfig, SHIPPED, ["true_samples=96"])
    values = []
    for scenario, clips in (("kick", 384), ("peg", 128), ("panel", 24)):
        known = known_of(config, SimulatedClips(scenario, "id"), range(clips))
        for name, control in CONTROLS_OF_UNCERTAINTY.items():
            for quantity in known.draws:
                draws = control(known, quantity)[None]
                for metric, each in readings(draws, known.draws[quantity], known.happened[quantity]).items():
                    place = (name, quantity, scenario, "uncertainty", "id", metric, "")
                    values += [Value(*place, str(i), x, 0) for i, x in enumerate(each.tolist())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vidworld.analysis.uncertainty.RESAMPLED", 20)
        return [uncertainty_row(place, table) for place, table in tables_of(values).items()]


def test_the_oracle_passes_and_what_knows_nothing_fails(control_rows):
    checks = checks_of(control_rows, [], ())
    assert {check.subject for check in checks} == set(CONTROLS_OF_UNCERTAINTY) and len(checks) == 24
    assert [f"{c.subject}: {c.what}: {c.value}" for c in checks if not c.holds] == []


def test_what_is_certain_has_no_slope(control_rows):
    of = {(row.subject, row.scenario, row.quantity): row for row in control_rows}
    row, blind = of["oracle", "panel", "position"], of["blind", "kick", "position"]
    assert row.true_variance < 1e-20 and np.isnan(row.slope.value) and row.error < 1e-9
    assert blind.calibration_error < 0.05  # calibrated, and worth nothing


def test_contrasts_are_of_clips_out_of_range_and_of_doubled_noise():
    draw, values = np.random.default_rng(0), []

    def add(scenario, condition, **means):
        for metric, mean in means.items():
            place = ("mine", "position", scenario, "uncertainty", condition, metric, "")
            values.extend(Value(*place, str(i), mean * x, 0) for i, x in enumerate(draw.uniform(0.9, 1.1, 64)))

    add("uniform_hole", "id", epistemic=1.0, error=1.0)
    add("uniform_hole", "hole", epistemic=2.0, error=1.0)
    add("kick", "noise", aleatoric=1.0, true_variance=1.0, epistemic=1.0)
    add("kick", "noise_doubled", aleatoric=2.1, true_variance=2.0, epistemic=1.3)
    add("kick", "noise_twice_the_std", aleatoric=3.1, true_variance=4.0, epistemic=1.05)
    contrasts = contrasts_of(tables_of(values))
    found = {each.what: each.found.value for each in contrasts}
    assert found["auroc_hole"] == 1.0 and found["auroc_hole_of_error"] == pytest.approx(0.5, abs=0.1)
    assert found["variance_ratio"] == pytest.approx(2.1, rel=0.05) and found["true_ratio"] == pytest.approx(2, rel=0.05)
    assert found["true_ratio_of_twice_the_std"] == pytest.approx(4, rel=0.05)
    holds = {check.what.rpartition(": ")[2]: check.holds for check in checks_of([], contrasts, ["mine"])}
    assert holds == {
        "auroc hole": True, "variance ratio": True, "epistemic change": False,
        "variance ratio of twice the std": True, "epistemic change of twice the std": True,
    }  # fmt: skip


def test_the_same_scenes_are_drawn_again_together():
    """Where every scene's variance is doubled, however much scenes differ, nothing about the factor is unsure."""
    varied = np.random.default_rng(0).lognormal(sigma=2, size=64)
    values = [
        Value("mine", "position", "kick", "uncertainty", condition, metric, "", str(i), factor * x, 0)
        for condition, factor in (("noise", 1.0), ("noise_doubled", 2.0))
        for metric in ("aleatoric", "true_variance", "epistemic")
        for i, x in enumerate(varied.tolist())
    ]
    found = {each.what: each.found for each in contrasts_of(tables_of(values))}
    for what, expected in (("variance_ratio", 2.0), ("true_ratio", 2.0), ("epistemic_change", 1.0)):
        assert found[what].low == pytest.approx(expected) and found[what].high == pytest.approx(expected)


@pytest.fixture
def config(tmp_path):
    """A small configuration of networks that were never trained."""
    torch.manual_seed(0)
    tokenizer = Autoencoder((4, 8, 8), 8, 32, 1, 1, grid=(4, 4))
    save_model(tokenizer, tmp_path / "tokenizer", {})
    record = {"tokenizer": json.loads((tmp_path / "tokenizer/model/budget.json").read_text())["fingerprint"]}
    save_model(Probe(8, 8, 4, (4, 4), 32, 1), tmp_path / "probe", record)
    size = {"width": 32, "heads": 2}
    few = {"encoder_depth": 1, "predictor_depth": 1}
    given = {"out": tmp_path, "tokenizer": tmp_path}
    configs = {
        "diffusion": DiffusionConfig(model=DiffusionModel(**size, depth=1), **given),
        "regression": RegressionConfig(model=RegressionModel(**size, **few), **given),
        "gaussian": RegressionConfig(model=RegressionModel(**size, **few, chance="gaussian"), **given),
    }
    for name, each in configs.items():
        for number in range(2):
            network = FAMILIES[each.family].network(each, 8)
            torch.nn.init.normal_(network.head.weight, std=0.1)
            save_model(network, tmp_path / f"{name}{number}", {**record, "family": each.family})
    return UncertaintyConfig(
        out=tmp_path / "out", members={name: (f"{tmp_path}/{name}0", f"{tmp_path}/{name}1") for name in configs},
        tokenizer=tmp_path / "tokenizer", probe=tmp_path / "probe", scenarios=("panel",), clips=8,
        control_clips=16, samples=3, true_samples=16, clips_at_once=8, shape=ClipShape(height_px=32, width_px=32),
        sampling_steps=2, mixed_precision="no",
    )  # fmt: skip


@pytest.mark.parametrize("order", ["true", "0", "3", "1.0"])
def test_an_order_of_steps_that_there_is_not_is_refused(order):
    with pytest.raises(UserError, match="sampling_order"):
        load(UncertaintyConfig, SHIPPED, [f"sampling_order={order}"])


def test_a_probe_of_one_family_makes_no_other_stale(config, tmp_path):
    def units(given):
        return {(unit.batch, unit.subject): unit.made_from for unit in Bench(given, accelerator).units()}

    accelerator = evaluation_accelerator("no")
    before = units(config)
    save_model(Probe(8, 8, 4, (4, 4), 32, 1), tmp_path / "own", read_budget(tmp_path / "probe"))
    own = tmp_path / "own"
    after = units(replace(config, probes={"gaussian": (own, own)}))
    assert before.keys() == after.keys()
    assert {place[1] for place in after if after[place] != before[place]} == {"gaussian"}


@pytest.mark.thorough
def test_every_family_is_measured_alike_and_no_unit_twice(config, monkeypatch):
    monkeypatch.setattr("vidworld.analysis.uncertainty.RESAMPLED", 20)
    results = measure_uncertainty(config)
    rows = {(row.subject, row.scenario, row.condition, row.quantity): row for row in results.rows}
    assert {key[2] for key in rows} == {"id", "noise", "noise_doubled", "noise_twice_the_std"}
    for name in ("diffusion", "gaussian"):
        row = rows[name, "panel", "id", "brightness"]
        assert row.aleatoric > 0 and np.isfinite(row.epistemic) and row.clips == 8
    point = rows["regression", "panel", "id", "position"]
    assert np.isnan(point.aleatoric) and point.epistemic > 0  # no head, no reading; two seeds disagree
    assert rows["oracle", "panel", "id", "brightness"].clips == 16
    assert rows["true_cells", "panel", "id", "brightness"].aleatoric > 0
    assert np.isnan(rows["oracle", "panel", "noise", "position"].epistemic)
    whats = {each.what for each in results.contrasts if each.subject == "regression"}
    of_points = {"true_ratio", "epistemic_change"}  # nothing else is read of a point
    assert whats == of_points | {f"{name}_of_twice_the_std" for name in of_points}
    page = write_uncertainty_page(config.out / "uncertainty.json", config.out / "page.html").read_text()
    assert "no reading" in page and "reliability" in page and "nan" not in page.lower().replace("finance", "")
    assert "Oracle" in uncertainty_summary(results)
    before = {path: path.stat().st_mtime_ns for path in (config.out / "units").iterdir()}
    again = measure_uncertainty(config)
    assert {path: path.stat().st_mtime_ns for path in (config.out / "units").iterdir()} == before
    assert json.dumps(asdict(again)["rows"]) == json.dumps(asdict(results)["rows"])
    read = read_as(UncertaintyResults, config.out / "uncertainty.json")
    assert read.members["diffusion"] == config.members["diffusion"]


def test_the_true_gaussians_have_the_moments_of_the_futures():
    """Two numbers of a cell that are one: apart they lose what they have in common, together they keep it."""
    draw = torch.Generator().manual_seed(0)
    common = torch.randn(1, MOMENTS_OF, 2, 1, 1, 1, generator=draw)
    futures = torch.cat((common, common), dim=-1) + 3
    normal = torch.randn(1, 4000, 2, 1, 1, MOMENTS_OF, generator=draw)
    apart, together = of_numbers(futures, normal[..., :2]), of_cells(futures, normal)
    true = futures.sum(dim=-1).var(dim=1)
    assert torch.allclose(apart.var(dim=1), futures.var(dim=1), rtol=0.1)
    assert torch.allclose(together.mean(dim=1), futures.mean(dim=1), atol=0.1)
    assert torch.allclose(apart.sum(dim=-1).var(dim=1), true / 2, rtol=0.1)
    assert torch.allclose(together.sum(dim=-1).var(dim=1), true, rtol=0.1)
    assert abs(together.flatten(2)[0].T.corrcoef()[0, 2]) < 0.1  # each chunk varies by itself


def test_parts_that_do_not_fit_are_said(config, tmp_path):
    with pytest.raises(UserError, match="was trained on pictures of 32 x 32 px, not of 64 x 64; pictures of that size"):
        measure_uncertainty(replace(config, shape=ClipShape()))
    twice = (config.members["regression"][0],) * 2
    with pytest.raises(UserError, match=r"members\.mine: names one model twice"):
        measure_uncertainty(replace(config, members={"mine": twice}, probes={}))
    with pytest.raises(UserError, match=f"{tmp_path}/probe: holds no world model"):
        measure_uncertainty(replace(config, members={"mine": (f"{tmp_path}/probe",)}))
    record = {"tokenizer": json.loads((tmp_path / "tokenizer/model/budget.json").read_text())["fingerprint"]}
    save_model(Probe(8, 8, 4, (4, 4), 32, 1, decodes=True), tmp_path / "probe", record)
    with pytest.raises(UserError, match="reads a JEPA's embeddings and no tokens; name it as probes"):
        measure_uncertainty(config)


def test_what_is_wrong_in_a_configuration_is_said():
    with pytest.raises(UserError, match=r"probes\.jepa names 1 probes, members\.jepa 2"):
        load(UncertaintyConfig, SHIPPED, ["probes.jepa=[runs/a]"])
    with pytest.raises(UserError, match="oracle"):
        load(UncertaintyConfig, SHIPPED, ["members.oracle=[runs/a]"])
    with pytest.raises(UserError, match="there is no scenario 'kik'"):
        load(UncertaintyConfig, SHIPPED, ["scenarios=[kik]"])
    for wrong in ("scenarios=[]", "base_level=1e300", f"seed={10**23}"):
        with pytest.raises(UserError, match=wrong.partition("=")[0]):
            load(UncertaintyConfig, SHIPPED, [wrong])
