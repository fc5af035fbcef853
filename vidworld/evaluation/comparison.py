"""Whether models were trained alike, pair by pair, and what differs where they were not."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vidworld.analysis.records import Comparison, pair_name
from vidworld.core.errors import UserError
from vidworld.models.budget import read_budget

TOLERANCES = {"parameters": 0.05, "training_flops": 0.05}
"""Share by which these may differ in a controlled comparison."""


@dataclass(frozen=True)
class Budget:
    """What one model's training was given."""

    tokenizer: str
    data: Mapping[str, Any]
    seed: int
    parameters: int
    steps: int
    clips_seen: int
    training_flops: int
    seconds: float

    @staticmethod
    def of(run_folder: Path) -> "Budget":
        """That of a finished run. Raises UserError: the run's record lacks something."""
        record: dict[str, Any] = read_budget(run_folder)
        try:
            config = record["config"]
            names = ("tokenizer", "parameters", "steps", "clips_seen", "training_flops", "seconds")
            # Real clips are known by what they hold, not by where they lie.
            data = config["data"] | {"real": record.get("real_clips")}
            return Budget(data=data, seed=config["seed"], **{name: record[name] for name in names})
        except (KeyError, TypeError) as error:
            raise UserError(f"{run_folder}: its model/budget.json lacks {error}; train it again") from error


def differences(one: Budget, other: Budget) -> list[str]:
    """What keeps a comparison from being a controlled one: a line each, none where it is."""
    found = []
    for name in ("tokenizer", "data", "seed", "steps", "clips_seen"):
        if (a := getattr(one, name)) != (b := getattr(other, name)):
            found.append(f"{name.replace('_', ' ')} differ: {a} and {b}")
    for name, tolerance in TOLERANCES.items():
        a, b = getattr(one, name), getattr(other, name)
        if abs(a - b) > tolerance * max(a, b):
            found.append(f"{name.replace('_', ' ')} differ by more than {tolerance:.0%}: {a:.4g} and {b:.4g}")
    return found


def compare(folders: Mapping[str, Path], pairs: Sequence[tuple[str, str]]) -> Comparison:
    """Which pairs of models are a controlled comparison, and the budgets of those that were trained here.

    folders: the run folder of each model trained here, by name; no pair of one trained elsewhere is controlled.
    """
    budgets = {name: Budget.of(folder) for name, folder in folders.items()}
    found: dict[str, list[str]] = {}
    for pair in pairs:
        unknown = [name for name in pair if name not in budgets]
        faults = [f"{name} was trained elsewhere: its budget is not known" for name in unknown]
        found[pair_name(*pair)] = faults or differences(*(budgets[name] for name in pair))
    equal = "Equal are the tokenizer, the clips and their order, the seed and the steps"
    within = " and ".join(f"{name.replace('_', ' ')} to {share:.0%}" for name, share in TOLERANCES.items())
    controlled = {name: not lines for name, lines in found.items()}
    records = {name: asdict(budget) for name, budget in budgets.items()}
    notes = [f"{name}: {equal}; {within}." for name, fair in controlled.items() if fair]
    return Comparison(controlled=controlled, differences=found, budgets=records, notes=notes)
