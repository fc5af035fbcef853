"""The study's results: one record a run, curves over training FLOPs, and the compute at which a skill comes."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from itertools import combinations, takewhile
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from vidworld.analysis.ceiling import reached
from vidworld.analysis.labels import FAMILY_RUNS
from vidworld.analysis.records import STRICT, Curve, Number, Series
from vidworld.analysis.statistics import LEVEL, Interval, holm, interval_over_runs, welch
from vidworld.core.errors import UserError
from vidworld.core.records import plain, read_json, write_text

Count = Annotated[int, Field(ge=0)]
Flops = Annotated[float, Field(gt=0, lt=1e40, allow_inf_nan=False)]
SKILL = 0.75
"""Share of the way from floor to ceiling from which on a run has a skill."""


@dataclass(frozen=True, config=STRICT)
class StudyRow:
    """One number of one run: as a row of results.json, without what all rows of a run have in common."""

    task: str
    law: str
    split: str
    metric: str
    readout: str | None
    value: Number
    low: Number
    high: Number
    n: int
    unit: str
    higher_is_better: bool | None
    floor: Number | None
    ceiling: Number | None
    headline: bool


@dataclass(frozen=True, config=STRICT)
class StudyResult:
    """What one training of the study came to: RESULTS/NAME.json."""

    family: str
    budget: Flops  # of a training, that were allowed
    width: Count
    seed: Count
    nuisance: Count
    steps: Count
    training_flops: Flops  # spent, by torch's counter; that of a learned embedding's decoder included
    seconds: float
    settings: str  # fingerprint of the configurations it was made by
    versions: dict[str, int]  # of all that gives its numbers their meaning
    provenance: dict[str, Any]  # commit, machine and command
    failed: str  # why the training ended; empty where it was measured
    rows: list[StudyRow]

    @property
    def name(self) -> str:
        """Of its file."""
        return run_name(self.family, self.budget, self.nuisance, self.seed)


def run_name(family: str, budget: float, nuisance: int, seed: int) -> str:
    """The name of a training of the study."""
    return f"{family}_{budget:.1e}_nuisance{nuisance}_seed{seed}".replace("+", "")


class Place(NamedTuple):
    """What the runs of one curve are compared on."""

    task: str
    law: str
    split: str
    metric: str
    readout: str | None
    nuisance: int


Runs = Sequence[tuple[StudyResult, StudyRow]]
RunsByCell = Mapping[tuple[str, float], list[tuple[StudyResult, StudyRow]]]
"""Runs by family and budget."""

SIGNIFICANT = 5


def write_result(path: Path, result: StudyResult) -> None:
    """A result as a small file: its rows are lists, one a line, of the numbers to five digits."""
    columns = [field.name for field in fields(StudyRow)]
    content = plain(vars(result) | {"columns": columns})
    cells = ([plain(getattr(row, name)) for name in columns] for row in result.rows)
    rows = [json.dumps([float(f"{x:.{SIGNIFICANT}g}") if isinstance(x, float) else x for x in row]) for row in cells]
    head = json.dumps({name: value for name, value in content.items() if name != "rows"}, indent=1)
    lines = ",\n  ".join(rows)
    write_text(path, f'{head.removesuffix("}").rstrip()},\n "rows": [\n  {lines}\n ]\n}}\n')


def read_result(path: Path) -> StudyResult:
    """A result that `write_result` wrote. Raises UserError: the file is missing, or no result."""
    content = read_json(path)
    try:
        columns = content.pop("columns")
        rows = [dict(zip(columns, row, strict=True)) for row in content.pop("rows")]
        read = TypeAdapter(StudyResult).validate_python(content | {"rows": rows})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        said = str(error).splitlines()[0]
        if isinstance(error, ValidationError):
            wrong = error.errors()[0]
            said = f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"
        raise UserError(f"{path}: is no result of the study ({said})") from error
    counts = Counter((row.task, row.law, row.split, row.metric, row.readout) for row in read.rows)
    if twice := next((place for place, count in counts.items() if count > 1), None):
        raise UserError(f"{path}: has two rows of {', '.join(part for part in twice if part)}; run it again")
    return read


def read_study(folder: Path) -> list[StudyResult]:
    """All results of a folder, cheapest first. Raises UserError: a file is none, or one of another name."""
    found = []
    for path in sorted(folder.glob("*_seed*.json")):
        found.append(read_result(path))
        if (name := found[-1].name) != path.stem:  # a copy would count as one more training
            raise UserError(f"{path}: holds {name}; name it so, or remove it")
    return sorted(found, key=lambda result: (result.nuisance, result.budget, result.family, result.seed))


def outdated(result: StudyResult, today: Mapping[str, int]) -> list[str]:
    """The names of what has another version today than when the result was measured."""
    return [name for name, version in result.versions.items() if today.get(name) != version]


def row_of(row: Any) -> StudyRow:
    """A row of results.json as one of a run."""
    return StudyRow(**{field.name: getattr(row, field.name) for field in fields(StudyRow)})


def by_place(results: Iterable[StudyResult]) -> dict[Place, RunsByCell]:
    """The rows of all runs by place, then by family and budget."""
    found: dict[Place, RunsByCell] = defaultdict(lambda: defaultdict(list))
    for result in results:
        for row in result.rows:
            place = Place(row.task, row.law, row.split, row.metric, row.readout, result.nuisance)
            found[place][result.family, result.budget].append((result, row))
    return found


def by_family(cells: RunsByCell) -> dict[str, list[tuple[float, Runs]]]:
    """The runs of each family, budget after budget."""
    found: dict[str, list[tuple[float, Runs]]] = defaultdict(list)
    for family, budget in sorted(cells):
        found[family].append((budget, cells[family, budget]))
    return found


def row_like(cells: RunsByCell) -> StudyRow:
    """A row of these runs, which says what is the same in all: its unit, and what it lies between."""
    return next(iter(cells.values()))[0][1]


def headlines(results: Iterable[StudyResult]) -> dict[Place, RunsByCell]:
    """Of `by_place` the headline numbers."""
    return {place: cells for place, cells in by_place(results).items() if row_like(cells).headline}


def over_runs(runs: Runs) -> Interval:
    """Mean and interval over runs; of a single run the interval over its clips, which knows of no second training.

    No share's leaves 0 to 1, and none of values from 0 up goes below 0.
    """
    rows = [row for _, row in runs]
    if len(rows) == 1:
        return Interval(rows[0].value, rows[0].low, rows[0].high, rows[0].n)
    found = interval_over_runs(np.array([row.value for row in rows]))
    share, errors = rows[0].unit == "share", min(row.value for row in rows) >= 0
    low = max(found.low, 0.0) if share or errors else found.low
    return replace(found, low=low, high=min(found.high, 1.0) if share else found.high)


def curve_of(place: Place, cells: RunsByCell) -> Curve:
    """The values of a place over training FLOPs, a line a family."""
    lines = []
    for family, at in by_family(cells).items():
        means = [over_runs(runs) for _, runs in at]
        spent = [float(np.mean([result.training_flops for result, _ in runs])) for _, runs in at]
        value, low, high = ([getattr(mean, name) for mean in means] for name in ("value", "low", "high"))
        lines.append(Series(family, spent, value, low, high, model=family))
    like = row_like(cells)
    ends = {"floor": like.floor, "ceiling": like.ceiling}
    bounds = [f"{name} {value:.3g}" for name, value in ends.items() if value is not None]
    return Curve(name_of(place), "training FLOPs", like.unit or place.metric, lines, ", ".join(bounds))


def name_of(place: Place) -> str:
    """A place in words."""
    where = place.law if place.task == "surprise" else place.task
    parts = [place.metric, where, place.split, *([place.readout] if place.readout else [])]
    return ", ".join([*parts, f"nuisance {place.nuisance}"]).replace("_", " ")


def has_way(row: StudyRow) -> bool:
    """Whether there is a way from floor to ceiling.

    There is none where the floor is as good: a static scene is drawn best by whoever draws the last frame again.
    """
    if row.floor is None or row.ceiling is None or not math.isfinite(row.ceiling - row.floor):
        return False
    return row.higher_is_better is None or (row.ceiling - row.floor) * (1 if row.higher_is_better else -1) > 0


def has_skill(row: StudyRow) -> bool:
    """Whether a run is three quarters of the way from floor to ceiling."""
    if not has_way(row) or not math.isfinite(row.value):
        return False
    assert row.floor is not None and row.ceiling is not None
    return reached(row.value, row.floor, row.ceiling, row.higher_is_better) >= SKILL


class Skill(NamedTuple):
    """How often, and from which compute on, runs of a family have a skill."""

    place: Place
    family: str
    shares: list[tuple[float, int, int]]  # budget, runs that have it, runs
    comes_at: float | None  # the least budget from which on half of the runs or more have it, at all larger ones too


def skills(results: Sequence[StudyResult]) -> list[Skill]:
    """Of every headline number with a way to go, whether runs have it as a skill. A run that failed has none."""
    failed: dict[tuple[str, float, int], int] = defaultdict(int)
    for result in results:
        failed[result.family, result.budget, result.nuisance] += bool(result.failed)
    found = []
    for place, cells in headlines(results).items():
        if not has_way(row_like(cells)):
            continue
        for family, at in by_family(cells).items():
            shares = [
                (budget, sum(has_skill(row) for _, row in runs), len(runs) + failed[family, budget, place.nuisance])
                for budget, runs in at
            ]
            having = takewhile(lambda share: 2 * share[1] >= share[2], reversed(shares))
            comes_at = min((budget for budget, *_ in having), default=None)
            found.append(Skill(place, family, shares, comes_at))
    return found


class Finding(NamedTuple):
    """Two families at one budget on one headline number."""

    place: Place
    budget: float
    families: tuple[str, str]
    runs: tuple[int, int]
    p_value: float  # corrected (Holm) for all findings of `FAMILY_RUNS` runs a side; NaN under that
    better: str | None  # the family, from `FAMILY_RUNS` runs a side, where the difference is no chance

    @property
    def other(self) -> str:
        """The family that is not the better one, where one is."""
        return next(family for family in self.families if family != self.better)


def findings(results: Sequence[StudyResult], budget: float) -> list[Finding]:
    """Every pair of families on every headline number at a budget."""
    found: dict[str, Finding] = {}
    for place, cells in headlines(results).items():
        here = {family: runs for (family, at), runs in cells.items() if at == budget}
        higher_is_better = row_like(cells).higher_is_better
        for pair in combinations(sorted(here), 2) if higher_is_better is not None else ():
            one, other = (np.array([row.value for _, row in here[name]]) for name in pair)
            ahead = pair[bool(one.mean() > other.mean()) != higher_is_better]
            found[f"{place}{pair}"] = Finding(place, budget, pair, (len(one), len(other)), welch(one, other), ahead)
    tested = {name: finding.p_value for name, finding in found.items() if min(finding.runs) >= FAMILY_RUNS}
    corrected = holm(tested)
    for name, finding in found.items():
        p_value = corrected.get(name, math.nan)
        found[name] = finding._replace(p_value=p_value, better=finding.better if p_value < 1 - LEVEL else None)
    return list(found.values())


class Prediction(NamedTuple):
    """What a headline number of a family is expected to be at a budget that was not run yet."""

    place: Place
    family: str
    budget: Flops
    value: FiniteFloat
    from_budgets: list[Flops]


@dataclass(frozen=True, config=STRICT)
class Predictions:
    """predictions_BUDGET.json: what was expected before a budget was run."""

    budget: Flops
    commit: str | None
    predictions: list[Prediction]


def predictions(results: Sequence[StudyResult], budget: float) -> list[Prediction]:
    """Each curve's last three points, as a line over the logarithm of the budget, go on to a larger one.

    A value does not leave the range between floor and ceiling by that.
    """
    found = []
    for place, cells in headlines(results).items():
        like = row_like(cells)
        for family, of_family in by_family(cells).items():
            known = [(at, over_runs(runs).value) for at, runs in of_family if at < budget]
            known = [(at, value) for at, value in known if math.isfinite(value)][-3:]
            if len(known) < 2:
                continue
            slope, start = np.polyfit(np.log([at for at, _ in known]), [value for _, value in known], 1)
            value = float(start + slope * math.log(budget))
            if like.floor is not None and like.ceiling is not None:
                value = min(max(value, min(like.floor, like.ceiling)), max(like.floor, like.ceiling))
            found.append(Prediction(place, family, budget, value, [at for at, _ in known]))
    return found
