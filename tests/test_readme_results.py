"""What the readme says of results is what the study's files hold."""

import re

from scripts import ROOT
from study_files import STUDY_LAWS, cue_cells, study_cells, study_rows


def test_the_table_of_the_readme_is_that_of_its_files():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [row.strip("| ").split(" | ") for row in text.splitlines() if "↑" in row or "↓" in row]
    places = {"permanence ↑": 0, "collision ↑": 1, "velocity error, `collision`, units/s ↓": 6}
    trainings = {"9e12": ("9.0e12", 5), "3.6e13": ("3.6e13", 3)}
    assert len(rows) == 5
    heads = "regression | diffusion | jepa | frozen frame (floor) | picture cues | one-object rule | oracle (ceiling) |"
    assert f"| surprise accuracy or error, in distribution | FLOPs | {heads}" in text
    assert "five a family at 9e12 FLOPs, three at 3.6e13" in text
    for what, flops, *cells in rows:
        budget, count = trainings[flops]
        for cell, family in zip(cells, ("regression", "diffusion", "jepa"), strict=False):
            files = sorted((ROOT / "results" / "study").glob(f"{family}_{budget}_nuisance0_seed*.json"))
            assert len(files) == count
            found = sorted({study_cells(file)[places[what]].split()[0] for file in files})
            assert cell == "–".join(sorted({found[0], found[-1]})), (what, flops, family)
        floor, cues, rule, ceiling = cells[3:]
        law = what.removesuffix(" ↑")
        assert [cues, rule] == (cue_cells(law)[:2] if law in STUDY_LAWS else ["–", "–"]), what
        page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
        for name, cell in (("frozen last frame (floor)", floor), ("oracle (ceiling)", ceiling)):
            assert (
                re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", page, re.MULTILINE)[0].split(" | ")[places[what]]
                == cell
            )


def test_ranges_in_the_readmes_sentences_are_those_of_the_files():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())

    def span(task, metric, split, law=None, budget="3.6e13"):
        found = [
            row["value"]
            for file in (ROOT / "results" / "study").glob(f"*_{budget}_nuisance0_seed*.json")
            for row in study_rows(file)
            if (row["task"], row["metric"], row["split"]) == (task, metric, split)
            and law in (None, row["law"])
            and row["readout"] in (None, "pixels")
        ]
        assert len(found) == 9
        return f"{min(found):.2f}–{max(found):.2f}"

    assert f"Out of range collision is at {span('surprise', 'surprise_accuracy', 'ood', 'collision')} (3.6e13)" in text
    assert f"but not out of range ({span('collision', 'velocity_error', 'ood')}; 3.00)" in text
    assert f"Discs are less whole ({span('collision', 'object_integrity', 'id')}; 0.90)" in text
    momentum = [study_cells(file)[2] for file in (ROOT / "results" / "study").glob("*_3.6e13_nuisance0_seed*.json")]
    assert "All learn momentum (1.00)" in text and {cell.split()[0] for cell in momentum} == {"1.00"}


def apart(better, worse, budget, law):
    """In how many pairs of trainings the interval of one family lies above that of another."""
    place = {"task": "surprise", "law": law, "metric": "surprise_accuracy", "split": "id"}
    ends = [
        [
            (row["low"], row["high"])
            for file in sorted((ROOT / "results" / "study").glob(f"{family}_{budget}_nuisance0_seed*.json"))
            for row in study_rows(file)
            if all(row[key] == value for key, value in place.items())
        ]
        for family in (better, worse)
    ]
    assert [len(each) for each in ends] == [3, 3]
    return sum(one[0] > other[1] for one in ends[0] for other in ends[1])


def test_pairs_of_trainings_that_pages_count_are_those_of_the_files():
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert [apart(other, "jepa", "3.6e13", "permanence") for other in ("regression", "diffusion")] == [9, 9]
    assert (
        "JEPAs learn permanence later: at 3.6e13 they lie below others by disjoint intervals in all 18 pairs" in readme
    )
    page = " ".join((ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())
    assert apart("regression", "diffusion", "1.8e13", "permanence") == 7 and "disjoint in 7 of 9 pairs" in page
    assert apart("regression", "jepa", "1.8e13", "permanence") == 9 and "in all 9 with the JEPA" in page
    continuity = [apart("regression", other, "1.8e13", "continuity") for other in ("diffusion", "jepa")]
    assert continuity == [7, 9] and "on continuity in 7 and 9" in page
    assert apart("diffusion", "jepa", "1.8e13", "permanence") == 6 and "six of nine pairs are disjoint" in page
    assert apart("jepa", "diffusion", "1.8e13", "collision") == 2 and "on collision of two" in page
