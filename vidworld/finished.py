"""Whether a run has been done before, told from its records alone: nothing here waits for torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidworld.config import resolved
from vidworld.errors import UserError
from vidworld.record import read_json
from vidworld.schema import AdoptConfig, TrainConfig

FREE = (
    *("out", "tokenizer", "diffusion", "jepa", "log_every", "save_every", "keep", "timeout_s"),
    *("compile", "compile_mode", "gradient_checkpointing"),
)
"""Keys that a run may go on with other values of: they change no weight but by rounding (which model is read is told
by what it holds, not by where it lies)."""

FORMAT = 2
"""Of saved models. One higher whenever the same weights come to mean another network."""

Sources = Mapping[str, str | None]
"""The models that a training reads, by name, each told by its fingerprint."""


def is_finished(config: TrainConfig | AdoptConfig, sources: Sources | None = None) -> bool:
    """Whether the run folder holds the model of this very configuration, which is then said.

    Raises:
        UserError: it holds one of another configuration, which is not to be lost.
    """
    if not (config.out / "model" / "budget.json").exists():
        return False
    budget = read_budget(config.out)
    if found := differing(budget, config, sources or {}):
        raise UserError(
            f"{config.out}: holds a model made from another configuration: {', '.join(found)}; "
            "choose another out=FOLDER, or remove that one"
        )
    print(f"{config.out}: finished before, from the same configuration; nothing to do")
    return True


def read_budget(run_folder: Path) -> dict[str, Any]:
    """What the finished model of a run folder cost, and from which tokenizer and configuration it came.

    Raises:
        UserError: there is no finished model, or one whose weights mean another network today.
    """
    path = run_folder / "model" / "budget.json"
    if not path.exists():
        raise UserError(f"{run_folder}: no finished model there; train it first, or name another run folder")
    budget: dict[str, Any] = read_json(path)
    if budget.get("format") != FORMAT:
        raise UserError(
            f"{run_folder}: its model is of format {budget.get('format', 1)}, and networks have changed since (format "
            f"{FORMAT}); train it again in another folder, or use the version of vidworld that made it"
        )
    return budget


def fingerprint_in(run_folder: Path) -> str:
    """The fingerprint of a run folder's model, which was recorded when its weights were written.

    Raises:
        UserError: as `read_budget`.
    """
    return str(read_budget(run_folder)["fingerprint"])


def differing(saved: Mapping[str, Any], config: TrainConfig | AdoptConfig, sources: Sources) -> list[str]:
    """Each key that matters and that was saved with another value, with both values.

    saved: what a model's budget.json or a checkpoint's state.json says.
    """
    before, now = (
        {k: v for k, v in _flat(c).items() if k.split(".")[0] not in FREE}
        for c in (saved.get("config"), resolved(config))
    )
    before |= {"format": saved.get("format")} | {
        f"the {name} that is read": saved.get(name) for name in sources
    }
    now |= {"format": FORMAT} | {f"the {name} that is read": value for name, value in sources.items()}
    return [
        f"{key} ({before.get(key)}, now {now.get(key)})"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]


def _flat(value: Any, above: str = "") -> dict[str, Any]:
    """Every leaf of nested dicts by its dotted key."""
    if not isinstance(value, dict):
        return {above.removesuffix("."): value}
    return {k: v for name, inner in value.items() for k, v in _flat(inner, f"{above}{name}.").items()}
