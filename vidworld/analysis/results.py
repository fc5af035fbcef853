"""The files that an evaluation leaves behind: results.json, per_clip.csv and comparison.json."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from vidworld.analysis.records import Row, Value
from vidworld.analysis.rows import rows_from_clips
from vidworld.analysis.shortfalls import shortfalls
from vidworld.analysis.verdicts import runs_of, verdicts
from vidworld.core.errors import UserError
from vidworld.core.records import provenance, read_json, write_json, write_text

SCHEMA = 1


@dataclass(frozen=True)
class Results:
    """What a results.json holds."""

    provenance: dict[str, Any]
    results: tuple[Row, ...]


def write_results(
    folder: Path, values: Sequence[Value], comparison: Mapping[str, Any], seed: int
) -> list[Row]:
    """The rows, after writing per_clip.csv, results.json and, last, comparison.json (with the verdicts) there."""
    rows = rows_from_clips(values)
    primary, further = verdicts(values)
    write_per_clip(folder / "per_clip.csv", values)
    said = {"verdicts": [asdict(v) for v in primary], "further_verdicts": [asdict(v) for v in further]}
    notes = {"notes": [*comparison.get("notes", []), *shortfalls(rows)], "runs": runs_of(values)}
    content = {
        "schema": SCHEMA,
        "provenance": provenance(seed),
        "results": [asdict(row) for row in rows],
    }
    write_json(folder / "results.json", content)
    write_json(folder / "comparison.json", dict(comparison) | notes | said)
    return rows


def read_results(path: Path) -> Results:
    """What a results.json holds.

    Raises: UserError where the file is missing, of another schema, or a row has a field wrong; all are named.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise UserError(
            f"{path}: is no results of schema {SCHEMA} (it says {found}); run eval/run_physics.py again"
        )
    try:
        rows = TypeAdapter(tuple[Row, ...]).validate_python(
            _with_nan(content.get("results", [])), extra="forbid"
        )
        return Results(dict(content.get("provenance", {})), rows)
    except ValidationError as error:
        faults = "; ".join(f"row {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise UserError(f"{path}: {faults}") from error


def write_per_clip(path: Path, values: Iterable[Value]) -> None:
    """Writes one line a value, floats in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [field.name for field in fields(Value)]
    writer.writerow(columns)
    for value in values:
        writer.writerow(["" if (cell := getattr(value, name)) is None else cell for name in columns])
    write_text(path, text.getvalue())


def read_per_clip(path: Path) -> list[Value]:
    """The values of a per_clip.csv; several of them, of runs with other seeds, can be put behind one another.

    Raises: UserError where the file is missing, its columns are others, or a number is none.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            columns = [field.name for field in fields(Value)]
            if reader.fieldnames != columns:
                raise UserError(f"{path}: its columns are {reader.fieldnames}, not {columns}")
            values = []
            for line in reader:
                try:
                    numbers = {"value": float(line["value"]), "seed": int(line["seed"])}
                except (TypeError, ValueError) as error:
                    raise UserError(f"{path}: line {reader.line_num}: {error}") from error
                values.append(Value(**line | {"readout": line["readout"] or None} | numbers))
            return values
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def _with_nan(rows: Any) -> Any:
    """JSON has no NaN: where a number was not measured the file says null."""
    if not isinstance(rows, list):
        return rows
    numbers = ("value", "low", "high")
    return [
        {k: float("nan") if v is None and k in numbers else v for k, v in row.items()}
        if isinstance(row, dict)
        else row
        for row in rows
    ]
