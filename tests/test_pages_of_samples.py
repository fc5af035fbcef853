"""What the page says of diffusion that predicts samples whole is of its files and the study's."""

from statistics import fmean

from scripts import ROOT
from study_files import STUDY_LAWS

from vidworld.analysis.study import StudyResult, findings, read_study

STUDY = read_study(ROOT / "results" / "study")
RUNS: dict[str, list[StudyResult]] = {
    name: [result for result in STUDY if (result.family, result.budget, result.nuisance) == (name, 9e12, 0)]
    for name in ("regression", "diffusion")
} | {"whole": read_study(ROOT / "results" / "study_sample")}
Key = tuple[str, str, str, str, str | None]
SHOWN: dict[str, Key] = {f"{law} ↑": ("surprise", law, "id", "surprise_accuracy", None) for law in STUDY_LAWS} | {
    "velocity error, `uniform`, units/s ↓": ("uniform", "uniform motion", "id", "velocity_error", "pixels"),
    "velocity error, `collision`, units/s ↓": ("collision", "uniform motion", "id", "velocity_error", "pixels"),
    "energy score, `collision`, units ↓": ("collision", "prediction", "id", "energy_score", "pixels"),
    "object integrity, `collision` ↑": ("collision", "appearance", "id", "object_integrity", "pixels"),
    "static scene error, `collision` ↓": ("collision", "appearance", "id", "static_scene_error", "pixels"),
    "hidden but shown, `occlusion` ↓": ("occlusion", "appearance", "id", "hidden_visible", "pixels"),
}


def values_of(name: str, key: Key) -> list[float]:
    """The value of every training."""
    return [
        row.value
        for run in RUNS[name]
        for row in run.rows
        if (row.task, row.law, row.split, row.metric, row.readout) == key
    ]


def cells_of(key: Key) -> list[str]:
    """Ranges over trainings, as the page has them."""
    digits, cells = (1 if key[3] == "static_scene_error" else 2), []
    for name in RUNS:
        ends = sorted({f"{value:.{digits}f}" for value in values_of(name, key)}, key=float)
        cells.append(" to ".join((ends[0], ends[-1])) if len(ends) > 1 else ends[0])
    return cells


def test_the_table_of_samples_predicted_whole_is_that_of_its_files():
    part = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").split("### Samples predicted whole")[1]
    lines = dict(line.strip("| ").split(" | ", 1) for line in part.split("\n### ")[0].splitlines() if line[:2] == "| ")
    heads = " | ".join((f"regression ({len(RUNS['regression'])})", f"diffusion ({len(RUNS['diffusion'])})"))
    assert lines["9e12 FLOPs"] == f"{heads} | diffusion, samples whole ({len(RUNS['whole'])})"
    assert len(lines) == len(SHOWN) + 1
    for what, key in SHOWN.items():
        assert lines[what].split(" | ") == cells_of(key), what


def test_every_number_on_which_regression_was_named_better_is_of_the_form():
    won = [
        each
        for each in findings(STUDY, 9e12)
        if (each.better, each.families) == ("regression", ("diffusion", "regression"))
    ]
    metrics = [each.place.metric for each in won]
    assert (len(won), metrics.count("static_scene_error"), metrics.count("hidden_visible")) == (21, 18, 3)
    for each in won:
        key = (each.place.task, each.place.law, each.place.split, each.place.metric, each.place.readout)
        regression, diffusion, whole = (fmean(values_of(name, key)) for name in RUNS)
        assert abs(whole - regression) < abs(whole - diffusion), key
