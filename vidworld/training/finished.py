"""Whether a run has been done before, by its records alone: nothing here waits for torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidworld.core.config import resolved
from vidworld.core.errors import UserError
from vidworld.core.records import fingerprint
from vidworld.models.files import FORMAT, check_whole, fingerprint_in, read_budget
from vidworld.models.schema import AdoptConfig, DataConfig, TrainConfig
from vidworld.simulation import APART, NUISANCE_VERSION, SCENARIOS, SIMULATOR_VERSION
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.video import training_fingerprint

FREE = (
    *("out", "tokenizer", "diffusion", "jepa", "start", "log_every", "trackers", "save_every", "keep", "timeout_s"),
    *("compile", "compile_mode", "gradient_checkpointing", "data.real", "data.episodes"),
)
"""Keys that a run may go on with other values of: they change no weight but by rounding (which models and real clips
are read is known by what they hold, not by where they lie)."""

Sources = Mapping[str, str | None]
"""What a training reads beside its configuration, by name: the fingerprints of models and of clips."""


def started_from(folder: Path | None) -> dict[str, str | None]:
    """The model that a training begins with, if any. Raises UserError: there is none in the folder."""
    return {"start": None if folder is None else fingerprint_in(folder)}


LABELS = {
    "simulation": "the versions of what is simulated", "real_clips": "the real clips that are trained on",
    "episodes": "the episodes that are trained on", "start": "the model that it begins with",
}  # fmt: skip
"""Of sources that are no models."""


def data_sources(config: DataConfig) -> dict[str, str | None]:
    """The fingerprints of all clips of a configuration. Raises UserError: there is no usable data set of real clips."""
    # Which scenarios have a weight is not known without importing them: with `all` all count but those apart.
    names = [name for name in SCENARIOS if name not in APART] if config.scenarios == "all" else [*config.scenarios]
    versions = [(name, (ENVIRONMENTS if name in ENVIRONMENTS else SCENARIOS).version(name)) for name in names]
    if config.nuisance:
        versions.append(("nuisance", NUISANCE_VERSION))
    found = {"simulation": fingerprint(SIMULATOR_VERSION, versions), "real_clips": training_fingerprint(config.real)}
    if config.episodes is None:
        return found | {"episodes": None}
    from vidworld.simulation.environments.episode_files import digest_of_episodes

    return found | {"episodes": digest_of_episodes(config.episodes)}


def is_finished(config: TrainConfig | AdoptConfig, sources: Sources | None = None) -> bool:
    """Whether the run folder holds this very configuration's model, which is said.

    Raises UserError: it holds another's, or this one's is damaged.
    """
    if not (config.out / "model" / "budget.json").exists():
        return False
    budget = read_budget(config.out)
    if found := differing(budget, config, sources or {}):
        raise UserError(
            f"{config.out}: holds a model made from another configuration: {', '.join(found)}; "
            "choose another out=FOLDER, or remove that one"
        )
    check_whole(config.out)
    print(f"{config.out}: finished before, from the same configuration; nothing to do")
    return True


def differing(saved: Mapping[str, Any], config: TrainConfig | AdoptConfig, sources: Sources) -> list[str]:
    """Each key that matters and was saved (in budget.json or state.json) with another value, with both values."""
    before, now = (
        {k: v for k, v in _flat(c).items() if k.split(".")[0] not in FREE and k not in FREE}
        for c in (saved.get("config"), resolved(config))
    )
    labels = {name: LABELS.get(name, f"the {name} that is read") for name in sources}
    before |= {"format": saved.get("format")} | {label: saved.get(name) for name, label in labels.items()}
    now |= {"format": FORMAT} | {label: sources[name] for name, label in labels.items()}
    keys = (key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key))
    return [f"{key} ({before.get(key)}, now {now.get(key)})" for key in keys]


def _flat(value: Any, above: str = "") -> dict[str, Any]:
    """Every leaf of nested dicts by its dotted key."""
    if not isinstance(value, dict):
        return {above.removesuffix("."): value}
    return {k: v for name, inner in value.items() for k, v in _flat(inner, f"{above}{name}.").items()}
