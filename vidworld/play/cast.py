"""What a run folder holds to play with: tokenizer, world models, probes, and the worlds they were trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.core.records import fingerprint, read_json
from vidworld.evaluation.evaluator import Evaluator, evaluation_accelerator, evaluator_of, model_of
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.models.exported import as_exported
from vidworld.models.families import FAMILIES
from vidworld.models.files import EXPORT_FORMS, read_budget, sampling_shift_of
from vidworld.models.tokenizers import TOKENIZERS
from vidworld.models.world_model import Encoded, Rollout
from vidworld.planning.imagination import imagine
from vidworld.simulation import SCENARIOS
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.clips import EnvironmentClips
from vidworld.simulation.simulated import SimulatedClips

ORDER = ("regression", "jepa", "diffusion")
"""Of families on a page; others come after."""
EXPORTS = "export"
"""The folder of a run that its exported files lie in."""
CONTEXT_FRAMES = 8
"""Frames of a scene, or of a video, that models are shown before they predict."""


@dataclass(frozen=True)
class Player:
    """A model that plays."""

    name: str
    label: str
    """Of its family, on pages; with its name where a family plays twice."""
    model: Any
    window: int
    """Chunks of the clips that it was trained on."""
    fingerprint: str
    weights: str
    """The fingerprint of its weights alone, and of what decodes it."""

    def by_files(self, folder: Path, form: str) -> "Player":
        """The same, by the files that `vidworld export` wrote there. Raises UserError: as `as_exported`."""
        model = as_exported(self.model, folder / self.name, form, self.weights)
        label = f"{self.label}, {EXPORT_FORMS[form].label}"
        return replace(self, label=label, model=model, fingerprint=fingerprint(self.fingerprint, form))


@dataclass(frozen=True)
class Cast:
    """The models of one run, all over one tokenizer."""

    run: Path
    evaluator: Evaluator
    players: tuple[Player, ...]
    action_channels: int
    """Numbers of an action a frame; 0 where the models know none."""
    worlds: tuple[str, ...]
    """Environments or, of models without actions, scenarios."""
    shape: ClipShape

    @property
    def chunk_frames(self) -> int:
        return self.evaluator.tokenizer.patch_size[0]

    @property
    def fingerprints(self) -> dict[str, str]:
        """What recordings are of: the tokenizer, and each model by its name."""
        return {"tokenizer": self.evaluator.tokenizer.fingerprint()} | {p.name: p.fingerprint for p in self.players}


@dataclass
class _Found:
    tokenizers: dict[str, Path] = field(default_factory=dict)  # by fingerprint
    probe: Path | None = None
    decoders: dict[str, Path] = field(default_factory=dict)  # by the fingerprint of the JEPA that they read
    models: dict[str, dict[str, Any]] = field(default_factory=dict)  # what was recorded of each, by its folder's name


def cast_of(
    run: Path, models: Sequence[str] = (), sampling_steps: int = 4, form: str | None = None, exports: Path | None = None
) -> Cast:
    """The models of a run folder: the first of each family, or those of these names.

    form, exports: in which form of exported files they play, and where these lie (default: in the run folder). Raises
    UserError: it holds no tokenizer, no model, none of this name, or models of different kinds; or no such files.
    """
    found = _found_in(run)
    names = list(models) or _first_of_each(found)
    for name in names:
        if name not in found.models:
            raise UserError(f"{run}: holds no model {name!r}; there are {', '.join(found.models) or 'none'}")
    if not names:
        raise UserError(f"{run}: holds no trained model; a folder that `make demo` or `make plan` wrote would do")
    records = {name: found.models[name] for name in names}
    tokenizer = found.tokenizers.get(records[names[0]]["tokenizer"])
    if tokenizer is None:
        raise UserError(f"{run}: the tokenizer of {names[0]} is not in it; copy its folder there")
    decoders = {n: found.decoders[r["fingerprint"]] for n, r in records.items() if r["fingerprint"] in found.decoders}
    data = [record["config"]["data"] for record in records.values()]
    if len({tuple(_worlds(each)) for each in data}) > 1:
        raise UserError(f"{run}: {', '.join(names)} were trained on different scenes; choose with --models")
    shape = ClipShape(**data[0]["shape"])
    config = PhysicsConfig(
        out=run, models={name: str(run / name) for name in names}, compare=(), tokenizer=tokenizer,
        probe=found.probe, probes=decoders, shape=shape, context_frames=CONTEXT_FRAMES, oracle=False,
        sampling_steps=sampling_steps,
    )  # fmt: skip
    evaluator = evaluator_of(config, evaluation_accelerator())
    if evaluator.tokenizer.remembers:
        raise UserError(f"{tokenizer}: remembers earlier chunks, so that none can be drawn by itself; it cannot play")
    chunk, players, channels = evaluator.tokenizer.patch_size[0], [], set()
    for spec in config.specs:
        record = records[spec.name]
        if {"shift", "sampling_shift"} & record["config"].keys():  # one of few steps knows the levels of its training
            config = replace(config, sampling_shift=sampling_shift_of(run / spec.name))
        subject = model_of(config, spec, evaluator)
        label = FAMILIES[record["family"]].label
        several = sum(other["family"] == record["family"] for other in records.values()) > 1
        window = record["config"]["data"]["shape"]["num_frames"] // chunk
        label = f"{label} {spec.name}" if several else label
        read_by = [read_budget(decoders[spec.name])["fingerprint"]] if spec.name in decoders else []
        weights = fingerprint(record["fingerprint"], *read_by)
        player = Player(spec.name, label, subject.model, window, subject.made_from, weights)
        players.append(player if form is None else player.by_files(exports or run / EXPORTS, form))
        embedding = getattr(subject.model.network, "embed_action", None)
        channels.add(0 if embedding is None else embedding.in_features // chunk)
    if len(channels) > 1:
        raise UserError(f"{run}: some of {', '.join(names)} take actions and some do not; choose with --models")
    return Cast(run, evaluator, tuple(players), channels.pop(), _worlds(data[0]), shape)


def rolled_out(cast: Cast, player: Player, seen: Encoded, context: int) -> Rollout:
    """What a model predicts of all chunks after so many, under what is done in them. Raises ModelFailure."""
    if seen.actions is None:
        return cast.evaluator.roll_out(player.model, seen)
    done = seen.actions[:, None, context:]
    return imagine(player.name, player.model, cast.evaluator, seen.chunks(0, context), done)


def clips_in(name: str, split: str, shape: ClipShape) -> EnvironmentClips | SimulatedClips:
    """The clips of a scenario, or of an environment under a hand that knows its goal."""
    if name in ENVIRONMENTS:
        return EnvironmentClips(name, split, shape=shape, policy="scripted")
    return SimulatedClips(name, split, shape=shape)


def _found_in(run: Path) -> _Found:
    if not run.is_dir():
        raise UserError(f"{run}: there is no such folder; name one that `make demo` or `make plan` wrote")
    found = _Found()
    for folder in sorted(each for each in run.iterdir() if (each / "model" / "budget.json").exists()):
        kind, record = str(read_json(folder / "model" / "config.json").get("_class_name")), read_budget(folder)
        if kind in TOKENIZERS:
            found.tokenizers[record["fingerprint"]] = folder
        elif kind == "Probe":
            if record.get("jepa"):
                found.decoders[record["jepa"]] = folder
            else:
                found.probe = folder
        elif record.get("family") in FAMILIES:
            found.models[folder.name] = record
    return found


def _first_of_each(found: _Found) -> list[str]:
    """The first model of each family that can be used: a JEPA, or any that is decoded, needs a probe that does so."""
    first: dict[str, str] = {}
    for name, record in found.models.items():
        if not FAMILIES[record["family"]].decoded or record["fingerprint"] in found.decoders:
            first.setdefault(record["family"], name)
    return [first[family] for family in sorted(first, key=lambda f: (ORDER.index(f) if f in ORDER else 9, f))]


def _worlds(data: dict[str, Any]) -> tuple[str, ...]:
    """Those that a training drew; `all` are the scenarios that it draws by default."""
    named = data["scenarios"]
    if named == "all":
        return tuple(name for name in SCENARIOS if SCENARIOS[name].weight > 0)
    return tuple(name for name in named if name in ENVIRONMENTS or name in SCENARIOS)
