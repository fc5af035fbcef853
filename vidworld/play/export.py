"""`vidworld export RUN`: a run's world models as ONNX files that play, and what each form costs, in one table."""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor
from tqdm import tqdm

from vidworld.analysis.statistics import Bounds, interval, paired_difference
from vidworld.core.clip import Clips
from vidworld.core.command import Command
from vidworld.core.energy import energy_counters, joules_between
from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, provenance, write_json
from vidworld.evaluation.surprises import encode_quadruplets, surprise_of
from vidworld.metrics.samples import error_of_mean
from vidworld.metrics.surprise import surprise_accuracy
from vidworld.metrics.velocity import velocity_error
from vidworld.models.exported import exported_files, write_exported
from vidworld.models.files import EXPORT_FORMS
from vidworld.models.live import LiveRollout
from vidworld.models.pretrained import from_pretrained
from vidworld.models.world_model import Encoded
from vidworld.play.cast import CONTEXT_FRAMES, EXPORTS, Cast, Player, cast_of, clips_in, rolled_out
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.quadruplets import quadruplets

TORCH = "torch"
NOT_TOLD = "not told by this machine"
EXPORTED_SCENARIOS = ("uniform", "collision")
EXPORTED_LAWS = ("permanence", "collision", "momentum")
_AT_ONCE = 8
"""Clips that go through a model together."""
WARM_UP = 8
"""Chunks before any is timed."""


@dataclass(frozen=True)
class ExportRow:
    """A model in one form. Each measure: value and 95% interval, and of what it has more than the form `torch`."""

    model: str
    form: str
    files: list[str]
    size_mb: float
    chunk_ms: dict[str, float]
    """Processor time of the next chunk, tokens out: median and 95th percentile."""
    joules: float | None
    """A chunk, of the whole processor; None where the machine does not tell."""
    off_by: float
    """Largest difference of a token of the first chunk from that of `torch`, where a token's own variance is 1."""
    measures: dict[str, dict[str, list[float]]]


def sources(cast: Cast, clips: int) -> dict[str, Clips]:
    """What rollouts are measured on: two scenarios, or every environment under a hand that knows its goal."""
    if cast.action_channels:
        names = [name for name in cast.worlds if name in ENVIRONMENTS]
    else:
        names = [name for name in EXPORTED_SCENARIOS if name in cast.worlds] or [cast.worlds[0]]
    return {name: clips_in(name, "id", cast.shape).clips(range(clips)) for name in names}


def physics(
    cast: Cast, player: Player, shown: dict[str, Clips], count: int
) -> Iterator[tuple[str, Bounds | None, ndarray]]:
    """Each measure's name and bounds, and its value of every clip or quadruplet."""
    evaluator, context = cast.evaluator, cast.evaluator.context_length
    for name, clips in shown.items():
        truth = clips.tracks
        assert truth is not None
        seen, frames = evaluator.encode(clips), []
        for some in torch.arange(len(clips.identity)).split(_AT_ONCE):
            tokens = rolled_out(cast, player, Encoded(clips.at(some), seen.tokens[some]), context).tokens[:, 0]
            frames.append(evaluator.decode(tokens))
        found = evaluator.by_pixels(torch.cat(frames), truth)
        yield f"velocity error, {name}", None, velocity_error(found, truth, clips.dt_s, CONTEXT_FRAMES)
        yield f"position error, {name}", None, error_of_mean([found], truth, clips.dt_s, CONTEXT_FRAMES)
    for law in () if cast.action_channels else EXPORTED_LAWS:
        values = []
        for numbers in torch.arange(count).split(_AT_ONCE):
            made = quadruplets(law, "id", 0, numbers.tolist(), CONTEXT_FRAMES, cast.shape)
            values.append(surprise_accuracy(surprise_of(evaluator, player.model, encode_quadruplets(evaluator, made))))
        yield f"surprise accuracy, {law}", (0.0, 1.0), np.concatenate(values)


def timed(
    cast: Cast, forms: dict[str, Player], clips: Clips, chunks: int
) -> dict[str, tuple[list[float], float | None, Tensor]]:
    """Of each form: processor time of every chunk (s), joules a chunk, and the first chunk's tokens.

    All forms play on from the same clip in turns, ten chunks each, under what is done in it, over and over.
    """
    seen = cast.evaluator.encode(clips.at(torch.tensor([0])))
    context = cast.evaluator.context_length
    done = None if seen.actions is None else seen.actions[:, :context]
    later = cycle([None] if seen.actions is None else seen.actions[:, context:].split(1, dim=1))
    live, first = {}, {}
    for form, player in forms.items():
        live[form] = LiveRollout(player.name, player.model, seen.tokens[:, :context], done, 0, player.window)
        first[form] = live[form].step(None if seen.actions is None else seen.actions[:, context : context + 1])[1]
        for _ in range(WARM_UP):
            live[form].step(next(later))
    seconds: dict[str, list[float]] = {form: [] for form in forms}
    joules: dict[str, list[float | None]] = {form: [] for form in forms}
    while len(seconds[TORCH]) < chunks:
        for form in forms:
            before = energy_counters()
            for _ in range(10):
                began = time.process_time()
                live[form].step(next(later))
                seconds[form].append(time.process_time() - began)
            joules[form].append(joules_between(before, energy_counters()))
    return {form: (seconds[form], _mean(joules[form], 10), first[form]) for form in forms}


def _mean(told: Sequence[float | None], each: int) -> float | None:
    known = [value for value in told if value is not None]
    return sum(known) / len(known) / each if known else None


def forms_of(cast: Cast, player: Player, folder: Path, clips: int, count: int, chunks: int) -> list[ExportRow]:
    """A model in every form: as it is, and by the files in this folder."""
    forms = {TORCH: player} | {form: player.by_files(folder, form) for form in EXPORT_FORMS}
    shown = sources(cast, clips)
    times = timed(cast, forms, next(iter(shown.values())), chunks)
    networks = filter(None, (player.model.network, getattr(player.model, "decoder", None)))
    weights = sum(p.numel() * p.element_size() for part in networks for p in part.parameters()) / 1e6
    plain: dict[str, ndarray] = {}
    rows = []
    for form, each in forms.items():
        measures = {}
        for name, bounds, values in physics(cast, each, shown, count):
            own, of_torch = interval(values[None], bounds), plain.setdefault(name, values)
            more = paired_difference(values[None], of_torch[None], bounds)
            measures[name] = {"value": [own.value, own.low, own.high], "more": [more.value, more.low, more.high]}
        files = [] if form == TORCH else exported_files(folder / player.name, form)
        size = sum(file.stat().st_size for file in files) / 1e6 if files else weights
        seconds, joules, first = times[form]
        middle, late = (1e3 * float(np.quantile(seconds, share)) for share in (0.5, 0.95))
        off_by = float((first - times[TORCH][2]).abs().max())
        took = {"median": round(middle, 2), "p95": round(late, 2)}
        names = [f"{player.name}/{file.name}" for file in files]
        rows.append(ExportRow(player.name, form, names, round(size, 2), took, joules, off_by, measures))
    return rows


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="RUN", help="a folder of runs, or a release")
    add("--models", default="", metavar="NAMES", help="of RUN, by comma (default: the first of each family)")
    add("--sampling-steps", type=int, default=4, help="of diffusion, a chunk (default: %(default)s)")
    add("--out", type=Path, help="where the files go (default: RUN/export)")
    add("--clips", type=int, default=32, help="of each scenario or environment (default: %(default)s)")
    add("--quadruplets", type=int, default=32, help="of each law (default: %(default)s)")
    add("--chunks", type=int, default=100, help="that are timed of each form (default: %(default)s)")


def _run(arguments: argparse.Namespace) -> None:
    """Write and measure, and print a line a model and form."""
    for name in ("sampling_steps", "clips", "quadruplets", "chunks"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name.replace('_', '-')}: at least 1 is needed")
    run = from_pretrained(arguments.folder)
    cast = cast_of(run, [name for name in arguments.models.split(",") if name], arguments.sampling_steps)
    out = prepare_folder(arguments.out or run / EXPORTS)
    torch.set_num_threads(1)
    tokenizer, rows = cast.evaluator.tokenizer, []
    grid = tokenizer.grid_of(cast.chunk_frames, cast.shape.height_px, cast.shape.width_px)[1:]
    settings = {"sampling_steps": arguments.sampling_steps, "chunk_frames": cast.chunk_frames, "energy": NOT_TOLD}
    if energy_counters():
        settings["energy"] = "of all processor packages, whatever else they did"
    settings |= {"clips": arguments.clips, "quadruplets": arguments.quadruplets, "chunks": arguments.chunks}
    for player in tqdm(cast.players, "models", disable=None):
        write_exported(player.model, grid, out / player.name, player.weights)
        rows += forms_of(cast, player, out, arguments.clips, arguments.quadruplets, arguments.chunks)
        content = {"schema": 2, "provenance": provenance(0), **settings, "rows": [asdict(row) for row in rows]}
        write_json(out / "export.json", content)
    for line in table(rows, cast.chunk_frames):
        print(line)
    print(f"{out / 'export.json'}: {len(rows)} rows; the files are beside it")


def table(rows: Sequence[ExportRow], chunk_frames: int) -> Iterator[str]:
    """In Markdown; of other forms than torch the physics is what they have more."""
    names = list(dict.fromkeys(name for row in rows for name in row.measures))
    heads = ["model", "form", "MB", "ms a frame, median", "95th percentile", "J a frame", "off by", *names]
    yield "| " + " | ".join(heads) + " |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        label = TORCH if row.form == TORCH else EXPORT_FORMS[row.form].label
        told = NOT_TOLD if row.joules is None else f"{row.joules / chunk_frames:.2g}"
        times = [f"{row.chunk_ms[name] / chunk_frames:.2f}" for name in ("median", "p95")]
        cells = [row.model, label, f"{row.size_mb:g}", *times, told, f"{row.off_by:.1g}"]
        for name in names:
            sign = "" if row.form == TORCH else "+"
            value, low, high = row.measures[name]["value" if row.form == TORCH else "more"]
            cells.append(f"{value:{sign}.2f} [{low:.2f}, {high:.2f}]")
        yield "| " + " | ".join(cells) + " |"


EXPORT = Command(_add_arguments, _run)
