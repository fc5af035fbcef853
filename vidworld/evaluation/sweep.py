"""A sweep to one table: comparisons that differ in a seed or another key, finished or not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vidworld.analysis.labels import STAGES
from vidworld.analysis.records import Row, Value
from vidworld.analysis.results import read_per_clip, read_results, write_results
from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, read_json, write_json, write_text
from vidworld.models.budget import read_budget

WORLDS = ("diffusion", "jepa")


@dataclass(frozen=True)
class Member:
    """One comparison of a sweep: the folder KEY_VALUE with its runs."""

    folder: Path
    key: str
    value: str
    state: str
    """How far it is, in words; empty where it is finished."""


def members(sweep: Path) -> list[Member]:
    """The comparisons of a sweep's folder, by their values.

    Raises:
        UserError: there are none, or not all of one key.
    """
    folders = [path for path in sweep.glob("*_*") if path.is_dir()] if sweep.is_dir() else []
    if not folders:
        raise UserError(f"{sweep}: holds no comparisons, folders named KEY_VALUE; slurm/sweep makes them")
    names = [path.name.rpartition("_") for path in folders]
    found = [
        Member(path, key, value, state_of(path)) for path, (key, _, value) in zip(folders, names, strict=True)
    ]
    if len(keys := {member.key for member in found}) > 1:
        raise UserError(
            f"{sweep}: holds comparisons of several keys: {', '.join(sorted(keys))}; one is a sweep"
        )
    return sorted(found, key=lambda member: (len(member.value), member.value))


def state_of(folder: Path) -> str:
    """How far a comparison is; empty where it has been measured."""
    physics = folder / "physics"
    if all((physics / name).exists() for name in ("results.json", "comparison.json", "per_clip.csv")):
        return ""
    for stage in STAGES:
        if (folder / stage / "model" / "budget.json").exists():
            continue
        heartbeat = folder / stage / "heartbeat.json"
        if not heartbeat.exists():
            return f"waits for {stage}"
        beat = read_json(heartbeat)
        return f"{stage} at step {beat['step']} of {beat['steps']} ({beat['time']})"
    return "trained, not measured yet"


def collect(sweep: Path) -> Path:
    """Writes SWEEP/sweep.md, a table of all comparisons; returns it.

    Where the sweep is over seeds, the values of all finished ones together become SWEEP/physics, of which a report is
    made as of any run: its intervals and tests are over clips and seeds.

    Raises:
        UserError: the folder holds no sweep.
    """
    found = members(sweep)
    finished = [member for member in found if not member.state]
    columns = {
        member.value: list(read_results(member.folder / "physics" / "results.json").results)
        for member in finished
    }
    if found[0].key == "seed" and finished:
        columns["all"] = _write_together(sweep, finished, found)
    path = sweep / "sweep.md"
    write_text(path, _page(found, columns))
    return path


def _write_together(sweep: Path, finished: Sequence[Member], found: Sequence[Member]) -> list[Row]:
    """The rows over all finished seeds, after writing them as the results of one run."""
    values: list[Value] = []
    for member in finished:
        seed = _seed(member)
        values += [
            replace(value, seed=seed) for value in read_per_clip(member.folder / "physics" / "per_clip.csv")
        ]
    comparisons = [read_json(member.folder / "physics" / "comparison.json") for member in finished]
    seeds = ", ".join(member.value for member in finished)
    notes = [f"Seeds {seeds}: {len(finished)} trainings of each world, measured on the same clips."]
    notes += [f"Seed {m.value} is not in these numbers: {m.state}." for m in found if m.state]
    differences = [
        f"seed {m.value}: {d}" for m, c in zip(finished, comparisons, strict=True) for d in c["differences"]
    ]
    first = {
        name: comparisons[0][name] for name in ("budgets", "tried", "jepa_target") if name in comparisons[0]
    }
    together = first | {"controlled": not differences, "differences": differences, "notes": notes}
    folder = prepare_folder(sweep / "physics")
    write_json(folder / "media.json", {})
    return write_results(folder, values, together, seed=int(finished[0].value))


def _seed(member: Member) -> int:
    """The seed that both worlds were trained with.

    Raises:
        UserError: it is another than the folder's name says.
    """
    for world in WORLDS:
        config = read_budget(member.folder / world)["config"]
        found = config.get("seed") if isinstance(config, dict) else None
        if str(found) != member.value:
            raise UserError(
                f"{member.folder / world}: was trained with seed {found}; name its folder by that"
            )
    return int(member.value)


def _page(found: Sequence[Member], columns: dict[str, list[Row]]) -> str:
    """The table as Markdown: a line for each headline number of each world, a column for each comparison."""
    key = found[0].key
    lines = [f"# {key}: {', '.join(member.value for member in found)}", ""]
    lines += [f"- {key} {member.value}: {member.state or 'finished'}" for member in found]
    cells: dict[tuple[str, str, str, str, str], dict[str, Row]] = {}
    for name, rows in columns.items():
        for row in rows:
            if row.headline and row.world in WORLDS:
                place = (row.metric, row.law or row.task, row.split, row.readout or "", row.world)
                cells.setdefault(place, {})[name] = row
    heads = ["metric", "law or task", "split", "read-out", "world"]
    heads += [name if name == "all" else f"{key} {name}" for name in columns]
    heads += [f"{key} {member.value} (unfinished)" for member in found if member.state]
    lines += ["", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for place in sorted(cells):
        numbers = [_number(cells[place].get(name)) for name in columns]
        lines.append("| " + " | ".join([*place, *numbers, *("" for m in found if m.state)]) + " |")
    return "\n".join(lines) + "\n"


def _number(row: Row | None) -> str:
    return "" if row is None else f"{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]"
