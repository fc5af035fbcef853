"""The files that an evaluation leaves behind: per_clip.csv, results.json and comparison.json."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

from vidworld.analysis.glossary import glossary
from vidworld.analysis.labels import Models
from vidworld.analysis.records import SCHEMA, Comparison, Results, Row, Value
from vidworld.analysis.rows import rows_from_clips
from vidworld.analysis.shortfalls import shortfalls
from vidworld.analysis.verdicts import Pair, runs_of, verdicts
from vidworld.core.errors import UserError
from vidworld.core.records import provenance, write_json, write_text


def write_results(
    folder: Path, values: Sequence[Value], models: Models, pairs: Sequence[Pair], comparison: Comparison, seed: int
) -> list[Row]:
    """The rows, after writing per_clip.csv, results.json and, last, comparison.json (with the verdicts) there."""
    rows = rows_from_clips(values)
    primary, further = verdicts(values, pairs, models)
    results = Results(SCHEMA, provenance(seed), dict(models), tuple(pairs), glossary(values), tuple(rows))
    comparison = replace(
        comparison,
        notes=[*comparison.notes, *shortfalls(rows, models)],
        runs=runs_of(values, models),
        verdicts=primary,
        further_verdicts=further,
    )
    write_per_clip(folder / "per_clip.csv", values)
    write_json(folder / "results.json", asdict(results))
    write_json(folder / "comparison.json", asdict(comparison))
    return rows


def write_per_clip(path: Path, values: Iterable[Value]) -> None:
    """Write one line a value, floats in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [field.name for field in fields(Value)]
    writer.writerow(columns)
    for value in values:
        writer.writerow(["" if (cell := getattr(value, name)) is None else cell for name in columns])
    write_text(path, text.getvalue())


def read_per_clip(path: Path) -> list[Value]:
    """The values of a per_clip.csv; several of them, of runs with other seeds, can be put behind one another.

    Raises:
        UserError: the file is missing, its columns are others, or a number is none.
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
