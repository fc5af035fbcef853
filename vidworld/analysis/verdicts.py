"""Which of two models is better on a law, in words that follow from the paired test and from nothing else."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from vidworld.analysis.labels import Models, model_label
from vidworld.analysis.records import Value, Verdict
from vidworld.analysis.rows import RowKey, Table, tabulate, withheld
from vidworld.analysis.statistics import LEVEL, clips_needed, holm, paired_difference
from vidworld.metrics import METRICS

Pair = tuple[str, str]
"""The names of two models that are tested against each other."""
SPLIT = "id"
READOUT = "pixels"
"""Rollouts are judged by the tracker, which is the same for all models; the probe's numbers stand beside."""
MIN_P_VALUE = 0.01
"""p-values below are given as such: two thousand draws resolve them no finer, once corrected."""
OTHER_FORMS = {
    "surprise_accuracy_usual": "usual",
    "surprise_accuracy_within_quadruplet": "within a quadruplet",
    "surprise_accuracy_maximum": "maximum over time",
}
"""Further forms of surprise, which are named beside a verdict by the headline form."""
MAX_CLIPS = 1_000_000
"""Where a difference would take more clips than this to show, no number is given."""


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
        for key in sorted(_judged(tables, pair), key=lambda key: (key.metric != "surprise_accuracy", key.law)):
            verdict = _verdict(key, pair, tables, reasons.get((key.law, key.split, key.metric)))
            if key.metric == "surprise_accuracy":
                verdict = replace(verdict, other_forms=_other_forms(key, tables, verdict, models))
            (further if key.law in laws else primary).append(verdict)
            laws.add(key.law)
    return _stated(primary, models), _stated(further, models)


def runs_of(values: Iterable[Value], models: Iterable[str]) -> int:
    """Training runs of these models; with one, a verdict is about those runs and not about families."""
    names = set(models)
    return len({value.seed for value in values if value.model in names})


def _judged(tables: Mapping[RowKey, Table], pair: Pair) -> list[RowKey]:
    """The first model's tables of headline metrics that the second has too, each in one task."""
    first, second = pair

    def judges(key: RowKey) -> bool:
        metric = METRICS[key.metric]
        if not metric.headline or (key.model, key.split) != (first, SPLIT) or replace(key, model=second) not in tables:
            return False
        return metric.takes == "surprise" or (key.readout, key.task) == (READOUT, metric.scenarios[0])

    return [key for key in tables if judges(key)]


def _verdict(key: RowKey, pair: Pair, tables: Mapping[RowKey, Table], reason: str | None) -> Verdict:
    """The paired test, not yet corrected nor put into words."""
    first, second = (tables[replace(key, model=name)] for name in pair)
    shared = sorted(set(first.identities) & set(second.identities))
    found = paired_difference(first.at(shared), second.at(shared), METRICS[key.metric].bounds)
    return Verdict(
        key.law, key.metric, key.task, *pair, "", None, found.p_value, found.value, found.low, found.high, found.n,
        reason,
    )  # fmt: skip


def _other_forms(key: RowKey, tables: Mapping[RowKey, Table], verdict: Verdict, models: Models) -> str:
    """What the same test says of the forms that differ from this one, each by itself."""
    by_this = _better(replace(verdict, withheld=None))
    pair = verdict.first, verdict.second
    differing = []
    for metric, form in OTHER_FORMS.items():
        other = replace(key, metric=metric)
        if all(replace(other, model=name) in tables for name in pair):
            better = _better(_verdict(other, pair, tables, None))
            if better != by_this:
                found = "undecided" if better is None else f"{model_label(better, models)} is better"
                differing.append(f"{form} ({found})")
    return f"Other forms of surprise, each tested alone, differ: {', '.join(differing)}." if differing else ""


def _stated(found: list[Verdict], models: Models) -> list[Verdict]:
    """The verdicts with corrected p-values and their words."""
    tested = {str(i): verdict.p_value for i, verdict in enumerate(found) if verdict.withheld is None}
    corrected = holm(tested)
    stated = []
    for i, verdict in enumerate(found):
        verdict = replace(verdict, p_value=corrected.get(str(i), math.nan))
        verdict = replace(verdict, better=_better(verdict))
        stated.append(replace(verdict, statement=_statement(verdict, len(tested), models)))
    return stated


def _better(verdict: Verdict) -> str | None:
    higher_is_better = METRICS[verdict.metric].higher_is_better
    if verdict.withheld is not None or not verdict.p_value < 1 - LEVEL or higher_is_better is None:
        return None
    return verdict.first if (verdict.difference > 0) == higher_is_better else verdict.second


def _statement(verdict: Verdict, tests: int, models: Models) -> str:
    what = verdict.metric.replace("_", " ")
    first, second = model_label(verdict.first, models), model_label(verdict.second, models)
    if verdict.withheld is not None:
        return f"Verdict withheld: {verdict.withheld}."
    if math.isnan(verdict.p_value):
        return f"The data do not say: {what} was not measured on two clips of both {first} and {second}."
    size = f"p = {verdict.p_value:.2g}" if verdict.p_value >= MIN_P_VALUE else f"p < {MIN_P_VALUE:g}"
    chance = size + (f", corrected for {tests} tests" if tests > 1 else "")
    if verdict.better is None:
        needed = _needed(verdict, tests)
        return f"The data do not say whether {first} or {second} is better by {what} ({chance}){needed}."
    better, other = (first, second) if verdict.better == verdict.first else (second, first)
    return f"{better} is better than {other} by {what} ({chance})."


def _needed(verdict: Verdict, tests: int) -> str:
    """How many clips would show a difference as large as the one seen."""
    half = (verdict.high - verdict.low) / 2
    if verdict.difference == 0 or half == 0:
        return ""
    deviation = half / 1.96 * math.sqrt(verdict.n)
    number = clips_needed(deviation, verdict.difference, 1 - (1 - LEVEL) / tests)
    unit = "quadruplets" if METRICS[verdict.metric].takes == "surprise" else "clips"
    return f"; a difference like this one would take about {number:,} {unit} to show" if number < MAX_CLIPS else ""
