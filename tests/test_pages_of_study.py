"""What the pages say of the study's largest point, and of the compute that its aims would take, is of its files."""

import json
import re
from collections import Counter

import numpy as np
from scripts import ROOT
from study_files import study_rows
from test_pages_of_results import STUDY_ROLLOUTS

from vidworld.analysis.study import findings, read_study

FAMILIES = ("regression", "diffusion", "jepa")
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
OUT_OF_RANGE = "velocity error, `collision`, out of range, units/s ↓"
MEASURES = {
    "velocity error, `uniform`, units/s ↓": ("uniform", "velocity_error", "id"),
    "velocity error, `collision`, units/s ↓": ("collision", "velocity_error", "id"),
    OUT_OF_RANGE: STUDY_ROLLOUTS[OUT_OF_RANGE],
    "object integrity, `uniform` ↑": ("uniform", "object_integrity", "id"),
    **STUDY_ROLLOUTS,
}
AIMS = {"velocity error, `uniform`": 0.15, "velocity error, `collision`": 0.30, "the same, out of range": 1.50}


def read(file, place):
    (row,) = (r for r in study_rows(file) if (r["task"], r["metric"], r["split"], r["readout"]) == (*place, "pixels"))
    return row


def test_rollouts_at_the_largest_point_are_those_of_their_files():
    table = PAGE.split("Rollouts at 9e13 FLOPs")[1].split("###")[0]
    files = [ROOT / "results" / "study" / f"{family}_9.0e13_nuisance0_seed0.json" for family in FAMILIES]
    for what, place in MEASURES.items():
        (cells,) = re.findall(rf"^\| {re.escape(what)} \| (.*) \|$", table, re.MULTILINE)
        rows = [read(file, place) for file in files]
        expected = [f"{row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" for row in rows]
        assert cells.split(" | ") == [*expected, f"{rows[0]['floor']:.2f}", f"{rows[0]['ceiling']:.2f}"], what


def power_of_compute(family, place):
    """The exponent of the error over FLOPs, and its size at one FLOP (as a logarithm), by all trainings."""
    files = sorted((ROOT / "results" / "study").glob(f"{family}_*_nuisance0_seed*.json"))
    flops = [float(re.search(r"_([\d.]+e\d+)_", file.name).group(1)) for file in files]
    return np.polyfit(np.log(flops), np.log([read(file, place)["value"] for file in files]), 1)


def test_the_compute_that_aims_would_take_follows_from_the_files():
    table = PAGE.split("What the aims would take")[1].split("###")[0]
    places = dict(zip(AIMS, list(MEASURES.values())[:3], strict=True))
    for what, aim in AIMS.items():
        (cells,) = re.findall(rf"^\| {re.escape(what)} \| (.*) \|$", table, re.MULTILINE)
        expected = [f"{aim:.2f}"]
        for family in ("regression", "diffusion"):
            exponent, size = power_of_compute(family, places[what])
            expected += [
                f"{exponent:.2f}".replace("-", "−"),
                f"{np.exp((np.log(aim) - size) / exponent):.0e}".replace("+", ""),
            ]
        assert cells.split(" | ") == expected, what


def test_what_is_said_of_families_follows_from_their_five_trainings():
    said = " ".join(PAGE.split("**Families at 9e12 FLOPs.**")[1].split("- **1.8e13")[0].split())
    found = [each for each in findings(read_study(ROOT / "results" / "study"), 9e12) if min(each.runs) == 5]
    assert {each.place.nuisance for each in found} == {0}
    assert f"Of {len(found) // 3} headline" in said and f"all {len(found):,} comparisons" in said
    won = Counter((finding.better, finding.other) for finding in found if finding.better)
    assert won == {
        ("regression", "jepa"): 49, ("regression", "diffusion"): 21, ("diffusion", "jepa"): 12, ("jepa", "diffusion"): 1
    }  # fmt: skip
    assert (
        "than the JEPA on 49 and than diffusion on 21, diffusion than the JEPA on 12, and the JEPA than diffusion on 1"
        in said
    )
    speeds = [f for f in found if set(f.families) == {"jepa", "regression"} and f.place.metric == "velocity_error"]
    assert f"on {sum(f.better == 'regression' for f in speeds)} of {len(speeds)}" in said
    laws = [f for f in found if (f.place.task, f.place.split) == ("surprise", "id")]
    nearest = min(laws, key=lambda f: f.p_value)
    assert not any(f.better for f in laws) and f"(p = {nearest.p_value:.2f})" in said
    assert (nearest.place.law, set(nearest.families)) == ("collision", {"jepa", "diffusion"})


def test_the_table_of_a_longer_decoder_is_that_of_its_files():
    part = PAGE.split("### A decoder trained ten times as long")[1].split("\n### ")[0]
    lines = dict(line.strip("| ").split(" | ", 1) for line in part.splitlines() if line.startswith("| "))
    assert len(lines) == len(MEASURES) + 1
    decoders = [ROOT / "results" / "decoder" / f"jepa_9.0e13_seed0_{steps}_steps.json" for steps in (300, 3000)]
    told = [json.loads(file.read_text(encoding="utf-8"))["results"] for file in decoders]
    others = [study_rows(ROOT / "results" / "study" / f"{name}_9.0e13_nuisance0_seed0.json") for name in FAMILIES[:2]]
    for what, place in MEASURES.items():
        cells = []
        for rows in (*([row for row in rows if row["model"] == "model"] for rows in told), *others):
            (row,) = (r for r in rows if (r["task"], r["metric"], r["split"], r["readout"]) == (*place, "pixels"))
            cells.append(f"{row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}]")
        assert lines[what].split(" | ") == cells, what


def test_what_a_decoders_share_changes_at_a_fifth_of_that_is_of_its_files():
    part = " ".join(PAGE.split("### A decoder trained ten times as long")[1].split("\n### ")[0].split())
    name = "jepa_1.8e13_nuisance0_seed0.json"
    shared, usual = (
        [read(ROOT / "results" / folder / name, ("collision", metric, "id"))["value"] for metric in MEASURED]
        for folder in ("study_decoder", "study")
    )
    assert (
        f"at {shared[0]:.2f} ({usual[0]:.2f}), the discs slightly more whole ({shared[1]:.2f} for {usual[1]:.2f})"
        in part
    )


MEASURED = ("velocity_error", "object_integrity")


def test_what_every_training_has_cost_is_its_budget_decoder_included():
    results = [
        result
        for folder in ("study", "study_sample", "study_decoder")
        for result in read_study(ROOT / "results" / folder)
    ]
    assert len(results) > 50
    assert all(abs(result.training_flops / result.budget - 1) < 0.01 for result in results)
