"""What models say of their own uncertainty beside what is true of it: rows and checks from the values of clips."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pydantic.dataclasses import dataclass

from vidworld.analysis.bootstrap import resampled
from vidworld.analysis.records import STRICT, Bounds95, Number, Value
from vidworld.metrics import uncertainty as scores

ORACLE, FROZEN, MARGINAL, NOISE_ONLY = "oracle", "frozen", "blind", "noise_only"
THROUGH_PROBE = "truth_through_probe"
"""The true future as tokenizer and probe have it: what is lost before any model predicts."""
REFERENCES_OF_UNCERTAINTY = {
    ORACLE: "Oracle: the true conditional distribution",
    THROUGH_PROBE: "True future through tokenizer and probe",
    "true_numbers": "True moments of tokens, each number by itself",
    "true_cells": "True moments of tokens, each cell's numbers together",
    FROZEN: "Frozen: the last frame, for certain",
    MARGINAL: "Blind: the futures of other clips",
    NOISE_ONLY: "Noise only: the last frame and noise of the usual size",
}
BASE, DOUBLED, TWICE_THE_STD = "noise", "noise_doubled", "noise_twice_the_std"
NOISES = {BASE: 1.0, DOUBLED: 2**0.5, TWICE_THE_STD: 2.0}
"""Conditions of the same clips, and their level of what is left to chance over the first's: once twice its variance,
once twice its std, which is four times its variance."""
_AGAINST_BASE = {DOUBLED: "", TWICE_THE_STD: "_of_twice_the_std"}
KEPT_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the clips that are kept where a model may decline to predict."""
RESAMPLED = 400

RowPlace = tuple[str, str, str, str]  # subject, scenario, condition, quantity
PerCase = Float[ndarray, " clip"]


@dataclass(frozen=True, config=STRICT)
class UncertaintyRow:
    """One subject on the clips of one scenario under one condition. Variances are sums over a quantity's components."""

    subject: str
    scenario: str
    condition: str
    quantity: str
    """`position` of the disc (units), or `brightness` of the panel's cells (of 1)."""
    clips: int
    true_variance: Number
    aleatoric: Number
    """NaN: no reading."""
    epistemic: Number
    """NaN: no reading, as of one member."""
    slope: Bounds95
    """Of the aleatoric reading over the true conditional variance, clip by clip; NaN where that does not vary."""
    r2: Number
    coverage: tuple[Number, ...]
    """Of central regions of `LEVELS_OF_COVERAGE`; NaN: a point has none."""
    covered_90: Bounds95
    calibration_error: Number
    crps: Number
    energy: Number
    error: Number
    """Distance of the mean prediction from what happened."""
    selective: tuple[Number, ...]
    """Mean error of `KEPT_SHARES` of the clips, those of least total variance; NaN: it has no reading to choose by."""
    excess: Number
    """0: declines as one who knows its error; 1: as one who knows nothing."""


@dataclass(frozen=True, config=STRICT)
class Contrast:
    """What changes from one condition to another."""

    subject: str
    scenario: str
    quantity: str
    what: str
    """`auroc_hole`, `auroc_ood`: of the epistemic reading, against clips in range; `..._of_error`: of the true error.
    `variance_ratio`, `true_ratio`: doubled noise over the base; `epistemic_change`: relative, of its mean. The
    same with `_of_twice_the_std`: twice the std over the base."""
    found: Bounds95


@dataclass(frozen=True, config=STRICT)
class UncertaintyCheck:
    """What must hold of a subject if the bench can tell good readings from bad ones, or what is hoped of a family."""

    subject: str
    what: str
    value: Number
    least: float | None
    most: float | None

    @property
    def holds(self) -> bool:
        """Whether the value lies in its bounds; a value that is missing does not."""
        above = self.least is None or self.value >= self.least
        return above and (self.most is None or self.value <= self.most)


@dataclass(frozen=True, config=STRICT)
class UncertaintyResults:
    """uncertainty.json"""

    schema: Literal[1]
    provenance: dict[str, Any]
    members: dict[str, tuple[str, ...]]
    """Run folders by family."""
    samples: int
    rows: tuple[UncertaintyRow, ...]
    contrasts: tuple[Contrast, ...]
    checks: tuple[UncertaintyCheck, ...]
    failures: tuple[str, ...] = ()


def tables_of(values: Iterable[Value]) -> dict[RowPlace, dict[str, PerCase]]:
    """The values of each subject's clips by metric, in the order of the clips."""
    found: dict[RowPlace, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for value in values:
        found[value.model, value.task, value.split, value.readout or ""][value.metric].append(value.value)
    return {place: {name: np.array(each) for name, each in table.items()} for place, table in found.items()}


def uncertainty_row(place: RowPlace, table: Mapping[str, PerCase]) -> UncertaintyRow:
    """The row of one subject, scenario, condition and quantity."""
    read, true, error = table["aleatoric"], table["true_variance"], table["error"]
    # Where nothing is left to chance, or as much in all clips, there is nothing to follow.
    varies = float(true.mean()) > 1e-12 and float(true.std()) > 0.05 * float(true.mean())
    line = scores.line_of(read, true) if varies else scores.line_of(read, np.ones_like(true))
    slope = _resampled(lambda pair: scores.line_of(*pair).slope, np.stack([read, true])) if varies else _NOTHING
    coverage = tuple(float(table[covered_name(level)].mean()) for level in scores.LEVELS_OF_COVERAGE)
    none = np.isnan(read).all() and np.isnan(table["epistemic"]).all()
    total = np.nan_to_num(read) + np.nan_to_num(table["epistemic"])
    selective = [math.nan] * len(KEPT_SHARES) if none else scores.selective_errors(error, total, KEPT_SHARES)
    return UncertaintyRow(
        *place, clips=len(true), true_variance=float(true.mean()), aleatoric=float(read.mean()),
        epistemic=float(table["epistemic"].mean()), slope=slope, r2=line.r2, coverage=coverage,
        covered_90=_resampled(lambda shares: float(shares.mean()), table[covered_name(0.9)]),
        calibration_error=scores.calibration_error(np.array(coverage)), crps=float(table["crps"].mean()),
        energy=float(table["energy"].mean()), error=float(error.mean()),
        selective=tuple(selective), excess=math.nan if none else scores.excess_of_selection(error, total),
    )  # fmt: skip


def contrasts_of(tables: Mapping[RowPlace, Mapping[str, PerCase]]) -> list[Contrast]:
    """What the readings of each subject say of clips out of range, and of doubled noise."""
    found = []
    for (subject, scenario, condition, quantity), table in tables.items():
        place = (subject, scenario, quantity)
        known = tables.get((subject, scenario, "id", quantity))
        if condition in ("hole", "ood") and known is not None:
            for name, metric in ((f"auroc_{condition}", "epistemic"), (f"auroc_{condition}_of_error", "error")):
                if not np.isnan(table[metric]).any():
                    found.append(Contrast(*place, name, _resampled(scores.separation, known[metric], table[metric])))
        base = tables.get((subject, scenario, BASE, quantity))
        if condition in _AGAINST_BASE and base is not None:
            suffix = _AGAINST_BASE[condition]
            for name, metric in (("variance_ratio", "aleatoric"), ("true_ratio", "true_variance")):
                if base["true_variance"].mean() > 1e-12 and base[metric].mean() > 0:
                    found.append(Contrast(*place, name + suffix, _resampled(_ratio, _pairs(metric, base, table))))
            if not np.isnan(base["epistemic"]).any() and base["epistemic"].mean() != 0:
                change = _resampled(lambda pairs: _ratio(pairs) - 1, _pairs("epistemic", base, table))
                found.append(Contrast(*place, f"epistemic_change{suffix}", change))
    return found


def _pairs(metric: str, base: Mapping[str, PerCase], other: Mapping[str, PerCase]) -> Float[ndarray, "2 clip"]:
    """The values of the same scenes under two conditions, which are drawn again together."""
    return np.stack([base[metric], other[metric]])


def _ratio(pairs: Float[ndarray, "2 clip"]) -> float:
    base, other = pairs
    return float(other.mean() / base.mean())


def covered_name(level: float) -> str:
    """The name of the values that say whether a central region covers the truth."""
    return f"covered_{level:g}"


_NOTHING = Bounds95(float("nan"), float("nan"), float("nan"))


def _resampled(measure: Callable[..., float], *groups: ndarray) -> Bounds95:
    return Bounds95(*resampled(measure, *groups, draws=RESAMPLED))


def checks_of(
    rows: Sequence[UncertaintyRow], contrasts: Sequence[Contrast], families: Iterable[str]
) -> list[UncertaintyCheck]:
    """What the oracle must reach, what each control must fail by, and what is hoped of families."""
    of = {(row.subject, row.scenario, row.condition, row.quantity): row for row in rows}
    found: list[UncertaintyCheck] = []

    def check(subject: str, what: str, value: float, least: float | None = None, most: float | None = None) -> None:
        found.append(UncertaintyCheck(subject, what, value, least, most))

    for (subject, scenario, condition, quantity), row in of.items():
        best = of.get((ORACLE, scenario, condition, quantity))
        if condition != "id" or best is None or not best.slope.value > 0:
            continue
        where = f"{scenario}, {quantity}"
        if subject == ORACLE:
            check(subject, f"{where}: slope of the aleatoric reading", row.slope.value, 0.95, 1.05)
            check(subject, f"{where}: covered by 90% regions", row.covered_90.value, 0.88, 0.92)
        if subject in (FROZEN, MARGINAL, NOISE_ONLY):
            check(subject, f"{where}: slope of the aleatoric reading", row.slope.value, None, 0.2)
            if quantity == "position":  # of the panel's cells, which keep their mean, there is little to know
                check(subject, f"{where}: energy score over the oracle's", row.energy / best.energy, 1.2)
        if subject == FROZEN:
            check(subject, f"{where}: covered by 90% regions", row.covered_90.value, None, 0.5)
    hoped: dict[str, tuple[float, float | None]] = {"auroc_hole": (0.8, None)}
    for suffix in _AGAINST_BASE.values():
        hoped |= {f"variance_ratio{suffix}": (2.0, None), f"epistemic_change{suffix}": (-0.1, 0.1)}
    for each in contrasts:
        if each.subject in families and each.what in hoped:
            name = each.what.replace("_", " ")
            check(each.subject, f"{each.scenario}, {each.quantity}: {name}", each.found.value, *hoped[each.what])
    return found
