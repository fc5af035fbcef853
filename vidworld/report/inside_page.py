"""The page of a look inside: concepts by layer and model as heat, steering as slopes, maps and features as pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidworld.analysis import inside
from vidworld.analysis import labels as words
from vidworld.analysis.records import read_as
from vidworld.core.errors import UserError
from vidworld.report.charts import Legend
from vidworld.report.page import embedded, save_page

_FILES = {
    **{"probes.json": inside.ProbeResults, "steering.json": inside.SteeringResults},
    **{"maps.json": inside.MapResults, "dictionary.json": inside.DictionaryResults},
}
_STEERING = ("Model", "Concept", "Layer", "Direction", "Read by", "Slope", "Other discs", "Found", "Clips")
_MAPS = ("Model", "Layer", "Head", "What", "Share", "If even", "Clips")


def write_inside_page(folder: Path) -> Path:
    """The page's path, after writing it from what the folder holds. Raises UserError: there are no results."""
    found: dict[str, Any] = {
        name: read_as(kind, folder / name) for name, kind in _FILES.items() if (folder / name).exists()
    }
    if not found:
        raise UserError(f"{folder}: holds no {', '.join(_FILES)}; eval/run_probes.py writes the first")
    probes, steering, maps, dictionary = (found.get(name) for name in _FILES)
    models = {name: model for each in found.values() for name, model in each.models.items()}
    legend = Legend(models)
    return save_page(
        folder / "inside.html", "inside.html",
        said=[*(sentences_of_probes(probes, legend) if probes else ()), *(used(steering, legend) if steering else ())],
        heats=heats(probes, legend) if probes else [],
        steering={"heads": _STEERING, "rows": [_steered(row, legend) for row in steering.rows]} if steering else None,
        strips=_pictures(steering.strips if steering else (), folder),
        maps={"heads": _MAPS, "rows": [_mapped(row, legend) for row in maps.rows]} if maps else None,
        map_strips=_pictures(maps.strips if maps else (), folder),
        dictionary=_dictionary(dictionary, legend) if dictionary else None,
        dictionary_strips=_pictures(dictionary.strips if dictionary else (), folder),
    )  # fmt: skip


def best_layer(rows: Sequence[inside.ProbeRow]) -> inside.ProbeRow:
    """The row whose layer is best on the clips that layers are chosen on."""
    return max(rows, key=lambda row: row.chosen if row.chosen == row.chosen else -9.0)


def sentences_of_probes(results: inside.ProbeResults, legend: Legend) -> list[str]:
    """What each model's best layer tells of each concept, beside the tokens."""
    lines = []
    for name in results.models:
        said = []
        for concept in results.concepts:
            rows = [row for row in _linear(results, name) if row.concept == concept]
            tokens = [row for row in _linear(results, "tokens") if row.concept == concept]
            if rows:
                best = best_layer(rows)
                beside = f", tokens {tokens[0].value:.2f}" if tokens else ""
                said.append(f"{words.title(concept).lower()} {best.value:.2f} ({best.layer}{beside})")
        if said:
            lines.append(f"{legend.label(name)}, best layer by linear probe: {'; '.join(said)}.")
    return lines


def used(results: inside.SteeringResults, legend: Legend) -> list[str]:
    """Which concepts a model uses: where its future follows the target, and not a random direction."""
    lines = []
    for row in results.rows:
        if not row.best or row.direction not in ("probe", "means") or row.readout not in ("probe", "tokens"):
            continue
        same = (row.model, row.layer, row.concept)
        others = [r for r in results.rows if (r.model, r.layer, r.concept) == same and r.direction == "random"]
        is_used = row.low > 0 and all(row.low > other.high for other in others)
        lines.append(
            f"{legend.label(row.model)} {'uses' if is_used else 'does not show that it uses'} {row.concept}: steered "
            f"at {row.layer} its future follows with slope {words.estimate(row.slope, row.low, row.high)}"
            + "".join(f", along a random direction {words.estimate(o.slope, o.low, o.high)}" for o in others)
            + "."
        )
    return lines


def heats(results: inside.ProbeResults, legend: Legend) -> list[dict[str, Any]]:
    """A table of colours for each model: a row a concept, a column a layer, then what it is compared with."""
    found, tokens = [], _linear(results, "tokens")
    for name in [*results.models]:
        rows = _linear(results, name)
        layers = list(dict.fromkeys(row.layer for row in rows))
        family = [other for other, model in results.models.items() if model.family == results.models[name].family]
        untrained = next(filter(None, (_linear(results, words.UNTRAINED + other) for other in (name, *family))), [])
        shuffled, order = _linear(results, name, inside.SHUFFLED), _linear(results, name, inside.ORDER)
        small = [row for row in results.rows if row.model == name and row.probe == "mlp"]
        lines = []
        for concept in results.concepts:
            mine = [[row for row in group if row.concept == concept] for group in
                    (rows, tokens, small, untrained, shuffled, order)]  # fmt: skip
            if not mine[0]:
                continue
            of = {row.layer: row for row in mine[0]}
            best = best_layer(mine[0])
            cells = [_cell(of[layer], layer == best.layer) for layer in layers]
            beside = [_cell(best_layer(group)) if group else None for group in mine[1:]]
            title = f"{words.title(concept)} ({best.metric})"
            lines.append({"concept": title, "about": results.concepts[concept], "cells": cells, "beside": beside})
        found.append({"name": legend.label(name), "layers": layers, "lines": lines})
    return found


def _linear(results: inside.ProbeResults, model: str, control: str = "") -> list[inside.ProbeRow]:
    return [r for r in results.rows if r.model == model and r.probe == "ridge" and r.control == control]


def _cell(row: inside.ProbeRow, best: bool = False) -> dict[str, Any]:
    """How strong its colour is, in percent: from chance to 1."""
    chance = 0.5 if row.metric == "accuracy" else 0.0
    share = max(0.0, min(1.0, (row.value - chance) / (1 - chance))) if row.value == row.value else 0.0
    title = f"{row.layer}: {words.estimate_of(row)}"
    return {"heat": round(100 * share), "text": f"{row.value:.2f}", "title": title, "best": best}


def _steered(row: inside.SteeringRow, legend: Legend) -> tuple[str, ...]:
    others = (
        ""
        if "ablated" in row.direction or row.others != row.others
        else f"{words.number(row.others)} (to {words.number(row.others_high)})"
    )
    return (
        legend.label(row.model), row.concept, row.layer + (" (chosen)" if row.best else ""),
        f"{row.direction}, {row.dimensions}", row.readout, words.estimate(row.slope, row.low, row.high), others,
        words.percent(row.read), str(row.clips),
    )  # fmt: skip


def _mapped(row: inside.MapRow, legend: Legend) -> tuple[str, ...]:
    head = "" if not row.layer else "all" if row.head < 0 else str(row.head)
    even = words.number(row.uniform)
    return legend.label(row.model), row.layer, head, row.what, words.estimate_of(row), even, str(row.clips)


def _dictionary(results: inside.DictionaryResults, legend: Legend) -> dict[str, Any]:
    """A row for each way in which a model's states are written, a column for each thing that was measured of it."""
    columns = list(dict.fromkeys((row.concept, row.metric) for row in results.rows))
    columns.sort(key=lambda column: column[0] != "")
    found: dict[tuple[str, ...], dict[tuple[str, str], str]] = {}
    for row in results.rows:
        line = found.setdefault((legend.label(row.model), row.layer, row.code, row.control), {})
        line[row.concept, row.metric] = f"{row.value:.2f}" if row.value == row.value else "–"
    heads = (
        "Model",
        "Layer",
        "Written in",
        "Control",
        *(words.title(concept or metric) for concept, metric in columns),
    )
    return {"heads": heads, "rows": [(*key, *(line.get(each, "") for each in columns)) for key, line in found.items()]}


def _pictures(strips: Sequence[inside.Strip], folder: Path) -> list[dict[str, str]]:
    """Those that are still there."""
    there = [strip for strip in strips if (folder / strip.file).exists()]
    return [{"uri": embedded(folder / strip.file), "title": strip.title} for strip in there]
