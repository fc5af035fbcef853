"""Whether two worlds were trained alike, and what differs where they were not."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vidworld.core.errors import UserError
from vidworld.models.budget import read_budget

TOLERANCES = {"parameters": 0.05, "training_flops": 0.05}
"""Share by which these may differ."""


@dataclass(frozen=True)
class Budget:
    """What one world's training was given."""

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
        """That of a finished run.

        Raises:
            UserError: the run's record lacks something.
        """
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
        a, b = getattr(one, name), getattr(other, name)
        if a != b:
            found.append(f"{name.replace('_', ' ')} differ: {a} and {b}")
    for name, tolerance in TOLERANCES.items():
        a, b = getattr(one, name), getattr(other, name)
        if abs(a - b) > tolerance * max(a, b):
            found.append(f"{name.replace('_', ' ')} differ by more than {tolerance:.0%}: {a:.4g} and {b:.4g}")
    return found


def compare(folders: Mapping[str, Path]) -> dict[str, Any]:
    """What comparison.json says: whether the worlds of these run folders compare, and their budgets."""
    budgets = {name: Budget.of(folder) for name, folder in folders.items()}
    (first_name, first), *others = budgets.items()
    found = [
        f"{first_name} and {name}: {line}" for name, other in others for line in differences(first, other)
    ]
    plain = {name: asdict(budget) for name, budget in budgets.items()}
    equal = "Equal are the tokenizer, the clips and their order, the seed and the steps"
    within = " and ".join(f"{name.replace('_', ' ')} to {share:.0%}" for name, share in TOLERANCES.items())
    notes = [f"{equal}; {within}."] if not found else []
    return {"controlled": not found, "differences": found, "budgets": plain, "notes": notes}
