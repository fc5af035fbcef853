"""A run folder as one self-contained page: `write_report` reads files, computes nothing that they do not say."""

import base64
import hashlib
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from vidworld.errors import UserError
from vidworld.harness import plots
from vidworld.harness import report_words as words
from vidworld.harness.report_files import Comparison, Curve, Quad, Row, Run, Series, Verdict, media_bytes, read_run

PAGE = Path(__file__).parent / "report_page"
MEDIA_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".png": "image/png", ".jpg": "image/jpeg"}
PAIR = ("diffusion", "jepa")
"""The two worlds that the report compares; every other row is a baseline or a control."""
TRAINING_CURVES = (("loss", "loss"), ("copy_last", "prediction loss / copy-last loss"), ("deviation", "deviation"))
"""Parts of names in `metrics.jsonl` that are drawn, and how their axis is called."""


@dataclass(frozen=True)
class Estimate:
    """One number with its interval, as text and in percent of its axis."""

    world: str
    label: str
    color: str
    split: str
    value: str
    interval: str
    at: float | None
    low: float | None
    high: float | None
    floor: float | None
    ceiling: float | None
    n: int


@dataclass(frozen=True)
class Forest:
    """One metric of one law and task: its worlds' estimates on one axis."""

    law: str
    title: str
    hint: str
    task: str
    readout: str
    direction: str
    unit: str
    splits: list[str]
    floor: str
    ceiling: str
    chance: bool
    headline: bool
    axis: plots.Axis
    estimates: list[Estimate]

    def of(self, world: str) -> list[Estimate]:
        return [estimate for estimate in self.estimates if estimate.world == world]

    @property
    def controls(self) -> list[Estimate]:
        return [estimate for estimate in self.estimates if estimate.world not in PAIR]


def write_report(run_folder: Path, out: Path | None = None) -> Path:
    """The path of the page written for this run, `report.html` in its folder unless `out` says otherwise.

    Raises: UserError where the run cannot be read, or the page cannot be written.
    """
    out = out or run_folder / "report.html"
    page = render(read_run(run_folder))
    part = out.with_name(f".{out.name}.part")
    try:
        part.write_text(page, encoding="utf-8")
        os.replace(part, out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
    return out


def render(run: Run) -> str:
    """The whole page as HTML; every text in it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"title_of": words.title, "world": words.world_label, "setting": words.setting}
    script = (PAGE / "script.js").read_text(encoding="utf-8")
    verdicts = run.comparison.verdicts
    withheld = {(v.law, v.metric): v.withheld for v in verdicts if v.withheld}
    return environment.get_template("page.html").render(
        run=run,
        words=words,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        tally=tally(verdicts),
        verdicts=[_verdict(run, verdict) for verdict in verdicts],
        table=headline_table(run.results.results, withheld),
        laws=_laws(run),
        rollouts=[_rollout(run, rollout) for rollout in run.media.rollouts],
        curves=[chart for chart in map(plots.line_chart, run.media.curves) if chart],
        training=training_charts(run),
        budgets=budget_table(run.comparison),
        target_mode=jepa_target(run.stages["jepa"].config) if "jepa" in run.stages else None,
        rows=run.results.results,
        palette=plots.PALETTE,
        provenance=[(name, stage.provenance) for name, stage in run.stages.items()]
        + [("evaluation", run.results.provenance)],
        tried_columns=list(dict.fromkeys(k for entry in run.comparison.tried if isinstance(entry, dict) for k in entry)),
    )


def tally(verdicts: Sequence[Verdict]) -> list[tuple[str, str, list[str]]]:
    """(kind, words, laws) per outcome: better worlds first, then what the data do not say, then the withheld."""

    def laws(chosen: Iterable[Verdict]) -> list[str]:
        return [words.title(verdict.law) for verdict in chosen]

    open_verdicts = [v for v in verdicts if not v.withheld]
    worlds = sorted({*PAIR, *(v.better for v in open_verdicts if v.better)}, key=lambda w: words.rank(words.WORLDS, w))
    found = [(w, f"{words.world_label(w)} is better", laws(v for v in open_verdicts if v.better == w)) for w in worlds]
    found.append(("undecided", "the data do not say", laws(v for v in open_verdicts if not v.better)))
    found.append(("withheld", "withheld", laws(v for v in verdicts if v.withheld)))
    return found if verdicts else []


def forests(rows: Sequence[Row], splits: Sequence[str] | None = None) -> list[Forest]:
    """One forest per law, task, metric and read-out, in the order of the laws and of the rows."""
    groups: dict[tuple[str, str, str, str | None], list[Row]] = {}
    for row in rows:
        if splits is None or row.split in splits:
            groups.setdefault((row.law, row.task, row.metric, row.readout), []).append(row)
    return sorted((_forest(group) for group in groups.values()), key=lambda f: words.rank(words.LAWS, f.law))


def headline_table(rows: Sequence[Row], withheld: dict[tuple[str, str], str | None]) -> list[dict[str, Any]]:
    """Per law its headline forests, one split each; a withheld headline has its reason in the numbers' place."""
    found: dict[str, list[dict[str, Any]]] = {}
    for split in sorted({row.split for row in rows}, key=lambda name: words.rank(words.SPLITS, name)):
        chosen = [row for row in rows if row.split == split]
        keys = {(r.law, r.task, r.metric, r.readout) for r in chosen if r.headline}
        if split != "ood":  # a withheld law is listed once, although none of its rows is a headline
            keys |= {(r.law, r.task, r.metric, r.readout) for r in chosen if (r.law, r.metric) in withheld}
        for forest in forests([r for r in chosen if (r.law, r.task, r.metric, r.readout) in keys]):
            metric = next(r.metric for r in chosen if r.law == forest.law and words.title(r.metric) == forest.title)
            entry = {"forest": forest, "split": words.SPLITS.get(split, split)}
            found.setdefault(forest.law, []).append(entry | {"withheld": withheld.get((forest.law, metric))})
    laws = sorted(found, key=lambda law: words.rank(words.LAWS, law))
    return [{"law": law, "hint": words.LAWS.get(law, ""), "rows": found[law]} for law in laws]


def training_charts(run: Run) -> list[plots.Chart]:
    """Loss, copy-last ratio and deviation over steps, one chart a training run and quantity."""
    charts = []
    for stage in run.stages.values():
        for part, y_label in TRAINING_CURVES:
            names = sorted({name for line in stage.metrics for name in line if part in name})
            names = [n for n in names if part != "loss" or "copy_last" not in n]
            series = [_training_series(stage.metrics, name) for name in names]
            curve = Curve(name=f"{words.world_label(stage.name)}: {y_label}", x_label="step", y_label=y_label, series=series)
            charts.append(plots.line_chart(curve, log_y=part == "loss"))
    return [chart for chart in charts if chart]


def budget_table(comparison: Comparison) -> list[dict[str, Any]]:
    """Per budget its value for each world and, for numbers, the ratio of the second world to the first."""
    names = dict.fromkeys(name for budget in comparison.budgets.values() for name in budget)
    table = []
    for name in names:
        values = [budget.get(name) for budget in comparison.budgets.values()]
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        ratio = f"{numbers[1] / numbers[0]:.3g}" if len(numbers) == len(values) == 2 and numbers[0] else ""
        table.append({"name": words.title(name), "cells": values, "same": values.count(values[0]) == len(values)})
        table[-1]["ratio"] = "" if table[-1]["same"] else ratio
    return table


def jepa_target(config: dict[str, Any]) -> str | None:
    """The name of the JEPA's target mode in its configuration, wherever that lies; None where it is not named."""
    for name, value in config.items():
        if isinstance(value, str) and name in ("target", "target_mode"):
            return value
        if isinstance(value, dict):
            mode = value.get("mode") if name == "target" else jepa_target(value)
            if isinstance(mode, str):
                return mode
    return None


def _forest(group: Sequence[Row]) -> Forest:
    first = group[0]
    values = [v for r in group for v in (r.value, r.low, r.high, r.floor, r.ceiling) if v is not None]
    share = all(0 <= v <= 1 for v in values) and (max(values, default=0) > 0.3 or "accuracy" in first.metric)
    axis = plots.share_axis() if share or not values else plots.linear_axis(values, zero=True)
    group = sorted(group, key=lambda r: (words.rank(words.WORLDS, r.world), words.rank(words.SPLITS, r.split)))
    ends = [r for r in group if r.world in PAIR] or list(group)
    return Forest(
        law=first.law,
        title=words.title(first.metric),
        hint=words.METRICS.get(first.metric, ""),
        task=words.title(first.task),
        readout=first.readout or "",
        direction=words.direction(first.higher_is_better),
        unit=first.unit or "",
        splits=list(dict.fromkeys(words.SPLITS.get(r.split, r.split) for r in group)),
        floor=words.number(ends[0].floor) if ends[0].floor is not None else "",
        ceiling=words.number(ends[0].ceiling) if ends[0].ceiling is not None else "",
        chance="accuracy" in first.metric or "auroc" in first.metric,
        headline=any(r.headline for r in group) or first.metric == "surprise_accuracy",
        axis=axis,
        estimates=[_estimate(row, axis, group) for row in group],
    )


def _estimate(row: Row, axis: plots.Axis, group: Sequence[Row]) -> Estimate:
    def at(value: float | None) -> float | None:
        return None if value is None else axis.percent(value)

    several = len({r.seed for r in group if r.world == row.world}) > 1
    seed = "" if not several else " (all seeds)" if row.seed is None else f" (seed {row.seed})"
    return Estimate(
        world=row.world,
        label=words.world_label(row.world) + seed,
        color=row.world if row.world in plots.PALETTE else "control",
        split=words.SPLITS.get(row.split, row.split),
        value=words.number(row.value, row.low, row.high),
        interval=words.interval(row.value, row.low, row.high),
        at=at(row.value),
        low=at(row.low),
        high=at(row.high),
        floor=at(row.floor),
        ceiling=at(row.ceiling),
        n=row.n,
    )


def _verdict(run: Run, verdict: Verdict) -> dict[str, Any]:
    rows = [r for r in run.results.results if r.law == verdict.law and r.metric == verdict.metric and r.split != "ood"]
    found = forests(rows)
    detail = ""
    if verdict.difference is not None:
        number = words.number(verdict.difference, verdict.low, verdict.high)
        bounds = words.interval(verdict.difference, verdict.low, verdict.high)
        name = verdict.contrast or "difference"
        detail = ", ".join(part for part in (f"{name}: {number} {bounds}".strip(), words.p_text(verdict.p_value)) if part)
    return {
        "law": words.title(verdict.law),
        "anchor": verdict.law,
        "hint": words.LAWS.get(verdict.law, ""),
        "statement": verdict.statement,
        "kind": "withheld" if verdict.withheld else verdict.better or "undecided",
        "withheld": verdict.withheld,
        "detail": "" if verdict.withheld else detail,
        "forest": None if verdict.withheld or not found else found[0],
    }


def _laws(run: Run) -> list[dict[str, Any]]:
    found = forests(run.results.results)
    names = dict.fromkeys([*(f.law for f in found), *(quad.law for quad in run.media.quads)])
    laws = []
    for law in sorted(names, key=lambda name: words.rank(words.LAWS, name)):
        mine = [f for f in found if f.law == law]
        quads = [_quad(run, quad) for quad in run.media.quads if quad.law == law]
        shown, more = [f for f in mine if f.headline], [f for f in mine if not f.headline]
        laws.append({"law": law, "hint": words.LAWS.get(law, ""), "forests": shown, "more": more, "quads": quads})
    return laws


def _quad(run: Run, quad: Quad) -> dict[str, Any]:
    worlds = sorted(quad.surprise, key=lambda name: words.rank(words.WORLDS, name))
    panels = [plots.surprise_panel(quad, world, quad.surprise[world]) for world in worlds]
    horizon = max((len(pair.possible) for pair in quad.surprise.values()), default=0)
    frames = (quad.chunk_start + horizon) * quad.frames_per_chunk
    strips = []
    for kind, path in quad.frames.items():
        content = media_bytes(run, path)
        if content[:8] != b"\x89PNG\r\n\x1a\n":
            raise UserError(f"{run.physics / path}: not a PNG")
        width, height = struct.unpack(">II", content[16:24])
        frames = frames if horizon else round(width / height)
        strips.append({"kind": kind, "uri": _data_uri(path, content), "aspect": width / frames / height})
    chunks = frames // quad.frames_per_chunk
    return {"quad": quad, "strips": strips, "panels": [p for p in panels if p], "frames": frames, "chunks": chunks}


def _rollout(run: Run, rollout: Any) -> dict[str, Any]:
    worlds = sorted(rollout.videos, key=lambda name: (name != "truth", words.rank(words.WORLDS, name)))
    videos = [(world, _data_uri(path := rollout.videos[world], media_bytes(run, path))) for world in worlds]
    return {"rollout": rollout, "videos": videos}


def _data_uri(path: str, content: bytes) -> str:
    kind = MEDIA_TYPES.get(Path(path).suffix.lower())
    if kind is None:
        raise UserError(f"{path}: a report shows {', '.join(MEDIA_TYPES)} files")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _training_series(metrics: Sequence[dict[str, Any]], name: str) -> Series:
    points = [(float(m["step"]), float(m[name])) for m in metrics if isinstance(m.get(name), int | float) and "step" in m]
    points = plots.thin([(x, y) for x, y in points if y == y])
    return Series(label=name.replace("_", " "), x=[x for x, _ in points], y=[y for _, y in points])
