"""The page of the study: a verdict, the skills and the compute at which they come, and curves over training FLOPs."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from vidworld.analysis import labels as words
from vidworld.analysis import study
from vidworld.analysis.labels import FAMILY_RUNS
from vidworld.analysis.records import Model, read_as
from vidworld.analysis.study import Place, Predictions, Skill, StudyResult, name_of
from vidworld.core.errors import UserError
from vidworld.report import charts as plots
from vidworld.report.page import save_page


def write_study_page(
    folder: Path, out: Path, versions: Mapping[str, Mapping[str, int]], families: Mapping[str, Model]
) -> Path:
    """The page's path, after writing it. `versions` are today's, by family: results of others are listed, not drawn.

    Raises UserError: there is no result, or a file of predictions is none.
    """
    found = study.read_study(folder)
    if not found:
        raise UserError(f"{folder}: holds no results of the study; make study writes them")
    changed = [(result, study.outdated(result, versions.get(result.family, {}))) for result in found]
    results = [result for result, names in changed if not names]
    legend, skills = plots.Legend(families), study.skills(results)
    drawn = {place: _chart(place, cells, legend) for place, cells in study.by_place(results).items()}
    shown = sorted(filter(_is_shown, study.headlines(results)), key=_order)
    further = [place for place in study.headlines(results) if place not in shown]
    return save_page(
        out, "study.html", verdict=verdict(results, legend), runs=_runs(results, legend), apart=_apart(results, legend),
        skills=_skills(skills, shown, legend),
        further_skills=_skills(skills, further, legend), headline=[drawn[place] for place in shown if drawn[place]],
        further=[chart for place, chart in drawn.items() if chart and place not in shown],
        predictions=_predictions(folder, results, legend),
        old=[(result.family, f"{result.budget:.2g}", result.seed, ", ".join(n)) for result, n in changed if n],
    )  # fmt: skip


def _chart(place: Place, cells: Any, legend: plots.Legend) -> plots.Chart | None:
    """The curve, from a second budget on."""
    chart = plots.line_chart(study.curve_of(place, cells), legend, log_x=True)
    return chart if chart and len(chart.table) > 1 else None


def verdict(results: Sequence[StudyResult], legend: plots.Legend) -> list[str]:
    """What was run at the largest budget, and who is better wherever there are five runs a side, in sentences."""
    if not results:
        return ["No result is of today's versions."]
    runs: dict[float, Counter[tuple[str, int]]] = defaultdict(Counter)
    for result in results:
        runs[result.budget][result.family, result.nuisance] += 1
    largest = max(runs)
    here = runs[largest].items()
    counted = ", ".join(f"{legend.label(name)} {count} at nuisance {level}" for (name, level), count in here)
    lines = [f"At the largest budget that was run, {largest:.2g} training FLOPs, these are the runs: {counted}."]
    if min(runs[largest].values()) < FAMILY_RUNS:
        lines.append(
            f"Somewhere they are fewer than {FAMILY_RUNS} a family: there what is said is of these checkpoints, and no "
            "family is named better at this budget."
        )
    for budget in sorted(runs):
        lines += _better(results, budget, legend)
    if failed := [result for result in results if result.failed]:
        each = "; ".join(f"{legend.label(r.family)}, {r.budget:.2g} FLOPs, seed {r.seed}: {r.failed}" for r in failed)
        lines.append(f"{len(failed)} trainings ended before their time: {each}.")
    return lines


def _better(results: Sequence[StudyResult], budget: float, legend: plots.Legend) -> list[str]:
    """Which family is better than which, on how many numbers of a metric, at a budget with runs enough to say it."""
    found = [finding for finding in study.findings(results, budget) if min(finding.runs) >= FAMILY_RUNS]
    tested = Counter((frozenset(each.families), each.place.metric) for each in found)
    won: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for each in found:
        if each.better:
            won[each.better, each.other][each.place.metric] += 1
    if found and not won:
        return [f"At {budget:.2g} FLOPs no headline number tells two families apart at the corrected level."]
    lines = []
    for (better, other), metrics in sorted(won.items()):
        counted = [
            f"{metric.replace('_', ' ')} ({count} of {tested[frozenset((better, other)), metric]})"
            for metric, count in metrics.most_common()
        ]
        who = f"{legend.label(better)} is better than {legend.label(other)}"
        lines.append(f"At {budget:.2g} FLOPs, {FAMILY_RUNS} runs a side or more, {who} on: {', '.join(counted)}.")
    return lines


def _apart(results: Sequence[StudyResult], legend: plots.Legend) -> dict[str, Any]:
    """Every headline number that tells two families apart, by budget, the surest first."""
    found = [each for at in sorted({r.budget for r in results}) for each in study.findings(results, at) if each.better]
    rows = [
        (
            words.title(name_of(each.place)), f"{each.budget:.2g}", legend.label(each.better or ""),
            legend.label(each.other), words.p_text(each.p_value),
        )
        for each in sorted(found, key=lambda each: (each.budget, each.p_value))
    ]  # fmt: skip
    return {"heads": ("Number", "Budget, FLOPs", "Better", "Than", "p, corrected"), "rows": rows}


def _runs(results: Sequence[StudyResult], legend: plots.Legend) -> dict[str, Any]:
    """How many runs there are of every cell, and what they cost."""
    groups: dict[tuple[int, float, str], list[StudyResult]] = defaultdict(list)
    for result in results:
        groups[result.nuisance, result.budget, result.family].append(result)
    heads = ("Nuisance", "Budget, FLOPs", "Family", "Width", "Steps", "Runs", "Spent, FLOPs", "Time a run")
    rows = [
        (
            str(nuisance), f"{budget:.2g}", legend.label(family), str(runs[0].width), str(runs[0].steps),
            str(len(runs)), f"{runs[0].training_flops:.3g}", words.duration(fmean(r.seconds for r in runs)),
        )
        for (nuisance, budget, family), runs in sorted(groups.items())
    ]  # fmt: skip
    return {"heads": heads, "rows": rows}


def _is_shown(place: Place) -> bool:
    """Whether it is seen at once: in distribution, and in pictures rather than by a probe."""
    return place.split == "id" and place.readout != "probe"


def _skills(found: Sequence[Skill], places: Sequence[Place], legend: plots.Legend) -> dict[str, Any]:
    """A row a place and a column a family: from which budget on, and how many runs have it at the largest."""
    families = [name for name in legend.models if any(skill.family == name for skill in found)]
    told: dict[tuple[Place, str], str] = {}
    for skill in found:
        _, have, runs = skill.shares[-1]
        comes = "not yet" if skill.comes_at is None else f"{skill.comes_at:.2g}"
        told[skill.place, skill.family] = f"{comes} ({have} of {runs})"
    rows = [
        (words.title(name_of(place)), *(told.get((place, name), "") for name in families))
        for place in sorted(places, key=_order)
    ]
    return {"heads": ("Skill", *map(legend.label, families)), "rows": rows}


def _order(place: Place) -> tuple[bool, int]:
    """Surprise first, then rollouts as they were measured; without nuisance first."""
    return place.task != "surprise", place.nuisance


def _predictions(folder: Path, results: Sequence[StudyResult], legend: plots.Legend) -> dict[str, Any]:
    """What was predicted before a budget was run, and what came of it."""
    measured = study.by_place(results)
    rows = []
    for path in sorted(folder.glob("predictions_*.json")):
        for said in read_as(Predictions, path).predictions:
            runs = measured.get(said.place, {}).get((said.family, said.budget))
            came = words.estimate_of(study.over_runs(runs)) if runs else "not run yet"
            rows.append((words.title(name_of(said.place)), legend.label(said.family), f"{said.value:.3g}", came))
    return {"heads": ("Number", "Family", "Predicted", "Measured"), "rows": rows}
