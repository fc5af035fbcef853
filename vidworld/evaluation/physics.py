"""The evaluation of a configuration: models x tasks, unit by unit, to results.json and what the report shows."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from vidworld.analysis.generalisation import Draw, draws_of, generalisation_curves
from vidworld.analysis.records import Comparison, Media, Model, Value, pair_name
from vidworld.analysis.results import write_results
from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import resolved
from vidworld.core.counter_rng import public
from vidworld.core.errors import UserError
from vidworld.core.records import fingerprint, prepare_folder, read_json, write_csv, write_json
from vidworld.core.registry import Registry
from vidworld.evaluation import TASKS
from vidworld.evaluation.evaluator import (
    ModelFailure,
    check_chunks,
    evaluation_accelerator,
    evaluator_of,
    subjects_of,
    tools_of,
)
from vidworld.evaluation.presentation import PRESENTATION_VERSION, clip_seed
from vidworld.evaluation.schema import HEADLINE_SPLITS, PhysicsConfig, measured_splits
from vidworld.evaluation.task import Setup, Task, measure, units_of_tasks
from vidworld.metrics import METRICS
from vidworld.models import RUN
from vidworld.models.external import ExternalModel
from vidworld.models.families import FAMILIES
from vidworld.models.files import fingerprint_in, read_budget
from vidworld.simulation import LAWS, NUISANCE_VERSION, SCENARIOS, SIMULATOR_VERSION
from vidworld.video import content_fingerprint, has_clips
from vidworld.video.real import RealClips

CHANGES_NO_VALUE = (
    *("out", "models", "tokenizer", "probe", "probes", "real", "held_out", "clips_at_once", "quadruplets_at_once"),
)
"""Keys that do not tell one evaluation from another: what they name is known by its content."""


def evaluate(config: PhysicsConfig) -> None:
    """Measure what is not measured yet, and write results.json, per_clip.csv, media.json and comparison.json.

    Raises UserError: of a model that fails, after the others' results are written.
    """
    if not config.models:
        raise UserError(f"{config.out}: the configuration names no model; models.NAME=SPEC adds one")
    inputs = inputs_of(config)
    accelerator = evaluation_accelerator(config.mixed_precision)
    # Whether a class of the user's own has other weights is known once it is loaded.
    if is_measured(config.out, inputs) and not any(spec.kind == "python" for spec in config.specs):
        accelerator.print(f"{config.out}: measured before, from the same models and configuration; nothing to do")
        return
    prepare_folder(config.out)
    setup = set_up(config, accelerator)
    if config.real is not None and setup.real is None:
        accelerator.print(f"{config.real}: has no held-out clips (split real); simulated clips only")

    names = list(TASKS) if config.tasks == "all" else config.tasks
    tasks, units = [TASKS[name] for name in names], [*units_of_tasks(names, setup)]
    values, failures = measure(units, accelerator, "physics")

    if accelerator.is_main_process:
        media, failures = show(setup, tasks, failures)
        values, setup = [value for value in values if value.model not in failures], setup.without(failures)
        write_files(setup, values, media, None if failures else inputs)
        print(f"{config.out / 'results.json'}: {len(values)} values of clips and quadruplets")
        refuse(failures)


def show(
    setup: Setup, tasks: Sequence[Task], failures: Mapping[str, str]
) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """What the report shows of the models that do not fail; and those that do, here too."""
    media: dict[str, list[Any]] = defaultdict(list)
    try:
        for task in tasks:
            for kind, entries in task.shown(setup.without(failures), setup.config.out).items():
                media[kind] += entries
    except ModelFailure as failure:
        return show(setup, tasks, {**failures, failure.model: str(failure)})
    return dict(media), dict(failures)


def refuse(failures: Mapping[str, str]) -> None:
    """Raise UserError with a line for each model that failed."""
    if failures:
        raise UserError("\n".join(f"{line}; its rows are left out" for line in failures.values()))


def set_up(config: PhysicsConfig, accelerator: Accelerator) -> Setup:
    """The configuration with its models loaded.

    Raises UserError: one of them cannot be used, or cannot continue one of the clips.
    """
    evaluator = evaluator_of(config, accelerator)
    check_chunks(evaluator.tokenizer.patch_size[0], {"horizons": config.horizons, "contexts": config.contexts})
    real = None if config.real is None else held_out(config.real, config.shape)
    subjects = subjects_of(config, evaluator)
    setup = Setup(config, evaluator, subjects, real, prepare_folder(config.out / "units"))
    sources = [setup.clips(*place) for place in measured_splits(config)]
    names = [name for source in sources for name in source.identities(range(len(source)))]
    for subject in subjects:
        if isinstance(subject.model, ExternalModel) and subject.rolls_out:
            subject.model.check_clips([*names, *(real.identity if real is not None else ())])
    return setup


def held_out(folder: Path, shape: ClipShape) -> RealClips | None:
    """The held-out clips of a data set; None where no video of it fell to split `real`. Raises UserError."""
    return RealClips(folder, "real", shape) if has_clips(folder, "real") else None


def inputs_of(config: PhysicsConfig) -> str:
    """The fingerprint of all that the files of an evaluation depend on; other labels alone make no unit stale.

    Raises UserError: a run folder has no finished model, or there is nothing where a model should be.
    """
    registries: dict[str, Registry[Any]] = {"scenarios": SCENARIOS, "laws": LAWS, "metrics": METRICS, "tasks": TASKS}
    settings = {k: v for k, v in resolved(config).items() if k not in CHANGES_NO_VALUE}
    settings |= {"seed": public(str(clip_seed(config))), "presentation": PRESENTATION_VERSION}
    versions = {
        key: {name: registry.version(name) for name in (registry if settings[key] == "all" else settings[key])}
        for key, registry in registries.items()
    }
    labels = [[law.statement for law in LAWS.values()], [metric.description for metric in METRICS.values()]]
    models = [[spec.name, spec.fingerprint()] for spec in config.specs]
    probes = {name: fingerprint_in(folder) for name, folder in config.probes.items()}
    real = content_fingerprint(config.real, "real") if config.real and has_clips(config.real, "real") else None
    simulator = [SIMULATOR_VERSION, NUISANCE_VERSION]
    return fingerprint(settings, versions, simulator, models, probes, tools_of(config), real, labels)


def is_measured(out: Path, inputs: str) -> bool:
    """Whether the folder holds the results of these very models and this configuration."""
    record = out / "comparison.json"
    written = record.exists() and (out / "results.json").exists()
    before = read_json(record) if written else None
    return isinstance(before, dict) and bool(before.get("inputs") == inputs)


def write_files(setup: Setup, values: list[Value], media: dict[str, Any], inputs: str | None) -> None:
    """Leave everything that was measured; comparison.json, which says that it was, last."""
    config, draws = setup.config, list[Draw]()
    for scenario, split in measured_splits(config):
        if split in HEADLINE_SPLITS:  # what a curve over speeds and sizes holds is of one shape
            draws += draws_of(setup.clips(scenario, split).clips(range(config.clips)), scenario, split)
    write_csv(config.out / "clips.csv", Draw, draws)
    models = models_of(config)
    curves = generalisation_curves(values, draws, models)
    write_json(config.out / "media.json", asdict(Media(**media, generalisation=curves)))
    folders = {spec.name: Path(spec.path) for spec in config.specs if spec.kind == RUN}
    # What each model predicts, of those whose family leaves a choice.
    measured = {s.name: s.model for s in setup.subjects if s.name in config.models}
    networks = {name: getattr(model, "network", None) for name, model in measured.items()}
    targets = {name: target for name, network in networks.items() if (target := getattr(network, "target", None))}
    levels = {name: list(found) for name, model in measured.items() if (found := getattr(model, "levels", None))}
    equal, tried = compare(folders, config.pairs, config.probes), resolved(config)["tried"]
    equal.notes.extend(nuisance_notes(equal.budgets, config.nuisance))
    comparison = replace(equal, noise_levels=levels, targets=targets, tried=tried, inputs=inputs)
    write_results(config.out, values, models, config.pairs, comparison, config.seed)


def models_of(config: PhysicsConfig) -> dict[str, Model]:
    """What results.json says of each model: its label, its family and where it came from."""
    models = {}
    for spec in config.specs:
        family = read_budget(Path(spec.path))["family"] if spec.kind == RUN else None
        label = FAMILIES[family].label if family == spec.name else spec.name
        models[spec.name] = Model(label, family or spec.kind, spec.label)
    return models


def nuisance_notes(budgets: Mapping[str, Mapping[str, Any]], level: int) -> Iterator[str]:
    """A sentence on the level of nuisance that is measured at, and one for each model that was trained at another."""
    if level:
        yield f"Measured at nuisance level {level}; metrics compare with the pictures and tracks without it."
    for name, budget in budgets.items():
        if (trained := budget["data"].get("nuisance", 0)) != level:
            yield f"{name} was trained at nuisance level {trained}, and is measured at level {level}."


# --- whether models were trained alike, pair by pair, and what differs where they were not ---


TOLERANCES = {"parameters": 0.05, "training_flops": 0.05}  # shares by which these may differ in a controlled one


def budget_of(run_folder: Path, probe: Path | None = None) -> dict[str, Any]:
    """What a finished run's training was given, that of the decoder in its probe included.

    Raises UserError: the run's record lacks something.
    """
    record = read_budget(run_folder)
    if probe is not None:
        decoder = read_budget(probe)
        record |= {name: record[name] + decoder[name] for name in ("training_flops", "seconds") if name in record}
    try:
        config = record["config"]
        # Real clips are known by what they hold, not by where they lie.
        record |= {"data": config["data"] | {"real": record.get("real_clips")}, "seed": config["seed"]}
        names = ("tokenizer", "data", "seed", "parameters", "steps", "clips_seen", "training_flops", "seconds")
        return {name: record[name] for name in names}
    except (KeyError, TypeError) as error:
        raise UserError(f"{run_folder}: its model/budget.json lacks {error}; train it again") from error


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What keeps a comparison of two budgets from being a controlled one: a line each, none where it is."""
    names = [name for name in ("tokenizer", "data", "seed") if one[name] != other[name]]
    found = [f"{name.replace('_', ' ')} differ: {one[name]} and {other[name]}" for name in names]
    for name, tolerance in TOLERANCES.items():
        a, b = one[name], other[name]
        if abs(a - b) > tolerance * max(a, b):
            found.append(f"{name.replace('_', ' ')} differ by more than {tolerance:.0%}: {a:.4g} and {b:.4g}")
    return found


def compare(
    folders: Mapping[str, Path], pairs: Sequence[tuple[str, str]], probes: Mapping[str, Path] | None = None
) -> Comparison:
    """Which pairs of models are a controlled comparison, and the budgets of those that were trained here.

    folders: the run folder of each model trained here, by name; no pair of one trained elsewhere is controlled.
    probes: the run folders of the probes that decode a model's embeddings, by its name: their cost is the model's.
    """
    budgets = {name: budget_of(folder, (probes or {}).get(name)) for name, folder in folders.items()}
    found: dict[str, list[str]] = {}
    for pair in pairs:
        unknown = [name for name in pair if name not in budgets]
        faults = [f"{name} was trained elsewhere: its budget is not known" for name in unknown]
        found[pair_name(*pair)] = faults or differences(*(budgets[name] for name in pair))
    equal = "Equal are the tokenizer, the clips and the seed"
    within = " and ".join(f"{name.replace('_', ' ')} to {share:.0%}" for name, share in TOLERANCES.items())
    controlled = {name: not lines for name, lines in found.items()}
    notes = [f"{name}: {equal}; {within}." for name, fair in controlled.items() if fair]
    return Comparison(controlled=controlled, differences=found, budgets=budgets, notes=notes)
