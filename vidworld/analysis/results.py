"""From values of single clips to what an evaluation leaves behind: rows (one number a model, task and metric, with its
interval), verdicts (which of two models is better on a law, in words that follow from the paired test and from nothing
else), and the files per_clip.csv, results.json and comparison.json."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from vidworld.analysis import statistics as stats
from vidworld.analysis.ceiling import by_decision
from vidworld.analysis.cues import CONTROL_LIMIT, FITTED, MIRRORED, ONE_OBJECT, cues_of_law, told_by_cues
from vidworld.analysis.labels import FAMILY_RUNS, Models, kind_of, model_label
from vidworld.analysis.records import Comparison, Labels, Results, Row, RowKey, Value, Verdict
from vidworld.analysis.shortfalls import READOUT, SPLIT, is_solved, shortfalls
from vidworld.core.errors import UserError
from vidworld.core.records import provenance, write_csv, write_json
from vidworld.metrics import METRICS
from vidworld.simulation import LAWS
from vidworld.simulation.quadruplets import layout_of

Pair = tuple[str, str]
"""The names of two models that are tested against each other."""
MIN_P_VALUE = 0.01
"""p-values below are given as such: two thousand draws resolve them no finer, once corrected."""
OTHER_FORMS = {
    "surprise_accuracy_usual": "usual",
    "surprise_accuracy_within_quadruplet": "within a quadruplet",
    "surprise_accuracy_maximum": "maximum over time",
    "surprise_auroc": "AUROC",
}
"""Further forms of surprise, which are named beside a verdict by the headline form."""
DIFFERENCES = (0.05, 0.10)
"""In the metric's unit: the number of runs that would show them stands beside a verdict."""
MAX_CLIPS = 1_000_000
"""Where a difference would take more clips than this to show, no number is given."""
FURTHER_LAWS = {
    "uniform motion": "Left alone, a thing keeps its velocity; thrown, it follows its parabola.",
    "appearance": "Things keep their shape, size and colour, the scene stands still, and what is hidden does not show.",
    "prediction": "What is said of the future is what may happen: neither more nor less is open than is.",
    "reconstruction": "What the tokenizer keeps of a clip: no model that is decoded can be better.",
    "jump": "Real video: nothing leaps from one place to another.",
    "freeze": "Real video: what moves does not stop dead.",
    "missing": "Real video: nothing vanishes.",
}
"""What is measured under a name that is no law of quadruplets."""


def write_results(
    folder: Path, values: Sequence[Value], models: Models, pairs: Sequence[Pair], comparison: Comparison, seed: int
) -> list[Row]:
    """The rows, after writing per_clip.csv, results.json and, last, comparison.json (with the verdicts) there."""
    rows = rows_from_clips(values)
    rows += cue_rows(rows)
    primary, further = verdicts(values, pairs, models)
    results = Results(2, provenance(seed), dict(models), tuple(pairs), glossary(values), tuple(rows))
    notes, runs = [*comparison.notes, *shortfalls(rows, models)], len({v.seed for v in values if v.model in models})
    comparison = replace(comparison, notes=notes, runs=runs, verdicts=primary, further_verdicts=further)
    write_csv(folder / "per_clip.csv", Value, values)
    write_json(folder / "results.json", asdict(results))
    write_json(folder / "comparison.json", asdict(comparison))
    return rows


def read_per_clip(path: Path) -> list[Value]:
    """The values of a per_clip.csv; UserError where it is missing, its columns are others, or a number is none."""
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


def rows_from_clips(values: Iterable[Value]) -> list[Row]:
    """One row for every model, readout, task, law, split and metric.

    Floor and ceiling are copy-last and the oracle (the truth, where there is none) through the same tracker or probe.
    Clips of the split `id` that the context decides, and that it does not, have rows of their own beside it.
    UserError where one clip has two values for the same thing, or a metric is not registered.
    """
    values = list(values)
    measured = {value.split for value in values}
    tables = tabulate([*values, *by_decision(values)])
    intervals = {key: stats.interval(table.values, METRICS[key.metric].bounds) for key, table in tables.items()}
    numbers = {key: found.value for key, found in intervals.items()}
    closed = withheld(tables, {})
    return [
        Row(
            **asdict(key) | asdict(intervals[key]),
            unit=table.unit,
            higher_is_better=METRICS[key.metric].higher_is_better,
            floor=numbers.get(replace(key, model="copy_last")),
            ceiling=numbers.get(replace(key, model="oracle"), numbers.get(replace(key, model="truth"))),
            seed=table.seeds[0] if len(table.seeds) == 1 else None,
            headline=METRICS[key.metric].headline
            and key.split in measured
            and (key.law, key.split, key.metric) not in closed,
        )
        for key, table in tables.items()
    ]


def cue_rows(rows: Sequence[Row]) -> list[Row]:
    """Beside each law's headline what all cues together tell, and what one object does that goes straight on."""
    shown = {FITTED: "fitted_cues", f"{ONE_OBJECT}, straight": "one_object", MIRRORED: "mirrored_past"}
    found, likes = [], dict[tuple[str, str], Row]()
    for row in rows:
        if (row.metric, row.split) == ("surprise_accuracy", SPLIT):
            likes.setdefault((row.law, row.task), row)
    for like in likes.values():
        for each in cues_of_law(like.law):
            if each.cue in shown and not each.layout:
                beside = replace(like, model=shown[each.cue], seed=None, headline=False)
                found.append(replace(beside, value=each.value, low=each.low, high=each.high, n=each.n))
    return found


class Table(NamedTuple):
    """The values of one row: (seed, clip), NaN where a clip has none for a seed."""

    values: ndarray
    seeds: list[int]
    identities: list[str]  # sorted, as are the seeds
    unit: str


def tabulate(values: Iterable[Value]) -> dict[RowKey, Table]:
    """The values of each row as a table over seeds and clips; UserError where a clip has two values for one thing."""
    cells: dict[RowKey, dict[tuple[int, str], Value]] = defaultdict(dict)
    for value in values:
        found = cells[RowKey(value.model, value.readout, value.task, value.law, value.split, value.metric)]
        if (value.seed, value.identity) in found:
            what = f"{value.model}, {value.metric}, {value.identity}, seed {value.seed}"
            raise UserError(f"{what}: has two values; each clip is measured once a seed")
        found[value.seed, value.identity] = value
    tables = {}
    for key, found in cells.items():
        seeds, identities = sorted({seed for seed, _ in found}), sorted({identity for _, identity in found})
        table = [[found[s, clip].value if (s, clip) in found else np.nan for clip in identities] for s in seeds]
        tables[key] = Table(np.array(table, np.float64), seeds, identities, next(iter(found.values())).unit)
    return tables


def withheld(tables: Mapping[RowKey, Table], models: Models) -> dict[tuple[str, str, str], str]:
    """(law, split, metric) of the surprise accuracies that cues or a control can reach, and the reason in words.

    What cues reach was measured once for the law, on thousands of quadruplets. Of a control of this evaluation, the
    whole interval has to lie above the limit.
    A law whose quadruplets are drawn by several layouts is looked at layout by layout: cues that point one way in one
    and the other way in another cancel in the mean of a control, but not in that of a model that follows one of them.
    """
    reasons: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for key, table in tables.items():
        if key.metric != "surprise_accuracy":
            continue
        if (told := told_by_cues(key.law)) and (key.law, key.split, key.metric) not in reasons:
            reasons[key.law, key.split, key.metric].append(told)
        if kind_of(key.model) != "control":
            continue
        layouts = np.array([layout_of(identity) or "" for identity in table.identities])
        for layout in sorted(set(layouts)):
            values = table.values[:, layouts == layout]
            if np.isfinite(values).any() and stats.interval(values, METRICS[key.metric].bounds).low > CONTROL_LIMIT:
                where = f" in the layout {layout}" if len(set(layouts)) > 1 else ""
                control = f"the control {model_label(key.model, models)} reaches {np.nanmean(values):.2f}{where}"
                reasons[key.law, key.split, key.metric].append(f"{control}, above {CONTROL_LIMIT:.2f}")
    solved = "its quadruplets can be solved without knowing the law"
    return {place: f"{'; '.join(found)}: {solved}" for place, found in reasons.items()}


def verdicts(values: Iterable[Value], pairs: Sequence[Pair], models: Models) -> tuple[list[Verdict], list[Verdict]]:
    """One verdict for each pair and law, and beside them one for each further headline metric.

    A law's own verdict is that of its quadruplets, or of its first headline metric of rollouts where it has none.
    Each list is corrected for its own length, over all pairs.
    """
    tables = tabulate(values)
    reasons = withheld(tables, models)
    primary: list[Verdict] = []
    further: list[Verdict] = []
    for pair in pairs:
        laws = set()
        judged = [key for key in tables if _judges(key, pair, tables)]
        for key in sorted(judged, key=lambda key: (key.metric != "surprise_accuracy", key.law)):
            verdict = _verdict(key, pair, tables, reasons.get((key.law, key.split, key.metric)))
            (further if key.law in laws else primary).append(verdict)
            laws.add(key.law)
    return _stated(primary, tables, models), _stated(further, tables, models)


def _judges(key: RowKey, pair: Pair, tables: Mapping[RowKey, Table]) -> bool:
    """Whether the table is the first model's of a headline metric, in its one task, that the second has too."""
    metric, (first, second) = METRICS[key.metric], pair
    if not metric.headline or (key.model, key.split) != (first, SPLIT) or replace(key, model=second) not in tables:
        return False
    return metric.takes == "surprise" or (key.readout, key.task) == (READOUT, metric.scenarios[0])


def _verdict(key: RowKey, pair: Pair, tables: Mapping[RowKey, Table], reason: str | None) -> Verdict:
    """The paired test, not yet corrected nor put into words."""
    tested = [tables[replace(key, model=name)] for name in pair]
    shared = set(tested[0].identities) & set(tested[1].identities)
    first, second = (table.values[:, [name in shared for name in table.identities]] for table in tested)
    found = stats.paired_difference(first, second, METRICS[key.metric].bounds)
    ends = [tables.get(replace(key, model=name)) for name in ("copy_last", "truth")]
    floor, ceiling = (None if table is None else float(np.nanmean(table.values)) for table in ends)
    higher_is_better = METRICS[key.metric].higher_is_better
    solved = [is_solved(float(np.nanmean(x)), floor, ceiling, higher_is_better) for x in (first, second)]
    return Verdict(
        key.law, key.metric, key.task, *pair, "", None, found.p_value, found.value, found.low, found.high, found.n,
        reason, runs=min(len(first), len(second)), scatter=(stats.run_scatter(first), stats.run_scatter(second)),
        solved=all(solved),
    )  # fmt: skip


def _stated(found: list[Verdict], tables: Mapping[RowKey, Table], models: Models) -> list[Verdict]:
    """The verdicts with corrected p-values, their words, and what other forms of surprise find."""
    corrected = _corrected(found)
    forms = {form: _corrected([_by_form(verdict, form, tables) for verdict in found]) for form in OTHER_FORMS}
    tests = sum(verdict.withheld is None for verdict in found)
    stated = []
    for i, verdict in enumerate(corrected):
        others = [(form, forms[form][i]) for form in OTHER_FORMS if forms[form][i].metric == form]
        said = replace(verdict, statement=_statement(verdict, tests, models), power=_power(verdict, tests, models))
        stated.append(replace(said, other_forms=_other_forms(verdict, others, models)))
    return stated


def _corrected(found: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts with p-values that are corrected for all tests among them, and who is better by those."""
    corrected = stats.holm({str(i): verdict.p_value for i, verdict in enumerate(found) if verdict.withheld is None})
    told = [replace(verdict, p_value=corrected.get(str(i), math.nan)) for i, verdict in enumerate(found)]
    return [replace(verdict, better=_better(verdict)) for verdict in told]


def _by_form(verdict: Verdict, form: str, tables: Mapping[RowKey, Table]) -> Verdict:
    """The same test of another form of surprise; the verdict itself where there is none."""
    pair = verdict.first, verdict.second
    key = RowKey(verdict.first, None, verdict.task, verdict.law, SPLIT, form)
    measured = all(replace(key, model=name) in tables for name in pair)
    if verdict.metric != "surprise_accuracy" or verdict.withheld is not None or not measured:
        return verdict
    return _verdict(key, pair, tables, None)


def _other_forms(verdict: Verdict, others: Sequence[tuple[str, Verdict]], models: Models) -> str:
    """Which forms find something else, each in this one's place among all tests."""
    found = [
        f"{OTHER_FORMS[form]} ({'undecided' if v.better is None else f'{model_label(v.better, models)} is better'})"
        for form, v in others
        if v.better != verdict.better
    ]
    return f"Other forms of surprise, under the same correction, differ: {', '.join(found)}." if found else ""


def _better(verdict: Verdict) -> str | None:
    higher_is_better = METRICS[verdict.metric].higher_is_better
    if verdict.withheld is not None or not verdict.p_value < 1 - stats.LEVEL or higher_is_better is None:
        return None
    return verdict.first if (verdict.difference > 0) == higher_is_better else verdict.second


def _statement(verdict: Verdict, tests: int, models: Models) -> str:
    """The verdict in words: of these checkpoints, or, from `FAMILY_RUNS` runs of each on, of families."""
    what = verdict.metric.replace("_", " ")
    first, second = model_label(verdict.first, models), model_label(verdict.second, models)
    if verdict.withheld is not None:
        return f"Verdict withheld: {verdict.withheld}."
    if math.isnan(verdict.p_value):
        return f"The data do not say: {what} was not measured on two clips of both {first} and {second}."
    size = f"p = {verdict.p_value:.2g}" if verdict.p_value >= MIN_P_VALUE else f"p < {MIN_P_VALUE:g}"
    chance = size + (f", corrected for {tests} tests" if tests > 1 else "")
    of_families = verdict.runs >= FAMILY_RUNS
    over = f" over {verdict.runs} runs of each" if verdict.runs > 1 else ""
    if verdict.better is None:
        whether = (
            f"{first} or {second} is better" if of_families else f"these checkpoints of {first} and {second} differ"
        )
        return f"The data do not say whether {whether} by {what}{over} ({chance}){_needed(verdict, tests)}."
    better, other = (first, second) if verdict.better == verdict.first else (second, first)
    if of_families:
        return f"{better} is better than {other} by {what}{over} ({chance})."
    return f"These checkpoints differ by {what}{over}: {better}'s is better than {other}'s ({chance})."


def _needed(verdict: Verdict, tests: int) -> str:
    """How many clips would show a difference as large as the one seen, where clips are all that chance is about."""
    half = (verdict.high - verdict.low) / 2
    if verdict.difference == 0 or half == 0 or verdict.runs > 1:
        return ""
    deviation = half / 1.96 * math.sqrt(verdict.n)
    number = stats.clips_needed(deviation, verdict.difference, 1 - (1 - stats.LEVEL) / tests)
    unit = "quadruplets" if METRICS[verdict.metric].takes == "surprise" else "clips"
    return f"; a difference like this one would take about {number:,} {unit} to show" if number < MAX_CLIPS else ""


def _power(verdict: Verdict, tests: int, models: Models) -> str:
    """How far the runs of each model scatter, and how many a side would show differences of a given size."""
    first, second = (model_label(name, models) for name in (verdict.first, verdict.second))
    if verdict.withheld is not None or not math.isfinite(sum(verdict.scatter)):
        return ""
    one, other = verdict.scatter
    scatter = f"From run to run {first} scatters by {one:.2g} and {second} by {other:.2g} (standard deviations)"
    if one == other == 0:
        return f"{scatter}: no more than clips explain."
    level = 1 - (1 - stats.LEVEL) / max(tests, 1)
    needed = [(size, stats.runs_needed(verdict.scatter, size, level)) for size in DIFFERENCES]
    counts = [f"{size:.2f} about {runs or f'over {stats.MAX_RUNS}'}" for size, runs in needed]
    return f"{scatter}: a difference of {' and one of '.join(counts)} runs of each would show."


def glossary(values: Iterable[Value]) -> Labels:
    """What the laws and metrics of these values mean, in the order in which they are listed, for their page."""
    laws, metrics = ({getattr(value, name) for value in values} for name in ("law", "metric"))
    METRICS.check(sorted(metrics))
    statements = {law: LAWS[law].statement for law in LAWS if law in laws}
    return Labels(
        laws=statements | {law: text for law, text in FURTHER_LAWS.items() if law in laws},
        metrics={name: METRICS[name].description for name in METRICS if name in metrics},
    )
