"""The page of hidden properties: whether rollouts follow them, and what probes read of states, before and after."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidworld.analysis import labels as words
from vidworld.analysis.hidden import HiddenResults, PropertyProbe
from vidworld.analysis.labels import READOUT_LABELS
from vidworld.analysis.records import Curve, Series, read_as
from vidworld.report import charts as plots
from vidworld.report.page import save_page
from vidworld.report.tables import tables_by_metric

HIDDEN_IN_WORDS = {"hidden_mass": "Hidden mass", "hidden_restitution": "Hidden restitution"}
_FORGETS = "oracle_without_memory"
_OWN_LABELS = {_FORGETS: "Oracle without memory", "tokens": "The chunk’s tokens alone"}
RANK_OF_CHANCE = (0.45, 0.55)
"""What counts as chance, of a rank accuracy."""


def write_hidden_page(folder: Path) -> Path:
    """The page's path, after writing it from FOLDER/hidden.json. Raises UserError: there is none."""
    results = read_as(HiddenResults, folder / "hidden.json")
    return save_page(
        folder / "hidden.html", "hidden.html", said=hidden_sentences(results), failures=results.failures,
        contexts=results.contexts, tables=tables_by_metric(results.rows, lambda name: _table(results, name)),
        probes=_probes(results), charts_drawn=plots.line_charts(_rank_curves(results), plots.Legend(results.models)),
    )  # fmt: skip


def _label(name: str, results: HiddenResults) -> str:
    return _OWN_LABELS.get(name) or words.model_label(name, results.models)


def hidden_sentences(results: HiddenResults) -> list[str]:
    """What the rows say of each property: the best model's rank after the reveal, beside chance and forgetting."""
    lines = []
    ranks = [row for row in results.rows if row.metric == "implied_rank"]
    rows = [row for row in ranks if row.model in results.models]
    for task in dict.fromkeys(row.task for row in rows):
        after = [row for row in rows if (row.task, row.split) == (task, "after")]
        best = max(after, key=lambda row: row.value)
        before = next(
            r for r in rows if (r.task, r.split, r.model, r.readout) == (task, "before", best.model, best.readout)
        )
        above = f"{'above' if best.low > RANK_OF_CHANCE[1] else 'not above'} chance"
        for row in ranks:  # somewhat above chance where the struck disc is struck again soon
            if (row.task, row.split, row.readout) == (task, "after", best.readout) and row.model == _FORGETS:
                over = "above" if best.low > row.high else "not above"
                above += f" and {over} the oracle without memory ({row.value:.2f})"
        who = f"{_label(best.model, results)} by {READOUT_LABELS[best.readout or 'pixels']}"
        after_it = f"{words.estimate_of(best)} after the reveal, {above} by its interval"
        lines.append(f"{HIDDEN_IN_WORDS[task]}: the best is {who}, {after_it}; {words.estimate_of(before)} before it.")
    return lines


def hidden_summary(results: HiddenResults) -> str:
    """Ranks as text: of rollouts, then of what probes read, a line each."""
    lines = [
        f"{row.task:20} {row.split:12} {row.model:24} {row.readout or '':8} {words.estimate_of(row)} (n = {row.n})"
        for row in results.rows
        if row.metric == "implied_rank"
    ]
    lines += [
        f"{each.task:20} {each.split:12} {each.model:24} {each.frames:2} frames  R² {each.r2:.2f}, rank {each.rank:.2f}"
        for each in results.probes
    ]
    return "\n".join(lines)


def _table(results: HiddenResults, metric: str) -> dict[str, Any]:
    """A line for each property, model and readout; before the reveal beside after it."""
    rows = [row for row in results.rows if row.metric == metric]
    moments = list(dict.fromkeys(row.split for row in rows))
    found = {(row.task, row.model, row.readout, row.split): row for row in rows}
    cells = []
    for task, model, readout in dict.fromkeys((row.task, row.model, row.readout) for row in rows):
        mine = [found.get((task, model, readout, moment)) for moment in moments]
        who = (HIDDEN_IN_WORDS.get(task, task), _label(model, results), READOUT_LABELS[readout or "pixels"])
        counts = sorted({row.n for row in mine if row})
        judged = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        cells.append((*who, *map(words.estimate_of, mine), judged))
    return {"heads": ("Property", "Model", "Read by", *map(words.title, moments), "n"), "rows": cells}


def _probes(results: HiddenResults) -> dict[str, Any]:
    heads = (
        *("Property", "Clips", "Model", "Frames seen", "Revealed in", "Tested in", "R²", "Rank"),
        *("90% interval covers", "Its width"),
    )
    return {"heads": heads, "rows": [_probe(each, results) for each in results.probes]}


def _probe(each: PropertyProbe, results: HiddenResults) -> tuple[str, ...]:
    return (
        HIDDEN_IN_WORDS.get(each.task, each.task), words.split_label(each.split), _label(each.model, results),
        str(each.frames), words.percent(each.revealed), words.percent(each.tested),
        words.estimate(each.r2, each.r2_low, each.r2_high), words.estimate(each.rank, each.rank_low, each.rank_high),
        words.percent(each.covered), words.number(each.width),
    )  # fmt: skip


def _rank_curves(results: HiddenResults) -> Iterator[Curve]:
    """The rank that probes read over the frames seen, a line a model."""
    for task, split in dict.fromkeys((each.task, each.split) for each in results.probes):
        mine = [each for each in results.probes if (each.task, each.split) == (task, split)]
        lines = []
        for model in dict.fromkeys(each.model for each in mine):
            points = [each for each in mine if each.model == model]
            x, y = [float(each.frames) for each in points], [each.rank for each in points]
            low, high = [each.rank_low for each in points], [each.rank_high for each in points]
            banded = model in results.models
            lines.append(Series(_label(model, results), x, y, low if banded else None, high if banded else None, model))
        title = f"{HIDDEN_IN_WORDS.get(task, task)}, {words.split_label(split)}: what a ridge reads"
        yield Curve(title, "frames seen", "rank accuracy", lines)
