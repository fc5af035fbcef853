"""Measures worlds on physics.

accelerate launch eval/run_physics.py --config configs/demo/physics.yaml [key=value ...]
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from vidworld.analysis.generalisation import draws_of, generalisation_curves, write_draws
from vidworld.analysis.records import Value
from vidworld.analysis.results import write_results
from vidworld.core.config import parse_command_line, resolved
from vidworld.core.errors import run_script
from vidworld.core.precision import precision
from vidworld.core.records import prepare_folder, read_json, write_json
from vidworld.evaluation.bench import Bench
from vidworld.evaluation.comparison import compare
from vidworld.evaluation.media import save_quads, save_rollouts
from vidworld.evaluation.models import diffusion_world, jepa_world, made_of, predicting, surprised, worlds_of
from vidworld.evaluation.real import held_out, real_parts, shown_real
from vidworld.evaluation.rollouts import measure_rollouts
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.evaluation.surprises import (
    encoded_quads,
    level_task,
    measure_levels,
    measure_surprise,
    surprise_of,
    surprise_of_truth,
)
from vidworld.evaluation.units import Part, few, forget, measure, parts_folder, values_of
from vidworld.models.baselines import Blind, ConstantVelocity, CopyLast, FrameDifference
from vidworld.models.dit import DiffusionTransformer
from vidworld.models.external.protocol import AdaptedWorld
from vidworld.models.generative import GenerativeModel
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.predictive import PredictiveModel
from vidworld.models.world_model import Scorer, WorldModel
from vidworld.simulation import SCENARIOS
from vidworld.simulation.simulated import SimulatedClips
from vidworld.video.real import RealClips

MAIN_LAWS = ("permanence", "collision", "momentum")
"""Those that the diffusion world's noise level is chosen on."""
CLIPS_AT_ONCE = 25
QUADS_AT_ONCE = 10
"""What goes through the worlds together: more, and what lies between two layers leaves a processor's cache."""
PATIENCE = InitProcessGroupKwargs(timeout=timedelta(hours=2))
"""How long a process waits for the others, which have more or slower parts."""


def main() -> None:
    config, _ = parse_command_line(PhysicsConfig, description=__doc__)
    accelerator = Accelerator(mixed_precision=precision(config.mixed_precision), kwargs_handlers=[PATIENCE])
    prepare_folder(config.out)
    real = None if config.real is None else held_out(config.real, config.shape)
    if config.real is not None and real is None:
        accelerator.print(f"{config.real}: has no held-out clips (split real); real video is left out")
    inputs = made_of(config, config.worlds) | {"real": real and list(real.identity)}
    if is_measured(config.out, inputs):
        accelerator.print(
            f"{config.out}: measured before, from the same models and configuration; nothing to do"
        )
        if accelerator.is_main_process:
            forget(config.out)
        return

    # --- the worlds, and what they are measured with ---
    asked = worlds_of(config, (), accelerator)
    bench = asked.bench
    diffusion, jepa, *others = asked.worlds
    check_others(others, config, real)
    untrained = untrained_worlds(config, bench, diffusion, jepa)
    baselines = [CopyLast(bench.tokenizer), ConstantVelocity(bench.tokenizer)]
    rollers = [diffusion, jepa, *baselines, *predicting(others)]
    surprised_ones = [diffusion, jepa, *baselines, *untrained, FrameDifference(), Blind(), *surprised(others)]
    kept = parts_folder(config.out, inputs)

    # --- the diffusion world's noise levels, chosen on a validation split ---
    of_levels = list(level_parts(config, bench, diffusion, kept))
    measure(of_levels, accelerator, "noise levels")
    table = levels_table(config, values_of(of_levels))
    best = int(table.mean(axis=0).argmax())
    for world in (diffusion, untrained[0]):
        world.levels = (config.levels[best],)

    # --- rollouts, surprise and real video, part by part ---
    # What was never trained is a control of the quads that make the headline.
    scorers = {
        "id": surprised_ones,
        "ood": [world for world in surprised_ones if world not in untrained],
    }
    parts = [*rollout_parts(config, bench, rollers, kept), *surprise_parts(config, bench, scorers, kept)]
    if real is not None:
        parts += real_parts(bench, real, rollers, surprised_ones, kept)
    measure(parts, accelerator, "physics")

    # --- from all parts to files ---
    if accelerator.is_main_process:
        values = values_of(parts)
        media = shown(config, bench, rollers, real) | {"curves": [level_curves(config, table)]}
        comparison = compare({"diffusion": config.diffusion, "jepa": config.jepa}) | {"inputs": inputs}
        comparison |= {"jepa_target": jepa.network.target, "diffusion_level": config.levels[best]}
        comparison["tried"] = resolved(config)["tried"]
        write_files(config, values, media, comparison)
        forget(config.out)
        print(f"{config.out / 'results.json'}: {len(values)} values of clips and quads")


def check_others(others: Sequence[AdaptedWorld], config: PhysicsConfig, real: RealClips | None) -> None:
    """Nothing, where other people's models can continue every clip: seen before anything is measured.

    Raises:
        UserError: one of them cannot.
    """
    names = [
        f"{scenario}/{split}/{config.seed}/{number}"
        for scenario, split in rollout_splits(config)
        for number in range(config.clips)
    ]
    for world in others:
        world.check_clips([*names, *(real.identity if real is not None else ())])


def write_files(
    config: PhysicsConfig, values: list[Value], media: dict[str, Any], comparison: dict[str, Any]
) -> None:
    """Leaves everything that was measured; comparison.json, which says that it was, last."""
    draws = [
        draw
        for scenario, split in rollout_splits(config)
        for draw in draws_of(
            SimulatedClips(scenario, split, config.seed, config.clips, config.shape).clips(
                range(config.clips)
            ),
            scenario,
            split,
        )
    ]
    write_draws(config.out / "clips.csv", draws)
    curves = generalisation_curves(values, draws)
    write_json(config.out / "media.json", media | {"generalisation": curves})
    write_results(config.out, values, comparison, config.seed)


def is_measured(out: Path, inputs: dict[str, Any]) -> bool:
    """Whether the folder holds the results of these very models and this configuration."""
    if not (out / "results.json").exists() or not (out / "comparison.json").exists():
        return False
    return bool(read_json(out / "comparison.json").get("inputs") == inputs)


def untrained_worlds(
    config: PhysicsConfig, bench: Bench, diffusion: GenerativeModel, jepa: PredictiveModel
) -> tuple[GenerativeModel, PredictiveModel]:
    """Networks of the same shape that were never trained, the same whichever worlds stand beside them."""
    torch.manual_seed(config.seed)
    device = bench.accelerator.device
    raw_dit = DiffusionTransformer.from_config(diffusion.network.config).to(device)
    raw_predictor = JointEmbeddingPredictor.from_config(jepa.network.config).to(device)
    return (
        diffusion_world(config, raw_dit, "untrained_diffusion"),
        jepa_world(bench, raw_predictor, "untrained"),
    )


# --- the parts: a few clips or quads each, the same ones on any number of processes ---


def level_parts(config: PhysicsConfig, bench: Bench, world: GenerativeModel, folder: Path) -> Iterator[Part]:
    """Accuracy of the world's surprise at each noise level, on the validation quads."""

    def measured(law: str, numbers: range) -> Iterator[Value]:
        yield from measure_levels(bench, world, encoded_quads(bench, config, law, "val", numbers))

    for law in laws_chosen_on(config):
        for numbers in few(config.val_quads, QUADS_AT_ONCE):
            yield Part(
                folder / f"levels_{law}_{numbers[0]}_{numbers[-1]}.csv", partial(measured, law, numbers)
            )


def rollout_parts(
    config: PhysicsConfig, bench: Bench, worlds: Sequence[WorldModel], folder: Path
) -> Iterator[Part]:
    """Rollouts over simulated clips."""

    def measured(scenario: str, split: str, numbers: range) -> Iterator[Value]:
        clips = SimulatedClips(scenario, split, config.seed, config.clips, config.shape).clips(numbers)
        yield from measure_rollouts(bench, worlds, clips, scenario, split, config.samples)

    for scenario, split in rollout_splits(config):
        for numbers in few(config.clips, CLIPS_AT_ONCE):
            name = f"rollouts_{scenario}_{split}_{numbers[0]}_{numbers[-1]}.csv"
            yield Part(folder / name, partial(measured, scenario, split, numbers))


def surprise_parts(
    config: PhysicsConfig, bench: Bench, scorers: Mapping[str, Sequence[Scorer]], folder: Path
) -> Iterator[Part]:
    """Surprise over quads, of those who are asked in each split."""

    def measured(law: str, split: str, numbers: range) -> Iterator[Value]:
        encoded = encoded_quads(bench, config, law, split, numbers)
        for scorer in scorers[split]:
            matrix = surprise_of(bench, scorer, encoded)
            yield from measure_surprise(matrix, scorer.name, encoded.quads, split, bench)
        yield from measure_surprise(surprise_of_truth(bench, encoded), "truth", encoded.quads, split, bench)

    for law in config.laws:
        for split in scorers:
            for numbers in few(count_of_quads(config, law, split), QUADS_AT_ONCE):
                name = f"surprise_{law}_{split}_{numbers[0]}_{numbers[-1]}.csv"
                yield Part(folder / name, partial(measured, law, split, numbers))


# --- what they are made of ---


def count_of_quads(config: PhysicsConfig, law: str, split: str) -> int:
    """How many quads of a law are looked at."""
    if split == "ood":
        return config.ood_quads
    return config.quads if law in MAIN_LAWS else config.further_quads


def rollout_splits(config: PhysicsConfig) -> list[tuple[str, str]]:
    """Each scenario with each of its splits: `recombined` where training leaves a corner out."""
    return [
        (scenario, split)
        for scenario in config.scenarios
        for split in ("id", "ood", "recombined")
        if split != "recombined" or SCENARIOS[scenario].ranges.corner
    ]


def laws_chosen_on(config: PhysicsConfig) -> list[str]:
    """The laws that the noise level is chosen on: all, where none of the usual ones is measured."""
    return [law for law in MAIN_LAWS if law in config.laws] or list(config.laws)


def levels_table(config: PhysicsConfig, values: Iterable[Value]) -> np.ndarray:
    """Accuracy of the world's surprise by law and noise level."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for value in values:
        found[value.law, value.task].append(value.value)
    tasks = [level_task(level) for level in config.levels]
    return np.array([[np.mean(found[law, task]) for task in tasks] for law in laws_chosen_on(config)])


# --- what the report shows ---


def shown(
    config: PhysicsConfig, bench: Bench, rollers: Sequence[WorldModel], real: RealClips | None
) -> dict[str, Any]:
    """What media.json says of some rollouts and some quads."""
    rollouts = []
    for scenario in config.scenarios:
        clips = SimulatedClips(scenario, "id", config.seed, config.clips, config.shape).clips(
            range(min(config.shown, config.clips))
        )
        rollouts += save_rollouts(bench, rollers, clips, scenario, config.out)
    if real is not None:
        rollouts += shown_real(bench, real, rollers, config.out)
    of_quads = []
    for law in config.laws:
        few_quads = range(min(config.shown, count_of_quads(config, law, "id")))
        encoded = encoded_quads(bench, config, law, "id", few_quads)
        surprises = {world.name: surprise_of(bench, world, encoded) for world in rollers[:3]}
        of_quads += save_quads(bench, encoded.quads, surprises, config.out)
    return {"rollouts": rollouts, "quads": of_quads}


def level_curves(config: PhysicsConfig, table: np.ndarray) -> dict[str, Any]:
    """The curve of the report that shows what each noise level tells."""
    series = [
        {"label": law, "x": list(config.levels), "y": row.tolist(), "low": None, "high": None}
        for law, row in zip(laws_chosen_on(config), table, strict=True)
    ]
    name = "Diffusion surprise by noise level (validation split)"
    return {"name": name, "x_label": "noise level", "y_label": "accuracy, target-matched", "series": series}


if __name__ == "__main__":
    run_script(main)
