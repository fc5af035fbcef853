"""A run folder as one self-contained page, that says nothing which its files do not; they are checked on the way in."""

import base64
import functools
import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from vidworld.analysis import labels as words
from vidworld.analysis import records
from vidworld.analysis.records import Comparison, Curve, Media, Quadruplet, Results, Series, Verdict
from vidworld.core.errors import UserError
from vidworld.core.records import read_json, read_jsonl, write_text
from vidworld.report import charts as plots
from vidworld.report import tables
from vidworld.report.charts import Legend

TEMPLATES = Path(__file__).parent / "templates"
MEDIA_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".png": "image/png"}
MOST_FRAMES_SHOWN = 10_000
"""Of a quadruplet that a page shows."""
TRAINING_CURVES = {
    "loss": "loss",
    "psnr_db": "PSNR, dB",
    "copy_last_ratio": "prediction loss / copy-last loss",
    "deviation": "deviation of the target embeddings across clips",
}
"""Names in `metrics.jsonl` that are drawn, and how their axis is called."""


class TrainingRun(NamedTuple):
    """One training run: where it ran, how it went."""

    provenance: dict[str, Any]
    metrics: list[dict[str, Any]]


class RunFolder(NamedTuple):
    """Everything a report is made of."""

    name: str
    physics: Path
    results: Results
    comparison: Comparison
    media: Media
    trainings: dict[str, TrainingRun]  # in the order in which they were started
    calibration: list[records.CalibrationRow]  # empty where `make calibrate` was not run beside it


def write_report(run_folder: Path, out: Path | None = None) -> Path:
    """The path of the page written for this run, `report.html` in its folder unless `out` says otherwise."""
    out = out or run_folder / "report.html"
    write_text(out, render_page(read_run(run_folder)))
    return out


def read_run(folder: Path) -> RunFolder:
    """The run in this folder.

    `physics/results.json` and `physics/comparison.json` are required; media and training runs may be absent, and so may
    `calibration/calibration.json` beside the folder. UserError names the first file that is not what it should be.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such run folder; make one with `make demo` or eval/run_physics.py")
    physics = folder / "physics"
    for name in ("results.json", "comparison.json"):
        if not (physics / name).is_file():
            raise UserError(f"{physics / name}: not there; eval/run_physics.py writes it")
    media, calibration = physics / "media.json", folder.parent / "calibration" / "calibration.json"
    runs = {path.parent for path in folder.glob("*/heartbeat.json")}
    runs |= {path.parent.parent for path in folder.glob("*/model/budget.json")}
    trainings = {path.name: _training(path) for path in sorted(runs)}
    return RunFolder(
        name=folder.resolve().name,
        physics=physics,
        trainings=dict(sorted(trainings.items(), key=lambda item: str(item[1].provenance.get("started")))),
        results=records.read_results(physics / "results.json"),
        comparison=records.read_as(Comparison, physics / "comparison.json"),
        media=records.read_as(Media, media) if media.is_file() else Media(),
        calibration=records.read_as(records.Calibration, calibration).results if calibration.is_file() else [],
    )


def _training(folder: Path) -> TrainingRun:
    file, metrics = folder / "provenance.json", folder / "metrics.jsonl"
    provenance = read_json(file) if file.is_file() else {}
    if not isinstance(provenance, dict):
        raise UserError(f"{file}: should hold names with values, holds a {type(provenance).__name__}")
    return TrainingRun(provenance, read_jsonl(metrics) if metrics.is_file() else [])


def media_bytes(run: RunFolder, path: str) -> bytes:
    """The content of a file that `media.json` names; UserError where it cannot be read or lies outside `physics`."""
    media, name = run.physics / "media.json", repr(path if len(path) <= 200 else f"{path[:197]}...")
    try:
        file = (run.physics / path).resolve()
        if not file.is_relative_to(run.physics.resolve()):
            raise UserError(f"{media}: {name} lies outside {run.physics}")
        if not file.is_file():
            raise UserError(f"{media}: names {name}, which is not there")
        return file.read_bytes()
    except UserError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # a name that no file can have, or links in a circle
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{media}: names {name}, which cannot be read ({reason})") from error


def render_page(run: RunFolder) -> str:
    """The whole page as HTML; every text in it is escaped."""
    comparison, rows = run.comparison, run.results.results
    legend = Legend(run.results.models, run.results.labels)
    withheld = {(v.law, v.metric): v.withheld for v in comparison.verdicts if v.withheld}
    table, solved_table = tables.parted(tables.headline_table(rows, withheld, legend))
    steps = tables.provenance_table(run.trainings | {"evaluation": TrainingRun(run.results.provenance, [])})

    return render_template(
        "page.html", "script.js", run=run, comparison=comparison, legend=legend, rows=rows, steps=steps,
        pairs=[_pair(run, pair, legend) for pair in run.results.compare],
        few=any(entry["forest"].few for group in (*table, *solved_table) for entry in group["rows"]),
        table=table, solved_table=solved_table,
        probe_table=tables.headline_table(rows, withheld, legend, secondary=True),
        laws=_laws(run, legend), rollouts=_rollouts(run, legend),
        generalisation=plots.line_charts(run.media.generalisation, legend),
        curves=plots.line_charts(run.media.curves, legend),
        training=training_charts(run, legend), max_points=plots.MAX_POINTS,
        budgets=tables.budget_table(comparison, legend.models),
        tried_columns=list(dict.fromkeys(name for entry in comparison.tried for name in entry)),
        packages=list(dict.fromkeys(name for step in steps for name in step["versions"])),
    )  # fmt: skip


def render_template(name: str, script_name: str, **content: Any) -> str:
    """A template with its one script, which alone may run."""
    script = (TEMPLATES / script_name).read_text(encoding="utf-8")
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment().get_template(name).render(script=script, script_hash=script_hash, **content)


def save_page(out: Path, name: str, **content: Any) -> Path:
    """The path of a page, after writing it from a template without a script."""
    write_text(out, environment().get_template(name).render(**content))
    return out


@functools.cache
def environment() -> jinja2.Environment:
    """Where the templates of the pages are, and the words that they may use."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.globals["words"] = words
    made.filters |= {"title_of": words.title, "setting": words.setting, "slug": lambda name: re.sub(r"\W+", "-", name)}
    return made


def tally(verdicts: Sequence[Verdict], pair: tuple[str, str], legend: Legend) -> list[dict[str, Any]]:
    """The laws of each outcome: a model that is better, what both have solved, what the data do not say or withhold.

    Better is a family from `FAMILY_RUNS` runs of each on, before that a checkpoint.
    """

    def laws(chosen: Iterable[Verdict]) -> list[str]:
        return [words.title(verdict.law) for verdict in chosen]

    told = [verdict for verdict in verdicts if not verdict.withheld]
    stated = [verdict for verdict in told if not verdict.solved]
    of_families = all(verdict.runs >= words.FAMILY_RUNS for verdict in told)
    who = "{} is better" if of_families else "{}’s checkpoint is better"
    found = [
        (legend.color(name), who.format(legend.label(name)), laws(v for v in stated if v.better == name))
        for name in sorted(pair, key=legend.rank)
    ]
    found.append(("undecided", "The data do not say", laws(v for v in stated if not v.better)))
    if solved := laws(v for v in told if v.solved):
        found.append(("solved", "Solved by both", solved))
    if held := laws(v for v in verdicts if v.withheld):
        found.append(("withheld", "Verdict withheld", held))
    return [{"color": color, "text": text, "laws": names} for color, text, names in found if verdicts]


def training_charts(run: RunFolder, legend: Legend) -> list[plots.Chart]:
    """What a training run logged over its steps, one chart a run and quantity."""
    charts = []
    for run_name, training in run.trainings.items():
        model = run_name if run_name in legend.models else "truth"
        for name, y_label in TRAINING_CURVES.items():
            both = [(plots.as_number(m.get("step")), plots.as_number(m.get(name))) for m in training.metrics]
            points = [(step, value) for step, value in both if step is not None and value is not None]
            x, y = ([point[i] for point in plots.thin(points)] for i in (0, 1))
            series, title = Series(name, x, y, model=model), f"{legend.label(run_name)}: {words.title(name)}"
            charts.append(plots.line_chart(Curve(title, "step", y_label, [series]), legend, log_y=name == "loss"))
    return [chart for chart in charts if chart]


def _pair(run: RunFolder, pair: tuple[str, str], legend: Legend) -> dict[str, Any]:
    mine = [verdict for verdict in run.comparison.verdicts if (verdict.first, verdict.second) == pair]
    name = records.pair_name(*pair)
    return {
        "models": sorted(pair, key=legend.rank),
        "title": " and ".join(map(legend.label, pair)),
        "controlled": run.comparison.controlled.get(name, False),
        "differences": "; ".join(run.comparison.differences.get(name, [])),
        "tally": tally(mine, pair, legend),
        "verdicts": [_verdict(run, verdict, legend) for verdict in mine if not _equal(verdict)],
        "equal": [_verdict(run, verdict, legend) for verdict in mine if _equal(verdict)],
    }


def _equal(verdict: Verdict) -> bool:
    """Whether there is no difference to look at: none is shown, or both models have solved the task."""
    return not verdict.withheld and (verdict.solved or verdict.better is None)


def _verdict(run: RunFolder, verdict: Verdict, legend: Legend) -> dict[str, Any]:
    """The verdict with its difference in words, and the forest that shows it."""
    shown: dict[str, Any] = {"law": verdict.law, "statement": verdict.statement, "withheld": verdict.withheld}
    if verdict.withheld:
        return shown | {"color": "withheld", "detail": "", "other_forms": "", "power": "", "forest": None}
    wanted = (verdict.law, verdict.metric, verdict.task)
    inside = [r for r in run.results.results if r.split not in tables.OUTSIDE and not words.is_further(r.split)]
    rows = [row for row in inside if (row.law, row.metric, row.task) == wanted]
    difference = words.estimate(verdict.difference, verdict.low, verdict.high)
    parts = [f"{legend.label(verdict.first)} − {legend.label(verdict.second)}: {difference}"]
    if "p = " not in verdict.statement:
        parts.append(words.p_text(verdict.p_value))
    return shown | {
        "color": legend.color(verdict.better) if verdict.better else "undecided",
        "detail": ", ".join(part for part in parts if part),
        "other_forms": verdict.other_forms,
        "power": verdict.power,
        "forest": min(tables.forests(rows, legend), key=lambda forest: forest.secondary, default=None),
    }


def _laws(run: RunFolder, legend: Legend) -> list[dict[str, Any]]:
    rows = run.results.results
    found = tables.forests([row for row in rows if not words.is_further(row.split)], legend)
    further = tables.forests([row for row in rows if words.is_further(row.split) and row.headline], legend)
    verdicts = [*run.comparison.verdicts, *run.comparison.further_verdicts]
    shown = run.media.quadruplets
    names = dict.fromkeys([*(forest.law for forest in (*found, *further)), *(one.law for one in shown)])
    return [
        {
            "law": law,
            "forests": [f for f in found if f.law == law and f.headline and not f.secondary],
            "more": [f for f in found if f.law == law and (f.secondary or not f.headline)]
            + [f for f in further if f.law == law and not f.secondary],
            "quadruplets": [_quadruplet(run, one, legend) for one in shown if one.law == law],
            "verdicts": [_verdict(run, verdict, legend) for verdict in verdicts if verdict.law == law],
            "folded": any(v.law == law for v in verdicts) and all(_equal(v) for v in verdicts if v.law == law),
            "limits": tables.limits_table([row for row in run.calibration if row.law == law]),
        }
        for law in sorted(names, key=legend.law_rank)
    ]


def _quadruplet(run: RunFolder, shown: Quadruplet, legend: Legend) -> dict[str, Any]:
    horizon = max((len(pair.possible) for pair in shown.surprise.values()), default=0)
    frames = (shown.chunk_start + horizon) * shown.frames_per_chunk
    if frames > MOST_FRAMES_SHOWN:
        more = f"chunk_start and frames_per_chunk give more than the {MOST_FRAMES_SHOWN:,} frames that a page shows"
        raise UserError(f"{run.physics / 'media.json'}: {shown.identity}: {more}")
    panels = [
        plots.surprise_panel(shown, shown.surprise[name], legend.label(name), legend.color(name))
        for name in sorted(shown.surprise, key=legend.rank)
    ]
    strips = []
    for kind, path in shown.frames.items():
        content = media_bytes(run, path)
        if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 24:
            raise UserError(f"{run.physics / path}: should be a PNG, and is not")
        width, height = struct.unpack(">II", content[16:24])
        # Without a surprise: taken as square frames.
        frames = frames if horizon else max(1, round(width / max(1, height)))
        gap = -width % frames  # the lines between the frames
        frame_width = (width + gap) / frames - gap
        if frame_width < 1 or height < 1 or frames > MOST_FRAMES_SHOWN:
            raise UserError(f"{run.physics / path}: is {width} x {height} pixels, no {frames:,} frames side by side")
        strip = {"kind": kind, "uri": _data_uri(path, content), "aspect": frame_width / height}
        strips.append(strip | {"length": width / frame_width})
    return {
        "shown": shown,
        "strips": strips,
        "panels": [panel for panel in panels if panel],
        "frames": frames,
        "chunks": max(1, frames // shown.frames_per_chunk),
    }


def _rollouts(run: RunFolder, legend: Legend) -> list[dict[str, Any]]:
    """Per task its rollouts with their videos, the truth first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for rollout in run.media.rollouts:
        names = sorted(rollout.videos, key=lambda name: (name != "truth", legend.rank(name)))
        videos = {name: _data_uri(rollout.videos[name], media_bytes(run, rollout.videos[name])) for name in names}
        found.setdefault(rollout.task, []).append({"rollout": rollout, "videos": videos})
    return [{"task": task, "items": items} for task, items in found.items()]


def embedded(path: Path) -> str:
    """A file's content as a data: URI. Raises UserError: a page shows no such files."""
    return _data_uri(path.name, path.read_bytes())


def _data_uri(path: str, content: bytes) -> str:
    kind = MEDIA_TYPES.get(Path(path).suffix.lower())
    if kind is None:
        raise UserError(f"{path}: a report shows {', '.join(MEDIA_TYPES)} files")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
