"""What a finished model cost and which it is, from its records alone: nothing here waits for torch."""

from pathlib import Path
from typing import Any

from vidworld.core.errors import UserError
from vidworld.core.records import read_json

FORMAT = 3
"""Of saved models. One higher whenever the same weights come to mean another network."""


def read_budget(run_folder: Path) -> dict[str, Any]:
    """What the finished model of a run folder cost, and from which tokenizer and configuration it came.

    Raises UserError: there is no finished model, or one whose weights mean another network today.
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
    """The fingerprint of a run folder's model, recorded when it was written. Raises UserError: as `read_budget`."""
    return str(read_budget(run_folder)["fingerprint"])


def check_tokenizer(folder: Path, fingerprint: str) -> None:
    """Raise UserError where the world of this run folder was trained on another tokenizer's tokens."""
    trained_on = read_budget(folder).get("tokenizer")
    if trained_on != fingerprint:
        raise UserError(
            f"{folder}: was trained on the tokens of tokenizer {trained_on}, and this one is {fingerprint}; "
            "train it again, or name its own tokenizer"
        )


def sampling_shift_of(run_folder: Path) -> float:
    """How far the sampling steps of a run folder's diffusion model lean to the noisy end: as in its training.

    A few-step model knows the jumps between those levels alone. Raises UserError: no model, or no record of it.
    """
    config = read_budget(run_folder).get("config") or {}
    shift = config.get("sampling_shift", config.get("shift"))
    if shift is None:
        raise UserError(f"{run_folder}: its model/budget.json lacks the shift of its training; train it again")
    return float(shift)
