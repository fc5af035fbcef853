"""Measures other people's models on physics, without any network of ours.

python eval/score_worlds.py --config configs/base/score.yaml --world diffusers:FOLDER [--world ...] [key=value ...]

A run that was stopped goes on where it was.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from vidworld.analysis.records import Comparison, Value
from vidworld.analysis.results import write_results
from vidworld.core.config import parse_command_line, resolved
from vidworld.core.errors import UserError, run_script
from vidworld.core.records import prepare_folder
from vidworld.evaluation.bench import Bench
from vidworld.evaluation.models import worlds_of
from vidworld.evaluation.rollouts import measure_references, measure_worlds
from vidworld.evaluation.schema import ScoreConfig
from vidworld.evaluation.surprises import encoded_quads, measure_surprise, surprise_of, surprise_of_truth
from vidworld.evaluation.units import Part, few, measure, parts_folder, values_of
from vidworld.models.baselines import Blind, ConstantVelocity, CopyLast, FrameDifference
from vidworld.models.external.protocol import AdaptedWorld
from vidworld.models.external.registry import origin
from vidworld.simulation.simulated import SimulatedClips


def main() -> None:
    config, arguments = parse_command_line(ScoreConfig, description=__doc__, add_arguments=_add_world)
    texts = [*config.worlds, *arguments.world]
    if not texts:
        raise UserError(
            "no world to measure: name one with --world KIND:PATH, or some with worlds in the configuration"
        )
    accelerator = Accelerator()
    prepare_folder(config.out)
    torch.manual_seed(config.seed)

    # --- the worlds; their pixels are read as they are, without a tokenizer's loss and without a probe ---
    asked = worlds_of(config, arguments.world, accelerator)
    bench, worlds = asked.bench, asked.worlds
    names = [f"{source.name}/{number}" for source in sources(config) for number in range(config.clips)]
    for world in worlds:
        world.check_clips(names)

    # --- part by part; truth, baselines and controls are the same beside every model ---
    same = {k: v for k, v in resolved(config).items() if k not in ("out", "worlds", "at_once")}
    parts = list(parts_of(config, bench, None, parts_folder(config.out, same)))
    for world, text in zip(worlds, texts, strict=True):
        parts += parts_of(config, bench, world, parts_folder(config.out, [same, origin(text)]))
    measure(parts, accelerator, "scoring")

    # --- from all parts to results ---
    if accelerator.is_main_process:
        values = values_of(parts)
        notes = ["Models made elsewhere: neither data nor compute nor tokenizer were controlled."]
        write_results(config.out, values, asked.models, (), Comparison(notes=notes), config.seed)
        print(f"{config.out / 'results.json'}: {len(values)} values of clips and quads")


def sources(config: ScoreConfig) -> list[SimulatedClips]:
    """The clips that rollouts are measured on."""
    return [
        SimulatedClips(scenario, split, config.seed, config.clips, config.shape)
        for scenario in config.scenarios
        for split in config.splits
    ]


def parts_of(config: ScoreConfig, bench: Bench, world: AdaptedWorld | None, folder: Path) -> Iterator[Part]:
    """All parts of one world, or those of the references."""
    if world is None or world.predicts:
        for source in sources(config):
            for numbers in few(config.clips, config.at_once):
                name = f"rollouts_{source.scenario}_{source.split}_{numbers[0]}_{numbers[-1]}.csv"
                yield Part(folder / name, partial(rollouts, config, bench, world, source, numbers))
    if world is None or world.is_surprised:
        for law in config.laws:
            for split in config.splits:
                for numbers in few(config.quads, config.at_once):
                    name = f"surprise_{law}_{split}_{numbers[0]}_{numbers[-1]}.csv"
                    yield Part(folder / name, partial(surprises, config, bench, world, law, split, numbers))


def rollouts(
    config: ScoreConfig, bench: Bench, world: AdaptedWorld | None, source: SimulatedClips, numbers: range
) -> Iterator[Value]:
    """The values of these clips, of one world or of the references."""
    seen = bench.encode(source.clips(numbers))
    task = (source.scenario, source.split)
    if world is None:
        yield from measure_references(bench, seen, *task)
    baselines: list[Any] = [CopyLast(bench.tokenizer), ConstantVelocity(bench.tokenizer)]
    rollers = baselines if world is None else [world]
    yield from measure_worlds(bench, rollers, seen, *task, samples=1 if world is None else config.samples)


def surprises(
    config: ScoreConfig, bench: Bench, world: AdaptedWorld | None, law: str, split: str, numbers: range
) -> Iterator[Value]:
    """The values of these quads, of one world or of the references."""
    encoded = encoded_quads(bench, config, law, split, numbers)
    baselines: list[Any] = [
        CopyLast(bench.tokenizer),
        ConstantVelocity(bench.tokenizer),
        FrameDifference(),
        Blind(),
    ]
    for scorer in baselines if world is None else [world]:
        matrix = surprise_of(bench, scorer, encoded)
        yield from measure_surprise(matrix, scorer.name, encoded.quads, split, bench)
    if world is None:
        yield from measure_surprise(surprise_of_truth(bench, encoded), "truth", encoded.quads, split, bench)


def _add_world(parser: argparse.ArgumentParser) -> None:
    what = "vjepa2:FOLDER, diffusers:FOLDER, videos:FOLDER or python:module.ClassName, with NAME= before it if wanted"
    parser.add_argument("--world", action="append", default=[], metavar="KIND:PATH", help=what)


if __name__ == "__main__":
    run_script(main)
