"""What docs/uncertainty.md says came out is what its file says."""

import json
import re

from small_runs import ROOT

MODELS = ("regression", "few", "diffusion", "jepa", "oracle", "frozen", "blind", "noise_only")
ROWS = (
    ("`kick`: slope (aim 1)", "kick", "id", "position", "slope"),
    ("90% regions cover", "kick", "id", "position", "covered_90"),
    ("energy score ↓", "kick", "id", "position", "energy"),
    ("`panel`: slope, brightness", "panel", "id", "brightness", "slope"),
    ("R², brightness", "panel", "id", "brightness", "r2"),
    ("`uniform_hole`: error, in range ↓", "uniform_hole", "id", "position", "error"),
    ("error, in the hole ↓", "uniform_hole", "hole", "position", "error"),
    ("90% regions cover, in range", "uniform_hole", "id", "position", "covered_90"),
    ("epistemic reading, in range", "uniform_hole", "id", "position", "epistemic"),
)
CONTRASTS = (
    ("epistemic change of brightness (0)", "panel", "brightness", "epistemic_change"),
    ("epistemic change of places (0)", "panel", "position", "epistemic_change"),
    ("AUROC, epistemic (0.8)", "uniform_hole", "position", "auroc_hole"),
    ("AUROC, true error", "uniform_hole", "position", "auroc_hole_of_error"),
)


def same(cell, found, digits=2):
    """Whether a cell of the page is a value, or a value with its interval, of the file."""
    numbers = [float(text) for text in re.findall(r"-?\d+\.\d+", cell.replace("−", "-"))]
    if not isinstance(found, dict):
        return numbers == [round(found, digits)]
    return numbers[0] == round(found["value"], digits) + 0.0 and (
        len(numbers) == 1 or numbers[1:] == [round(found["low"], digits) + 0.0, round(found["high"], digits) + 0.0]
    )


def test_the_table_of_uncertainty_is_that_of_its_file():
    content = json.loads((ROOT / "results/uncertainty/longer.json").read_text())
    rows = {(r["subject"], r["scenario"], r["condition"], r["quantity"]): r for r in content["rows"]}
    contrasts = {(c["subject"], c["scenario"], c["quantity"], c["what"]): c["found"] for c in content["contrasts"]}
    page = (ROOT / "docs" / "uncertainty.md").read_text(encoding="utf-8").split("### Three families")[1]
    shown = [
        line.strip("| ").split(" | ")
        for line in page.splitlines()
        if line.startswith("| ") and "regression" not in line
    ]
    cells = {what: dict(zip(MODELS, found, strict=True)) for what, *found in shown}
    assert len(shown) == len(ROWS) + len(CONTRASTS) + 2  # noise doubled: of kick, and of the panel
    for what, *place, key in ROWS:
        for model, cell in cells[what].items():
            assert cell == "–" or same(cell, rows[model, *place][key], 3 if key == "epistemic" else 2), (what, model)
    for what, *place in CONTRASTS:
        for model in MODELS[:4]:
            assert same(cells[what][model], contrasts[model, *place]), (what, model)
    of_models = [check for check in content["checks"] if check["subject"] in ("regression", "diffusion", "jepa")]
    failed = [
        c for c in of_models if not (c["least"] or -1e9) <= c["value"] <= (1e9 if c["most"] is None else c["most"])
    ]
    assert f"{len(of_models)} checks {len(failed)} fail" in " ".join(page.split())


HEADS = ("gaussian", "true_numbers", "correlated", "true_cells", "oracle")


def test_the_table_of_gaussian_heads_is_that_of_its_file():
    content = json.loads((ROOT / "results/uncertainty/correlated.json").read_text())
    rows = {(r["subject"], r["scenario"], r["quantity"]): r for r in content["rows"] if r["condition"] == "id"}
    ratios = {(c["subject"], c["scenario"]): c["found"] for c in content["contrasts"] if c["what"] == "variance_ratio"}
    page = (ROOT / "docs" / "uncertainty.md").read_text(encoding="utf-8")
    part = page.split("### What a Gaussian can say")[1].split("### Three families")[0]
    lines = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")][1:]
    assert len(lines) == 9
    assert all(
        same(lines[8][i], rows[head, "uniform_hole", "position"]["error"]) for i, head in ((1, HEADS[0]), (3, HEADS[2]))
    )
    for place, of_place in (("panel", lines[:4]), ("kick", lines[4:8])):
        quantity, digits = ("brightness", 3) if place == "panel" else ("position", 2)
        for i, head in enumerate(HEADS, start=1):
            row = rows[head, place, quantity]
            for line, key in zip(of_place, ("slope", "covered_90", "energy"), strict=False):
                assert same(line[i], row[key], digits if key == "energy" else 2), (place, head, key)
            assert same(of_place[3][i], ratios[head, place]), (place, head)
    assert not content["provenance"]["dirty"]


LONGER = (
    *(
        ("kick", "position", key)
        for key in ("slope", "r2", "covered_90", "energy", "variance_ratio", "epistemic_change")
    ),
    *(
        ("panel", "brightness", key)
        for key in ("slope", "r2", "covered_90", "energy", "variance_ratio", "epistemic_change")
    ),
    ("panel", "position", "epistemic_change"),
    *(("uniform_hole", "position", key) for key in ("error", "covered_90", "auroc_hole", "auroc_hole_of_error")),
)


def test_the_table_of_three_members_a_family_is_that_of_its_file():
    content = json.loads((ROOT / "results/uncertainty/learned_basis.json").read_text())
    rows = {(r["subject"], r["scenario"], r["quantity"]): r for r in content["rows"] if r["condition"] == "id"}
    contrasts = {(c["subject"], c["scenario"], c["quantity"], c["what"]): c["found"] for c in content["contrasts"]}
    page = (ROOT / "docs" / "uncertainty.md").read_text(encoding="utf-8")
    part = page.split("### Three members a family")[1].split("\n### ")[0]
    lines = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")][1:]
    assert len(lines) == len(LONGER)
    for (scenario, quantity, key), cells in zip(LONGER, lines, strict=True):
        for name, cell in zip(("regression", "diffusion", "jepa", "true_cells", "oracle"), cells[1:], strict=True):
            row = rows.get((name, scenario, quantity), {})
            found = row.get(key, contrasts.get((name, scenario, quantity, key)))
            digits = 3 if (key, quantity) == ("energy", "brightness") else 2
            if cell == "–":
                assert found is None
            else:
                assert same(cell, found, digits), (scenario, key, name)
    assert {len(members) for members in content["members"].values()} == {3}
    families, places = ("regression", "jepa", "diffusion"), (("kick", "position"), ("panel", "brightness"))
    ratios = [contrasts[name, *place, "variance_ratio"] for name in families for place in places]
    assert [ratio["low"] <= 2 <= ratio["high"] for ratio in ratios] == [True, True, True, False, False, False]
    changes = [
        contrasts[name, scenario, "position", "epistemic_change"] for name in families for scenario in ("kick", "panel")
    ]
    assert sum(abs(change["value"]) < 0.1 for change in changes) == 3
    assert all(change["low"] <= 0 <= change["high"] and change["high"] >= 0.285 for change in changes)
    best = min(rows[name, "panel", "brightness"]["energy"] for name in families)
    assert rows["diffusion", "panel", "brightness"]["energy"] == best
    assert not content["provenance"]["dirty"]


def test_the_table_of_twice_the_std_is_that_of_its_file():
    content = json.loads((ROOT / "results/uncertainty/twice_the_std.json").read_text())
    contrasts = {(c["subject"], c["scenario"], c["quantity"], c["what"]): c["found"] for c in content["contrasts"]}
    page = (ROOT / "docs" / "uncertainty.md").read_text(encoding="utf-8")
    part = page.split("### Noise of twice the std")[1].split("\n### ")[0]
    lines = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")][1:]
    places = [
        (place, what) for place in (("kick", "position"), ("panel", "brightness")) for what in ("", "_of_twice_the_std")
    ]
    for (place, what), cells in zip(places, lines, strict=True):
        for name, cell in zip(("regression", "jepa", "true_cells", "oracle"), cells[1:], strict=True):
            assert same(cell, contrasts[name, *place, f"variance_ratio{what}"]), (place, what, name)
            assert name == "oracle" or not what or contrasts[name, *place, f"variance_ratio{what}"]["low"] > 2
    assert {len(members) for members in content["members"].values()} == {1} and not content["provenance"]["dirty"]
