"""A sweep to one table: comparisons that differ in a seed or another key, finished or not."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vidworld.analysis.labels import FAMILY_RUNS, kind_of
from vidworld.analysis.records import Comparison, Media, Results, Row, Value, read_as, read_results
from vidworld.analysis.results import read_per_clip, write_results
from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, read_json, write_json, write_text
from vidworld.models.files import read_budget


@dataclass(frozen=True)
class Member:
    """One comparison of a sweep: the folder KEY_VALUE with its runs."""

    folder: Path
    key: str
    value: str
    state: str  # how far it is, in words; empty where it is finished

    @property
    def physics(self) -> Path:
        return self.folder / "physics"


def members(sweep: Path) -> list[Member]:
    """The comparisons of a sweep's folder, by their values. Raises UserError: there are none, or not all of one key."""
    folders = [path for path in sweep.glob("*_*") if path.is_dir()]
    if not folders:
        raise UserError(f"{sweep}: holds no comparisons, folders named KEY_VALUE; slurm/sweep makes them")
    found = [Member(path, *path.name.rpartition("_")[::2], progress_of(path)) for path in folders]
    if len(keys := {member.key for member in found}) > 1:
        raise UserError(f"{sweep}: holds comparisons of several keys: {', '.join(sorted(keys))}; one is a sweep")
    return sorted(found, key=lambda member: (len(member.value), member.value))


def progress_of(folder: Path) -> str:
    """How far a comparison is; empty where it has been measured."""
    physics = folder / "physics"
    if all((physics / name).exists() for name in ("results.json", "comparison.json", "per_clip.csv")):
        return ""
    trained = sorted(path.parent.parent.name for path in folder.glob("*/model/budget.json"))
    running = [path for path in sorted(folder.glob("*/heartbeat.json")) if path.parent.name not in trained]
    beats = {path.parent.name: read_json(path) for path in running}
    states = [f"{name} at step {beat['step']} of {beat['steps']} ({beat['time']})" for name, beat in beats.items()]
    states = states or ["not measured yet" if trained else "has not begun"]
    return "; ".join([f"trained: {', '.join(trained)}", *states] if trained else states)


def collect(sweep: Path) -> Path:
    """Write SWEEP/sweep.md, a table of all comparisons; return its path. Raises UserError.

    Where the sweep is over seeds, the values of all finished ones together become SWEEP/physics, of which a report is
    made as of any run: its intervals and tests are over clips and seeds, its verdicts
    about families where there are `FAMILY_RUNS` seeds or more.
    """
    found = members(sweep)
    results = {m.value: read_results(m.physics / "results.json") for m in found if not m.state}
    columns = {value: list(one.results) for value, one in results.items()}
    if found[0].key == "seed" and results:
        columns["all"] = _write_together(sweep, found, next(iter(results.values())))
    write_text(path := sweep / "sweep.md", _page(found, columns))
    return path


def _write_together(sweep: Path, found: Sequence[Member], first: Results) -> list[Row]:
    """The rows over all finished seeds, after writing them as the results of one run."""
    finished, values = [member for member in found if not member.state], list[Value]()
    specs = [read_results(member.physics / "results.json").models for member in finished]
    # A model that is the same in all of them was trained once, however often it was measured.
    once = {name for name, model in first.models.items() if len(specs) > 1 and all(s.get(name) == model for s in specs)}
    for member in finished:
        seed = _seed(member)
        measured = read_per_clip(member.physics / "per_clip.csv")
        values += [replace(v, seed=seed) for v in measured if member == finished[0] or v.model not in once]
    comparisons = [read_as(Comparison, member.physics / "comparison.json") for member in finished]
    seeds = ", ".join(member.value for member in finished)
    notes = [f"Seeds {seeds}: {len(finished)} trainings of each model, measured on the same clips."]
    if len(finished) < FAMILY_RUNS:
        notes += [f"Verdicts are about these checkpoints; about families from {FAMILY_RUNS} trainings of each on."]
    notes += [f"Seed {m.value} is not in these numbers: {m.state}." for m in found if m.state]
    differences: dict[str, list[str]] = {pair: [] for pair in comparisons[0].controlled}
    for member, comparison in zip(finished, comparisons, strict=True):
        for pair, lines in differences.items():
            lines += [f"seed {member.value}: {line}" for line in comparison.differences.get(pair, [])]
    controlled = {pair: not lines for pair, lines in differences.items()}
    together = replace(comparisons[0], inputs=None, controlled=controlled, differences=differences, notes=notes)
    folder = prepare_folder(sweep / "physics")
    write_json(folder / "media.json", asdict(Media()))
    return write_results(folder, values, first.models, first.compare, together, seed=int(finished[0].value))


def _seed(member: Member) -> int:
    """The seed that all models of a comparison were trained with."""
    for path in sorted(member.folder.glob("*/model/budget.json")):
        folder = path.parent.parent
        config = read_budget(folder)["config"]
        found = config.get("seed") if isinstance(config, dict) else None
        if str(found) != member.value:
            raise UserError(f"{folder}: was trained with seed {found}; name its folder by that")
    return int(member.value)


def _page(found: Sequence[Member], columns: dict[str, list[Row]]) -> str:
    """The table as Markdown: a line for each headline number of each model, a column for each comparison."""
    key = found[0].key
    lines = [f"# {key}: {', '.join(member.value for member in found)}", ""]
    lines += [f"- {key} {member.value}: {member.state or 'finished'}" for member in found]
    cells: dict[tuple[str, str, str, str, str], dict[str, str]] = defaultdict(dict)
    for name, rows in columns.items():
        for row in rows:
            if row.headline and kind_of(row.model) == "model":
                place = (row.metric, row.law or row.task, row.split, row.readout or "", row.model)
                cells[place][name] = f"{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]"
    heads = ["metric", "law or task", "split", "readout", "model"]
    heads += [name if name == "all" else f"{key} {name}" for name in columns]
    heads += [f"{key} {member.value} (unfinished)" for member in found if member.state]
    lines += ["", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for place in sorted(cells):
        numbers = [cells[place].get(name, "") for name in columns]
        lines.append("| " + " | ".join([*place, *numbers, *("" for m in found if m.state)]) + " |")
    return "\n".join(lines) + "\n"
