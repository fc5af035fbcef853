"""A run folder as one self-contained page, that says nothing which its files do not."""

import base64
import functools
import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from vidworld.analysis import labels as words
from vidworld.core.errors import UserError
from vidworld.core.records import write_text
from vidworld.report import charts as plots
from vidworld.report import tables
from vidworld.report.files import Curve, Quad, Run, Series, Verdict, media_bytes, read_run

PAGE = Path(__file__).parent / "templates"
MEDIA_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".png": "image/png"}
TRAINING_CURVES = {
    "loss": "loss",
    "psnr_db": "PSNR, dB",
    "copy_last_ratio": "prediction loss / copy-last loss",
    "deviation": "deviation of the target embeddings across clips",
}
"""Names in `metrics.jsonl` that are drawn, and how their axis is called."""


def write_report(run_folder: Path, out: Path | None = None) -> Path:
    """The path of the page written for this run, `report.html` in its folder unless `out` says otherwise.

    Raises:
        UserError: the run cannot be read, or the page cannot be written.
    """
    out = out or run_folder / "report.html"
    write_text(out, render(read_run(run_folder)))
    return out


def render(run: Run) -> str:
    """The whole page as HTML; every text in it is escaped."""
    script = (PAGE / "script.js").read_text(encoding="utf-8")
    comparison, rows = run.comparison, run.results.results
    withheld = {
        (verdict.law, verdict.metric): verdict.withheld for verdict in comparison.verdicts if verdict.withheld
    }
    steps = tables.provenance_table(run)
    jepa = run.stages.get("jepa")
    page = environment().get_template("page.html")
    return page.render(
        run=run,
        comparison=comparison,
        words=words,
        pair=tables.PAIR,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        tally=tally(comparison.verdicts),
        verdicts=[_verdict(run, verdict) for verdict in comparison.verdicts],
        table=tables.headline_table(rows, withheld),
        probe_table=tables.headline_table(rows, withheld, secondary=True),
        laws=_laws(run),
        rollouts=_rollouts(run),
        generalisation=[chart for chart in map(plots.line_chart, run.media.generalisation) if chart],
        curves=[chart for chart in map(plots.line_chart, run.media.curves) if chart],
        training=training_charts(run),
        most_points=plots.MOST_POINTS,
        budgets=tables.budget_table(comparison),
        target=comparison.jepa_target or (jepa and tables.jepa_target(jepa.config)),
        tried_columns=list(dict.fromkeys(name for entry in comparison.tried for name in entry)),
        steps=steps,
        packages=list(dict.fromkeys(name for step in steps for name in step["versions"])),
        rows=rows,
    )


def tally(verdicts: Sequence[Verdict]) -> list[tuple[str, str, list[str]]]:
    """(kind, words, laws) per outcome: a world that is better, what the data do not say, what is withheld."""

    def laws(chosen: Iterable[Verdict]) -> list[str]:
        return [words.title(verdict.law) for verdict in chosen]

    said = [verdict for verdict in verdicts if not verdict.withheld]
    worlds = sorted(
        {*tables.PAIR, *(v.better for v in said if v.better)}, key=lambda w: words.rank(words.WORLDS, w)
    )
    found = [(w, f"{words.world_label(w)} is better", laws(v for v in said if v.better == w)) for w in worlds]
    found.append(("undecided", "The data do not say", laws(v for v in said if not v.better)))
    found.append(("withheld", "Withheld", laws(v for v in verdicts if v.withheld)))
    return found if verdicts else []


def training_charts(run: Run) -> list[plots.Chart]:
    """What a training run logged over its steps, one chart a run and quantity."""
    charts = []
    for stage in run.stages.values():
        for name, y_label in TRAINING_CURVES.items():
            points = [(float(m["step"]), float(m[name])) for m in stage.metrics if m.get(name) is not None]
            if points:
                x, y = (list(values) for values in zip(*plots.thin(points), strict=True))
                series = Series(
                    label=name, x=x, y=y, world=stage.name if stage.name in tables.PAIR else "truth"
                )
                title = f"{words.world_label(stage.name)}: {words.title(name)}"
                curve = Curve(name=title, x_label="step", y_label=y_label, series=[series])
                charts.append(plots.line_chart(curve, log_y=name == "loss"))
    return [chart for chart in charts if chart]


@functools.cache
def environment() -> jinja2.Environment:
    """Where the templates of the pages are, and the words that they may use."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "title_of": words.title,
        "world": words.world_label,
        "setting": words.setting,
        "color": plots.color_of,
        "slug": lambda name: re.sub(r"\W+", "-", name),
    }
    return made


def _verdict(run: Run, verdict: Verdict) -> dict[str, Any]:
    """The verdict with its difference in words, and the forest that shows it."""
    rows = [
        row
        for row in run.results.results
        if (row.law, row.metric) == (verdict.law, verdict.metric)
        and row.task == (verdict.task or row.task)
        and row.split not in tables.OUTSIDE
    ]
    found = sorted(tables.forests(rows), key=lambda forest: forest.secondary)
    parts = []
    if verdict.difference is not None:
        value = words.number(verdict.difference, verdict.low, verdict.high)
        bounds = words.interval(verdict.difference, verdict.low, verdict.high)
        parts.append(f"{verdict.contrast or 'difference'}: {value} {bounds}".strip())
        if "p = " not in verdict.statement:
            parts.append(words.p_text(verdict.p_value))
    return {
        "law": verdict.law,
        "hint": words.LAWS.get(verdict.law, ""),
        "statement": verdict.statement,
        "kind": "withheld" if verdict.withheld else verdict.better or "undecided",
        "withheld": verdict.withheld,
        "detail": "" if verdict.withheld else ", ".join(part for part in parts if part),
        "other_forms": "" if verdict.withheld else verdict.other_forms,
        "forest": found[0] if found and not verdict.withheld else None,
    }


def _laws(run: Run) -> list[dict[str, Any]]:
    # Recombined clips stand beside those whose values they recombine, under the curves.
    found = tables.forests([row for row in run.results.results if row.split != "recombined"])
    said = [*run.comparison.verdicts, *run.comparison.further_verdicts]
    names = dict.fromkeys([*(forest.law for forest in found), *(quad.law for quad in run.media.quads)])
    return [
        {
            "law": law,
            "hint": words.LAWS.get(law, ""),
            "forests": [f for f in found if f.law == law and f.headline and not f.secondary],
            "more": [f for f in found if f.law == law and (f.secondary or not f.headline)],
            "quads": [_quad(run, quad) for quad in run.media.quads if quad.law == law],
            "verdicts": [_verdict(run, verdict) for verdict in said if verdict.law == law],
            "limits": tables.limits_table([limit for limit in run.calibration if limit.law == law]),
        }
        for law in sorted(names, key=lambda name: words.rank(words.LAWS, name))
    ]


def _quad(run: Run, quad: Quad) -> dict[str, Any]:
    worlds = sorted(quad.surprise, key=lambda name: words.rank(words.WORLDS, name))
    panels = [plots.surprise_panel(quad, world, quad.surprise[world]) for world in worlds]
    horizon = max((len(pair.possible) for pair in quad.surprise.values()), default=0)
    frames = (quad.chunk_start + horizon) * quad.frames_per_chunk
    strips = []
    for kind, path in quad.frames.items():
        content = media_bytes(run, path)
        if content[:8] != b"\x89PNG\r\n\x1a\n":
            raise UserError(f"{run.physics / path}: should be a PNG, and is not")
        width, height = struct.unpack(">II", content[16:24])
        frames = frames if horizon else round(width / height)  # without a surprise: taken as square frames
        gap = -width % frames  # the lines between the frames
        frame_width = (width + gap) / frames - gap
        strip = {"kind": kind, "uri": _data_uri(path, content), "aspect": frame_width / height}
        strips.append(strip | {"length": width / frame_width})
    return {
        "quad": quad,
        "strips": strips,
        "panels": [panel for panel in panels if panel],
        "frames": frames,
        "chunks": max(1, frames // quad.frames_per_chunk),
    }


def _rollouts(run: Run) -> list[dict[str, Any]]:
    """Per task its rollouts with their films, the truth first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for rollout in run.media.rollouts:
        worlds = sorted(rollout.videos, key=lambda name: (name != "truth", words.rank(words.WORLDS, name)))
        paths = {world: rollout.videos[world] for world in worlds}
        films = {world: _data_uri(path, media_bytes(run, path)) for world, path in paths.items()}
        found.setdefault(rollout.task, []).append({"rollout": rollout, "films": films})
    return [{"task": task, "items": items} for task, items in found.items()]


def _data_uri(path: str, content: bytes) -> str:
    kind = MEDIA_TYPES.get(Path(path).suffix.lower())
    if kind is None:
        raise UserError(f"{path}: a report shows {', '.join(MEDIA_TYPES)} files")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
