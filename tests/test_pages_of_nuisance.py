"""What the page says of nuisance is of the study's files: ranges over trainings with it and without."""

import re
from itertools import product

from scripts import ROOT
from study_files import STUDY_LAWS

from vidworld.analysis.study import StudyRow, read_study

FAMILIES = ("regression", "diffusion", "jepa")
PART = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").split("### With nuisance")[1].split("\n### ")[0]
MOTION, PICTURE = "uniform motion", "appearance"
SHOWN = {f"{law} ↑": ("surprise", law, "surprise_accuracy", None, "id") for law in STUDY_LAWS} | {
    f"velocity error, `{name}`, units/s ↓": (name, MOTION, "velocity_error", "pixels", "id")
    for name in ("uniform", "collision", "parabola", "occlusion")
} | {
    "the same, `collision` before textures ↓": ("collision", MOTION, "velocity_error", "pixels", "textures"),
    "energy score, `collision`, units ↓": ("collision", "prediction", "energy_score", "pixels", "id"),
    "energy score, `occlusion`, units ↓": ("occlusion", "prediction", "energy_score", "pixels", "id"),
    "object integrity, `collision` ↑": ("collision", PICTURE, "object_integrity", "pixels", "id"),
    "static scene error, `collision` ↓": ("collision", PICTURE, "static_scene_error", "pixels", "id"),
    "the same, before textures ↓": ("collision", PICTURE, "static_scene_error", "pixels", "textures"),
}  # fmt: skip
COUNTED = {
    "energy score": ("energy_score", "id"),
    "velocity error": ("velocity_error", "id"),
    "static scene error": ("static_scene_error", "id"),
    "energy score, before textures": ("energy_score", "textures"),
    "velocity error, before textures": ("velocity_error", "textures"),
    "static scene error, before textures": ("static_scene_error", "textures"),
    "phantom objects, before textures": ("phantom_objects", "textures"),
}


def rows_at_the_demos_point() -> dict[tuple[str, int], list[dict[tuple[str | None, ...], StudyRow]]]:
    """The rows of every training by family and nuisance."""
    found: dict[tuple[str, int], list[dict[tuple[str | None, ...], StudyRow]]] = {}
    for result in read_study(ROOT / "results" / "study"):
        if result.budget == 9e12:
            rows = {(row.task, row.law, row.metric, row.readout, row.split): row for row in result.rows}
            found.setdefault((result.family, result.nuisance), []).append(rows)
    return found


RUNS = rows_at_the_demos_point()


def moved(family: str, metric: str, split: str) -> tuple[int, int, int]:
    """How many headline numbers lie wholly on the worse, and on the better side with nuisance; and of how many."""
    places = [
        k for k, row in RUNS[family, 0][0].items() if (row.metric, row.split, row.headline) == (metric, split, True)
    ]
    worse = better = 0
    for place in places:
        without, noisy = ([run[place].value for run in RUNS[family, level]] for level in (0, 1))
        rises, falls = min(noisy) > max(without), max(noisy) < min(without)
        higher = RUNS[family, 0][0][place].higher_is_better
        worse, better = worse + (falls if higher else rises), better + (rises if higher else falls)
    return worse, better, len(places)


def test_the_ranges_are_those_of_the_files():
    assert {key: len(runs) for key, runs in RUNS.items()} == {
        (family, level): 5 if level == 0 else 4 for family, level in product(FAMILIES, (0, 1))
    }
    lines = dict(
        line.strip("| ").split(" | ", 1) for line in PART.split("How many")[0].splitlines() if line[:2] == "| "
    )
    assert len(lines) == len(SHOWN) + 1
    for what, place in SHOWN.items():
        digits, expected = (1 if place[2] == "static_scene_error" else 2), []
        for family, level in product(FAMILIES, (0, 1)):
            ends = sorted({f"{run[place].value:.{digits}f}" for run in RUNS[family, level]}, key=float)
            expected.append(" to ".join((ends[0], ends[-1])) if len(ends) > 1 else ends[0])
        assert lines[what].split(" | ") == expected, what


def test_the_counts_are_those_of_the_files():
    lines = dict(re.findall(r"^\| ([a-z][a-z, ]+ \(\d+\)) \| (.*) \|$", PART, re.MULTILINE))
    expected = {}
    for what, place in COUNTED.items():
        found = [moved(family, *place) for family in FAMILIES]
        expected[f"{what} ({found[0][2]})"] = " | ".join(f"{worse}, {better}" for worse, better, _ in found)
    assert lines == expected


def test_the_sentences_are_those_of_the_files():
    continuity = ("surprise", "continuity", "surprise_accuracy", None, "id")
    for family, said in (("regression", "mean 0.60 to 0.41"), ("diffusion", "0.48 to 0.41")):
        means = [
            sum(run[continuity].value for run in RUNS[family, level]) / len(RUNS[family, level]) for level in (0, 1)
        ]
        assert f"{means[0]:.2f} to {means[1]:.2f}" in said
        assert said in PART
    still = ("collision", PICTURE, "static_scene_error", "pixels", "id")
    floors = [f"{RUNS['jepa', level][0][still].floor:.1f}" for level in (1, 0)]
    assert f"error of {floors[0]}, without nuisance {floors[1]}" in PART


def test_how_many_headline_numbers_nuisance_moves_is_counted_in_the_files():
    worse, better = {name: 0 for name in FAMILIES}, {name: 0 for name in FAMILIES}
    of, textured = set(), 0
    for name in FAMILIES:
        kinds = {(row.metric, row.split) for row in RUNS[name, 0][0].values() if row.headline}
        found = {kind: moved(name, *kind) for kind in kinds}
        of.add(sum(count for _, _, count in found.values()))
        worse[name], better[name] = (sum(counts[i] for counts in found.values()) for i in (0, 1))
        if name == "jepa":
            textured = sum(gained for (_, split), (_, gained, _) in found.items() if split == "textures")
    text = " ".join(PART.split())
    assert f"of the {of.pop()} headline numbers of all splits" in text and not of
    assert (
        "{regression} in regressions, {diffusion} in diffusions and {jepa} in JEPAs are worse".format(**worse) in text
    )
    assert "{regression}, {diffusion} and {jepa} better".format(**better) in text
    assert "all but one on textures" in text and better["jepa"] - textured == 1


def test_what_nuisance_leaves_out_of_range_is_that_of_the_files():
    found: dict[tuple[str, str], list[float]] = {}
    for result in read_study(ROOT / "results" / "study"):
        for row in result.rows if (result.budget, result.nuisance) == (1.8e13, 1) else ():
            if (row.task, row.metric, row.split) == ("surprise", "surprise_accuracy", "ood"):
                found.setdefault((result.family, row.law), []).append(row.value)

    def said(*names: str, law: str) -> str:
        values = [value for name in names for value in found[name, law]]
        return f"{min(values):.2f} to {max(values):.2f}"

    jepas, others = said("jepa", law="continuity"), said("regression", "diffusion", law="continuity")
    text = " ".join(PART.split())
    assert f"on continuity alone ({jepas}, the others {others})" in text
    diffusions, jepas = said("diffusion", law="permanence"), said("jepa", law="permanence")
    assert f"every diffusion ({diffusions}) is above every JEPA ({jepas})" in text
    assert min(found["diffusion", "permanence"]) > max(found["jepa", "permanence"])


def test_the_laws_at_twice_the_demos_compute_are_those_of_the_files():
    part = PART.split("**At 1.8e13")[1]
    found: dict[tuple[str, int, str], list[StudyRow]] = {}
    speeds: dict[str, list[float]] = {}
    for result in read_study(ROOT / "results" / "study"):
        for row in result.rows if result.budget == 1.8e13 else ():
            if (row.task, row.metric, row.split) == ("surprise", "surprise_accuracy", "id") and row.law in STUDY_LAWS:
                found.setdefault((result.family, result.nuisance, row.law), []).append(row)
            place = (row.task, row.law, row.metric, row.readout, row.split, result.nuisance)
            if place == ("uniform", MOTION, "velocity_error", "pixels", "id", 1):
                speeds.setdefault(result.family, []).append(row.value)
    assert {len(rows) for rows in found.values()} == {3}

    def said(values: list[float], between: str = " to ") -> str:
        ends = sorted({f"{value:.2f}" for value in values})
        return between.join((ends[0], ends[-1])) if len(ends) > 1 else ends[0]

    lines = dict(line.strip("| ").split(" | ", 1) for line in part.splitlines() if line[:2] == "| ")
    assert len(lines) == len(STUDY_LAWS) + 1
    for law in STUDY_LAWS:
        cells = [said([row.value for row in found[family, level, law]]) for family, level in product(FAMILIES, (0, 1))]
        assert lines[f"{law} ↑"].split(" | ") == cells, law
    disjoint = []
    for law in ("permanence", "constancy", "continuity"):
        jepas, others = found["jepa", 1, law], [row for name in FAMILIES[:2] for row in found[name, 1, law]]
        assert min(row.value for row in jepas) > max(row.value for row in others)
        if law != "constancy":
            assert min(row.value for row in jepas) > max(row.value for row in found["jepa", 0, law])
        means = {name: sum(row.value for row in found[name, 0, law]) for name in FAMILIES}
        assert means["jepa"] < means["diffusion"] < means["regression"]
        disjoint.append(sum(one.low > other.high for one, other in product(jepas, others)))
    on = "{} of the 18 pairs of a JEPA and another model on permanence, {} on constancy and {} on continuity"
    assert on.format(*disjoint) in " ".join(part.split())
    motion = "error is {}, the diffusions' {}, the JEPAs' {}.".format(*(said(speeds[name]) for name in FAMILIES))
    assert motion in part
    later = [
        result for result in read_study(ROOT / "results" / "study") if (result.budget, result.nuisance) == (3.6e13, 1)
    ]
    known: dict[str, list[float]] = {}
    for result in later:
        for row in result.rows:
            if (row.task, row.metric, row.split) == ("surprise", "surprise_accuracy", "id"):
                known.setdefault(f"{result.family} {row.law}", []).append(row.value)
    jepas, (regression,), (diffusion,) = (known[f"{name} permanence"] for name in ("jepa", "regression", "diffusion"))
    values = " and ".join(f"{value:.2f}" for value in jepas)
    assert f"permanence {values} (JEPAs), {regression:.2f} (regression), {diffusion:.2f} (diffusion)" in part
    rest = [v for name in FAMILIES for law in ("constancy", "continuity") for v in known[f"{name} {law}"]]
    assert f"constancy and continuity {min(rest):.2f} to {max(rest):.2f}." in part
    for law, name in product(("collision", "momentum"), FAMILIES):
        without, with_it = ([row.value for row in found[name, level, law]] for level in (0, 1))
        assert min(without) <= max(with_it)
        assert min(with_it) <= max(without)
    (readme,) = re.findall(
        r"learn it first: at 1\.8e13, in distribution, (.*?); three trainings each",
        (ROOT / "README.md").read_text(encoding="utf-8"),
    )
    order = [
        said([row.value for row in found[name, 1, "permanence"]], "–") for name in ("jepa", "regression", "diffusion")
    ]
    assert readme == f"{order[0]} (regression {order[1]}, diffusion {order[2]}"
