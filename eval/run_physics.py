"""Measures worlds on physics.

accelerate launch eval/run_physics.py --config configs/demo/physics.yaml [key=value ...]
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from vidworld.adapters.protocol import AdaptedWorld
from vidworld.adapters.registry import adapted_worlds
from vidworld.baselines import Blind, ConstantVelocity, CopyLast, FrameDifference
from vidworld.checkpoint import read_budget
from vidworld.config import parse_command_line, resolved
from vidworld.data.quads import quads
from vidworld.data.real import RealClips
from vidworld.data.scenarios import SCENARIOS
from vidworld.data.simulated import SimulatedClips
from vidworld.errors import run_script
from vidworld.harness.bench import Bench, Value
from vidworld.harness.comparison import compare
from vidworld.harness.generalisation import Draw, draws_of, generalisation_curves, write_draws
from vidworld.harness.media import save_quads, save_rollouts
from vidworld.harness.real import measure_real
from vidworld.harness.report_words import WORLDS
from vidworld.harness.results import write_results
from vidworld.harness.rollouts import measure_rollouts
from vidworld.harness.surprises import (
    EncodedQuads,
    Matrix,
    choose_levels,
    measure_surprise,
    surprise_of,
    surprise_of_truth,
)
from vidworld.harness.worlds import RUNS, bench_of, diffusion_world, jepa_world, trained_worlds
from vidworld.models.dit import DiffusionTransformer
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.record import prepare_folder, read_json, write_json
from vidworld.schema import PhysicsConfig
from vidworld.world import DiffusionWorld, JepaWorld

MAIN_LAWS = ("permanence", "collision", "momentum")
"""Those that the diffusion world's noise level is chosen on."""
AT_ONCE = 25
"""Clips or quads that go through the worlds together."""


def main() -> None:
    config, _ = parse_command_line(PhysicsConfig, description=__doc__)
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    prepare_folder(config.out)
    inputs = {"config": resolved(config)} | {name: read_budget(getattr(config, name)) for name in RUNS}
    if is_measured(config.out, inputs):
        accelerator.print(
            f"{config.out}: measured before, from the same models and configuration; nothing to do"
        )
        return
    torch.manual_seed(config.seed)

    # --- the worlds, and what they are measured with ---
    bench = bench_of(config, accelerator)
    tokenizer = bench.tokenizer
    diffusion, jepa, untrained, others = load_worlds(config, bench)
    rollers = [diffusion, jepa, CopyLast(tokenizer), ConstantVelocity(tokenizer), *others.predicting]
    surprised = [*rollers[:4], *untrained, FrameDifference(), Blind(), *others.surprised]

    # --- the diffusion world's noise levels, chosen on a validation split ---
    table = levels_table(bench, config, diffusion)
    best = int(table.mean(axis=0).argmax())
    for world in (diffusion, untrained[1]):
        world.levels = (config.levels[best],)

    # --- rollouts, then surprise ---
    values: list[Value] = []
    draws: list[Draw] = []
    media: dict[str, Any] = {"rollouts": [], "quads": [], "curves": [level_curves(config, table)]}
    for scenario, split in progress(rollout_splits(config), "rollouts", accelerator):
        source = SimulatedClips(scenario, split, config.seed, config.clips, *vars(config.shape).values())
        for numbers in batches(range(config.clips), accelerator):
            clips = source.clips(numbers)
            values += measure_rollouts(bench, rollers, clips, scenario, split, config.samples)
            draws += draws_of(clips, scenario, split)
        if split == "id" and accelerator.is_main_process:
            shown = source.clips(range(min(config.shown, config.clips)))
            media["rollouts"] += save_rollouts(bench, rollers, shown, scenario, config.out)
    for law, split in progress(
        [(law, p) for law in config.laws for p in ("id", "ood")], "surprise", accelerator
    ):
        count = config.quads if law in MAIN_LAWS else config.further_quads
        for numbers in batches(range(count if split == "id" else config.ood_quads), accelerator):
            encoded = encoded_quads(bench, config, law, split, numbers)
            # what was never trained is a control of the quads that make the headline
            scorers = surprised if split == "id" else [w for w in surprised if w not in untrained]
            surprises: dict[str, Matrix] = {w.name: surprise_of(bench, w, encoded) for w in scorers}
            surprises["truth"] = surprise_of_truth(bench, encoded)
            for name, matrix in surprises.items():
                values += measure_surprise(matrix, name, encoded.quads, split, bench)
            if split == "id" and numbers[0] == 0:
                shown_worlds = {name: surprises[name] for name in ("diffusion", "jepa", "copy_last")}
                media["quads"] += save_quads(bench, encoded.quads, shown_worlds, config.shown, config.out)
    if config.real is not None:
        of_real, shown = measure_real(
            bench, config.real, [w for w in rollers if w.name != "constant_velocity"], surprised, config
        )
        values += of_real
        media["rollouts"] += shown

    # --- from all processes to files ---
    values, draws = gather_object(values), gather_object(draws)
    if accelerator.is_main_process:
        comparison = compare({"diffusion": config.diffusion, "jepa": config.jepa}) | {"inputs": inputs}
        comparison |= {"jepa_target": jepa.network.target, "diffusion_level": config.levels[best]}
        comparison["tried"] = resolved(config)["tried"]
        write_files(config, values, draws, media, comparison)
        print(f"{config.out / 'results.json'}: {len(values)} values of clips and quads")


class Others(NamedTuple):
    """Other people's models, by what they offer."""

    predicting: list[AdaptedWorld]
    surprised: list[AdaptedWorld]


def worlds_of_others(config: PhysicsConfig, bench: Bench) -> Others:
    """Other people's models; whether they can continue every clip is seen before anything is measured."""
    worlds = adapted_worlds(
        config.worlds, bench.tokenizer, bench.accelerator.device, config.sampling_steps, taken=list(WORLDS)
    )
    names = [
        f"{scenario}/{split}/{config.seed}/{number}"
        for scenario, split in rollout_splits(config)
        for number in range(config.clips)
    ]
    if config.real is not None and worlds:
        names += RealClips(config.real, "real", config.shape.num_frames, config.shape.width_px).identity
    for world in worlds:
        world.check_clips(names)
    return Others(
        [world for world in worlds if world.predicts], [world for world in worlds if world.is_surprised]
    )


def write_files(
    config: PhysicsConfig,
    values: list[Value],
    draws: list[Draw],
    media: dict[str, Any],
    comparison: dict[str, Any],
) -> None:
    """Leaves everything that was measured; comparison.json, which says that it was, among the last."""
    write_draws(config.out / "clips.csv", draws)
    curves = generalisation_curves(values, draws)
    write_json(config.out / "media.json", media | {"generalisation": curves})
    write_results(config.out, values, comparison, config.seed)


def is_measured(out: Path, inputs: dict[str, Any]) -> bool:
    """Whether the folder holds the results of these very models and this configuration."""
    if not (out / "results.json").exists() or not (out / "comparison.json").exists():
        return False
    return bool(read_json(out / "comparison.json").get("inputs") == inputs)


def load_worlds(
    config: PhysicsConfig, bench: Bench
) -> tuple[DiffusionWorld, JepaWorld, tuple[JepaWorld, DiffusionWorld], Others]:
    """The trained worlds, networks of the same shape that were never trained, and other people's models."""
    device = bench.accelerator.device
    diffusion, jepa = trained_worlds(config, bench)
    raw_dit = DiffusionTransformer.from_config(diffusion.network.config).to(device)
    raw_predictor = JointEmbeddingPredictor.from_config(jepa.network.config).to(device)
    untrained = (
        jepa_world(bench, raw_predictor, "untrained"),
        diffusion_world(config, raw_dit, "untrained_diffusion"),
    )
    return diffusion, jepa, untrained, worlds_of_others(config, bench)


def encoded_quads(
    bench: Bench, config: PhysicsConfig, law: str, split: str, numbers: Sequence[int]
) -> EncodedQuads:
    """The quads of these numbers with their tokens."""
    shape = config.shape
    made = quads(
        law,
        split,
        config.seed,
        numbers,
        shape.num_frames,
        config.context_frames,
        shape.fps,
        shape.height_px,
        shape.width_px,
    )
    return EncodedQuads.of(bench, made)


def levels_table(bench: Bench, config: PhysicsConfig, world: DiffusionWorld) -> np.ndarray:
    """Accuracy of the world's surprise by law and noise level, on the validation quads of all processes."""
    mine = range(config.val_quads)[bench.accelerator.process_index :: bench.accelerator.num_processes]
    quads_of = [encoded_quads(bench, config, law, "val", mine) for law in laws_chosen_on(config)]
    tables = gather_object([(choose_levels(bench, world, quads_of), len(mine))] if mine else [])
    found, counts = zip(*tables, strict=True)
    return np.average(found, axis=0, weights=counts)


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


def level_curves(config: PhysicsConfig, table: np.ndarray) -> dict[str, Any]:
    """The curve of the report that shows what each noise level tells."""
    series = [
        {"label": law, "x": list(config.levels), "y": row.tolist(), "low": None, "high": None}
        for law, row in zip(laws_chosen_on(config), table, strict=True)
    ]
    name = "Diffusion surprise by noise level (validation split)"
    return {"name": name, "x_label": "noise level", "y_label": "accuracy, target-matched", "series": series}


def batches(numbers: Sequence[int], accelerator: Accelerator) -> Iterator[list[int]]:
    """This process' share of the numbers, a few at a time; the shares are equal to one number or so."""
    processes = accelerator.num_processes
    rounds = max(1, math.ceil(len(numbers) / (AT_ONCE * processes)))
    size = max(1, math.ceil(len(numbers) / (rounds * processes)))
    pieces = [list(numbers[i : i + size]) for i in range(0, len(numbers), size)]
    yield from pieces[accelerator.process_index :: processes]


Item = TypeVar("Item")


def progress(items: list[Item], name: str, accelerator: Accelerator) -> Iterator[Item]:
    """The items under a progress bar of the main process."""
    yield from tqdm(items, desc=name, disable=None if accelerator.is_main_process else True)


if __name__ == "__main__":
    run_script(main)
