"""Whether a run has been done before, told from its records alone: nothing here waits for torch."""

from collections.abc import Mapping
from typing import Any

from vidworld.core.config import resolved
from vidworld.core.errors import UserError
from vidworld.models.budget import FORMAT, read_budget
from vidworld.models.schema import AdoptConfig, TrainConfig

FREE = (
    *("out", "tokenizer", "diffusion", "jepa", "log_every", "save_every", "keep", "timeout_s"),
    *("compile", "compile_mode", "gradient_checkpointing", "data.real"),
)
"""Keys that a run may go on with other values of: they change no weight but by rounding (which models and real clips
are read is known by what they hold, not by where they lie)."""

Sources = Mapping[str, str | None]
"""What a training reads beside its configuration, by name: the fingerprints of models and of real clips."""

LABELS = {"real_clips": "the real clips that are trained on"}
"""Of sources that are no models."""


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


def differing(saved: Mapping[str, Any], config: TrainConfig | AdoptConfig, sources: Sources) -> list[str]:
    """Each key that matters and that was saved with another value, with both values.

    saved: what a model's budget.json or a checkpoint's state.json says.
    """
    before, now = (
        {k: v for k, v in _flat(c).items() if k.split(".")[0] not in FREE and k not in FREE}
        for c in (saved.get("config"), resolved(config))
    )
    labels = {name: LABELS.get(name, f"the {name} that is read") for name in sources}
    before |= {"format": saved.get("format")} | {label: saved.get(name) for name, label in labels.items()}
    now |= {"format": FORMAT} | {label: sources[name] for name, label in labels.items()}
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
