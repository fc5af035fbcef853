"""Which of two worlds is better on a law, in words that follow from the paired test and from nothing else."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from vidworld.analysis.records import Value
from vidworld.analysis.rows import Key, Table, bounds_of, tabulate, withheld
from vidworld.analysis.statistics import LEVEL, clips_needed, compare, holm
from vidworld.metrics import METRICS, Metric

PAIR = ("jepa", "diffusion")
NAMES = {"jepa": "JEPA", "diffusion": "diffusion"}
SPLIT = "id"
READOUT = "pixels"
"""Rollouts are judged by the read-out that is the same for both worlds; the probe's numbers stand beside."""
SMALLEST = 0.01
"""p-values below are given as such: two thousand draws tell them no finer, once corrected."""
OTHER_FORMS = {
    "surprise_accuracy_usual": "usual",
    "surprise_accuracy_within_quad": "within a quad",
    "surprise_accuracy_maximum": "maximum over time",
}
"""Further forms of surprise, which are told beside a verdict by the headline form."""
ENOUGH = 1_000_000
"""More clips than this are as good as none: then no number is given."""


@dataclass(frozen=True)
class Verdict:
    """What the paired test says about one law."""

    law: str
    metric: str
    task: str
    statement: str
    better: str | None
    """The world's name; None where the data do not say."""
    p_value: float
    """Holm-corrected over the verdicts that stand beside this one."""
    difference: float
    low: float
    high: float
    n: int
    contrast: str
    """What the difference is of."""
    withheld: str | None
    """Why there is no verdict, where a control reaches the law's quads."""
    other_forms: str = ""
    """What other forms of surprise find, where that is something else."""


def verdicts(values: Iterable[Value]) -> tuple[list[Verdict], list[Verdict]]:
    """One verdict for each law, and beside them one for each further headline metric.

    A law's own verdict is that of its quads, or of its first headline metric of rollouts where it has none.
    Each list is corrected for its own length.
    """
    tables = tabulate(values)
    reasons = withheld(tables)
    primary: dict[str, Verdict] = {}
    further: list[Verdict] = []
    for key in sorted(_judged(tables), key=lambda key: (key.metric != "surprise_accuracy", key.law)):
        verdict = _verdict(key, tables, reasons.get((key.law, key.split, key.metric)))
        if key.metric == "surprise_accuracy":
            verdict = replace(verdict, other_forms=_other_forms(key, tables, verdict))
        if key.law in primary:
            further.append(verdict)
        else:
            primary[key.law] = verdict
    return _stated(list(primary.values())), _stated(further)


def runs_of(values: Iterable[Value]) -> int:
    """Training runs of each of the two worlds; with one, a verdict is about those runs and not about the family."""
    return len({value.seed for value in values if value.world in PAIR})


def _judged(tables: Mapping[Key, Table]) -> list[Key]:
    """The first world's tables of headline metrics that the second has too, each in one task."""
    found = []
    for key in tables:
        metric = METRICS.get(key.metric)
        if metric is None or not metric.headline or (key.world, key.split) != (PAIR[0], SPLIT):
            continue
        if metric.takes != "surprise" and (key.readout, key.task) != (READOUT, metric.scenarios[0]):
            continue
        if replace(key, world=PAIR[1]) in tables:
            found.append(key)
    return found


def _verdict(key: Key, tables: Mapping[Key, Table], reason: str | None) -> Verdict:
    """The paired test, not yet corrected nor put into words."""
    first, second = tables[key], tables[replace(key, world=PAIR[1])]
    shared = sorted(set(first.identities) & set(second.identities))
    found = compare(first.at(shared), second.at(shared), bounds_of(key.metric, first.unit))
    contrast = f"{NAMES[PAIR[0]]} − {NAMES[PAIR[1]]}"
    return Verdict(
        key.law, key.metric, key.task, "", None, found.p_value, found.value, found.low, found.high, found.n,
        contrast, reason,
    )  # fmt: skip


def _other_forms(key: Key, tables: Mapping[Key, Table], verdict: Verdict) -> str:
    """What the same test says of the forms that differ from this one, each by itself."""
    by_this = _better(replace(verdict, withheld=None), METRICS[key.metric])
    said = []
    for metric, name in OTHER_FORMS.items():
        other = replace(key, metric=metric)
        if other in tables and replace(other, world=PAIR[1]) in tables:
            better = _better(_verdict(other, tables, None), METRICS[metric])
            if better != by_this:
                said.append(f"{name} ({'undecided' if better is None else f'{NAMES[better]} is better'})")
    return f"Other forms of surprise, each tested alone, differ: {', '.join(said)}." if said else ""


def _stated(found: list[Verdict]) -> list[Verdict]:
    """The verdicts with corrected p-values and their words."""
    tested = {f"{v.law}/{v.metric}": v.p_value for v in found if v.withheld is None}
    corrected = holm(tested)
    stated = []
    for verdict in found:
        p_value = corrected.get(f"{verdict.law}/{verdict.metric}", math.nan)
        verdict = replace(verdict, p_value=p_value)
        verdict = replace(verdict, better=_better(verdict, METRICS[verdict.metric]))
        stated.append(replace(verdict, statement=_statement(verdict, len(tested))))
    return stated


def _better(verdict: Verdict, metric: Metric) -> str | None:
    if verdict.withheld is not None or not verdict.p_value < 1 - LEVEL or metric.higher_is_better is None:
        return None
    return PAIR[0] if (verdict.difference > 0) == metric.higher_is_better else PAIR[1]


def _statement(verdict: Verdict, tests: int) -> str:
    """The verdict in words."""
    what = verdict.metric.replace("_", " ")
    if verdict.withheld is not None:
        return f"No headline: {verdict.withheld}."
    if math.isnan(verdict.p_value):
        return f"The data do not say: {what} was not measured on two clips of both worlds."
    size = f"p = {verdict.p_value:.2g}" if verdict.p_value >= SMALLEST else f"p < {SMALLEST:g}"
    chance = size + (f", corrected for {tests} tests" if tests > 1 else "")
    if verdict.better is not None:
        other = PAIR[1] if verdict.better == PAIR[0] else PAIR[0]
        said = f"{NAMES[verdict.better]} is better than {NAMES[other]} by {what} ({chance})"
    else:
        said = f"The data do not say which world is better by {what} ({chance}){_needed(verdict, tests)}"
    return said[0].upper() + said[1:] + "."


def _needed(verdict: Verdict, tests: int) -> str:
    """How many clips would show a difference as large as the one seen."""
    half = (verdict.high - verdict.low) / 2
    if verdict.difference == 0 or half == 0:
        return ""
    deviation = half / 1.96 * math.sqrt(verdict.n)
    number = clips_needed(deviation, verdict.difference, 1 - (1 - LEVEL) / tests)
    unit = "quads" if METRICS[verdict.metric].takes == "surprise" else "clips"
    return (
        f"; a difference like this one would take about {number:,} {unit} to show" if number < ENOUGH else ""
    )
