"""The page of uncertainty: readings beside the truth, reliability, what happens out of range and under more noise."""

import math
from pathlib import Path
from typing import Any

from vidworld.analysis import labels as words
from vidworld.analysis.records import Curve, Model, Series, read_as
from vidworld.analysis.uncertainty import (
    KEPT_SHARES,
    REFERENCES_OF_UNCERTAINTY,
    UncertaintyCheck,
    UncertaintyResults,
    UncertaintyRow,
)
from vidworld.metrics.uncertainty import LEVELS_OF_COVERAGE
from vidworld.report import charts as plots
from vidworld.report.page import save_page

_HEADS = (
    *("Scenario", "Condition", "Quantity", "Subject", "Clips", "True variance", "Aleatoric", "Slope", "R²"),
    *("Epistemic", "90% regions cover", "Calibration error", "CRPS", "Energy score", "Error of the mean"),
    "Excess of selection",
)
_CHECKS = ("Subject", "What", "Found", "Wanted", "")
_CONDITIONS = {
    "id": "in range", "hole": "speeds left out", "ood": "out of range", "noise": "one level",
    "noise_doubled": "twice the variance", "noise_twice_the_std": "twice the std",
}  # fmt: skip
_AIMS = {
    "variance ratio": "Factor by which the variance it reads grows when that of the noise doubles (aim 2 or more)",
    "epistemic change": "change of its epistemic reading then (aim −0.1 to 0.1)",
    "variance ratio of twice the std": "the factor when its std doubles (true: 4; aim 2 or more)",
    "epistemic change of twice the std": "change of its epistemic reading then (aim −0.1 to 0.1)",
    "auroc hole": "AUROC of that reading for speeds left out of training (aim 0.8 or more)",
}
"""How each check of a family is said."""
NO_READING = "no reading"


def write_uncertainty_page(results: Path, out: Path) -> Path:
    """The page's path, after writing it from uncertainty.json. Raises UserError: there is none."""
    found = read_as(UncertaintyResults, results)
    legend = plots.Legend({name: Model(_label(name, found), name, "") for name in found.members})
    return save_page(
        out, "uncertainty.html", said=uncertainty_sentences(found), failures=found.failures,
        results={"heads": _HEADS, "rows": [_cells(row, found) for row in found.rows]}, contrasts=_contrasts(found),
        checks={"heads": _CHECKS, "rows": [_check(each, found) for each in found.checks]},
        charts_drawn=plots.line_charts([*reliability(found), *selection(found)], legend),
    )  # fmt: skip


def uncertainty_summary(results: UncertaintyResults) -> str:
    """What the checks came to, and the rows in range, as text."""
    lines = [" | ".join(_cells(row, results)) for row in results.rows if row.condition in ("id", "hole")]
    for check in results.checks:
        lines.append(f"{'holds' if check.holds else 'FAILS'}: {' | '.join(_check(check, results)[:4])}")
    return "\n".join([" | ".join(_HEADS), *lines])


def uncertainty_sentences(results: UncertaintyResults) -> list[str]:
    """What the checks say of the bench and of each family."""
    bench = [check for check in results.checks if check.subject in REFERENCES_OF_UNCERTAINTY]
    failed = [check for check in bench if not check.holds]
    lines = [
        f"{len(bench) - len(failed)} of {len(bench)} checks of the bench itself hold: that the true distribution is "
        "read as it is, and that what knows nothing of a clip fails."
    ]
    for name in results.members:
        own = [check for check in results.checks if check.subject == name]
        if own:
            met, parts = sum(check.holds for check in own), []
            for aim, said in _AIMS.items():
                of = {check.what.split(":")[0].replace("_", " "): check for check in own if check.what.endswith(aim)}
                read = ", ".join(f"{words.number(check.value)} ({where})" for where, check in of.items())
                parts += [f"{said}: {read}"] if of else []
            lines.append(f"{_label(name, results)}: {met} of {len(own)} aims met. {'; '.join(parts)}.")
    return lines


def reliability(results: UncertaintyResults) -> list[Curve]:
    """What central regions cover over what they should, a picture a scenario and quantity."""
    levels = list(LEVELS_OF_COVERAGE)
    ideal = Series("as it should be", levels, levels)
    return [
        Curve(
            f"{words.title(scenario)}, {quantity}: reliability", "share of the predictive distribution",
            "share of the truths that it covers",
            [ideal, *(Series(_label(r.subject, results), levels, list(r.coverage), model=r.subject) for r in rows)],
        )
        for (scenario, quantity), rows in _in_range(results).items()
    ]  # fmt: skip


def selection(results: UncertaintyResults) -> list[Curve]:
    """Error over the share of clips that are kept, the least uncertain first."""
    return [
        Curve(
            f"{words.title(scenario)}, {quantity}: declining to predict", "share of clips kept", "error of the mean",
            [Series(_label(r.subject, results), list(KEPT_SHARES), list(r.selective), model=r.subject) for r in rows],
        )
        for (scenario, quantity), rows in _in_range(results).items()
    ]  # fmt: skip


def _in_range(results: UncertaintyResults) -> dict[tuple[str, str], list[UncertaintyRow]]:
    """The rows of models, oracle and blind by scenario and quantity: those with a distribution."""
    found: dict[tuple[str, str], list[UncertaintyRow]] = {}
    for row in results.rows:
        if row.condition == "id" and (row.subject in results.members or row.subject in ("oracle", "blind")):
            found.setdefault((row.scenario, row.quantity), []).append(row)
    return found


def _label(name: str, results: UncertaintyResults) -> str:
    if name in REFERENCES_OF_UNCERTAINTY:
        return REFERENCES_OF_UNCERTAINTY[name]
    return f"{words.title(name)}, {len(results.members[name])} members"


def _reading(value: float) -> str:
    return words.number(value) if math.isfinite(value) else NO_READING


def _cells(row: UncertaintyRow, results: UncertaintyResults) -> tuple[str, ...]:
    return (
        row.scenario, _CONDITIONS.get(row.condition, row.condition), row.quantity, _label(row.subject, results),
        str(row.clips), words.number(row.true_variance), _reading(row.aleatoric), words.estimate_of(row.slope),
        words.number(row.r2), _reading(row.epistemic), words.estimate_of(row.covered_90),
        *map(words.number, (row.calibration_error, row.crps, row.energy, row.error, row.excess)),
    )  # fmt: skip


def _contrasts(results: UncertaintyResults) -> dict[str, Any]:
    heads = ("Scenario", "Quantity", "Subject", "What", "Found")
    rows = [
        (one.scenario, one.quantity, _label(one.subject, results), words.title(one.what), words.estimate_of(one.found))
        for one in results.contrasts
        if one.subject in results.members or one.subject == "oracle"
    ]
    return {"heads": heads, "rows": rows}


def _check(each: UncertaintyCheck, results: UncertaintyResults) -> tuple[str, ...]:
    least, most = each.least, each.most
    wanted = f"from {least:g}" if most is None else f"up to {most:g}" if least is None else f"{least:g} to {most:g}"
    said = "holds" if each.holds else "does not hold"
    return _label(each.subject, results), each.what, words.number(each.value), wanted, said
