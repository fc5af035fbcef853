"""The page of interventions: errors of predicted effects, how far down chains models are right, pictures of pairs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidworld.analysis import labels as words
from vidworld.analysis.interventions import NO_EFFECT, OTHER_SCENE, InterventionResults, PairStrip
from vidworld.analysis.labels import READOUT_LABELS
from vidworld.analysis.records import Curve, Series, read_as
from vidworld.report import charts as plots
from vidworld.report.page import embedded, save_page
from vidworld.report.tables import tables_by_metric

IN_WORDS = {
    "remove": "a disc removed",
    "mass": "a disc half or twice as heavy, and of its size",
    "kick": "a disc kicked in the context’s last frames",
    "move": "a disc moved",
    "act": "the agent acts",
}
ANSWERS = {NO_EFFECT: "No effect (1 by construction)", OTHER_SCENE: "Another scene’s effect"}
"""Labels of what needs no model."""
_HALF = 0.5  # of the no-effect answer's error


def write_interventions_page(folder: Path) -> Path:
    """The page's path, after writing it from FOLDER/interventions.json. Raises UserError: there is none."""
    results = read_as(InterventionResults, folder / "interventions.json")
    legend = plots.Legend(results.models)
    return save_page(
        folder / "interventions.html", "interventions.html", said=effect_sentences(results), failures=results.failures,
        tables=tables_by_metric(results.rows, lambda name: _table(results, name)),
        charts_drawn=plots.line_charts(_reach_curves(results, legend), legend), strips=list(_pictures(results, folder)),
    )  # fmt: skip


def change_label(change: str) -> str:
    """What was done, in words; a split other than `id` is named."""
    kind, _, split = change.partition("_")
    return IN_WORDS.get(kind, kind) + (f", {words.split_label(split)}" if split else "")


def label_of(name: str, results: InterventionResults) -> str:
    """What a model, baseline or answer is called."""
    return ANSWERS.get(name) or words.model_label(name, results.models)


def effect_sentences(results: InterventionResults) -> list[str]:
    """What the rows say: whose effect error is under half of the no-effect answer's by its interval, kind by kind."""
    lines = []
    rows = [row for row in results.rows if row.metric == "effect_error" and row.model in results.models]
    for task, change in dict.fromkeys((row.task, row.split) for row in rows):
        mine = [row for row in rows if (row.task, row.split) == (task, change)]
        best = min(mine, key=lambda row: row.value)
        named = f"{label_of(best.model, results)} by {READOUT_LABELS[best.readout or 'pixels']}"
        where = "under half of" if best.high < _HALF else "below" if best.high < 1 else "not below"
        said = f"the best is {named}, {words.estimate_of(best)}: {where} no effect’s 1."
        lines.append(f"{words.title(task)}, {change_label(change)}: {said}")
    return lines


def interventions_summary(results: InterventionResults) -> str:
    """The effect errors as text, a line for each scenario, change and model."""
    rows = [row for row in results.rows if row.metric == "effect_error"]
    return "\n".join(
        f"{row.task:12} {row.split:12} {row.model:24} {row.readout or '':8} {words.estimate_of(row)} (n = {row.n})"
        for row in rows
    )


def _table(results: InterventionResults, metric: str) -> dict[str, Any]:
    """A line for each scenario and change, a column for each model and readout."""
    rows = [row for row in results.rows if row.metric == metric]
    found = {(row.task, row.split, row.model, row.readout or ""): row for row in rows}
    rank = {key[2:]: (key[2] in ANSWERS, words.model_rank(key[2], results.models), key[3]) for key in found}
    readers = sorted(rank, key=rank.__getitem__)
    heads = ["Scenario", "Change", *(f"{label_of(model, results)}, {READOUT_LABELS[by]}" for model, by in readers), "n"]
    cells = []
    for place in dict.fromkeys(key[:2] for key in found):
        mine = [found.get((*place, *who)) for who in readers]
        shown, n = map(words.estimate_of, mine), max(row.n for row in mine if row)
        cells.append((words.title(place[0]), change_label(place[1]), *shown, str(n)))
    return {"heads": heads, "rows": cells}


def _reach_curves(results: InterventionResults, legend: plots.Legend) -> Iterator[Curve]:
    """A chart for each change of chains: the share that is right over the number of links, a line a model."""
    for change in dict.fromkeys(each.change for each in results.reach):
        for by in dict.fromkeys(each.readout for each in results.reach if each.change == change):
            mine = [each for each in results.reach if (each.change, each.readout) == (change, by)]
            lines = []
            for each in sorted(mine, key=lambda each: legend.rank(each.model)):
                x = [float(number) for number in range(1, len(each.shares) + 1)]
                lines += [Series(label_of(each.model, results), x, each.shares, model=each.model)] if x else []
            title = f"Chains, {change_label(change)}, {READOUT_LABELS[by]}"
            note = f"Chains with so many links: {', '.join(map(str, mine[0].counts))}."
            yield Curve(title, "links", "share right so far", lines, note)


def _pictures(results: InterventionResults, folder: Path) -> Iterator[dict[str, Any]]:
    """Pair by pair its strips, the truth first; a picture that is not there any more is left out."""
    pairs: dict[str, list[PairStrip]] = {}
    for strip in results.strips:
        pairs.setdefault(strip.identity, []).append(strip)
    for strips in pairs.values():
        pictures = [
            {"label": label_of(strip.model, results), "uri": embedded(folder / strip.file)}
            for strip in strips
            if (folder / strip.file).exists()
        ]
        title = f"{words.title(strips[0].task)}, {change_label(strips[0].change)}"
        yield {"title": title, "pictures": pictures}
