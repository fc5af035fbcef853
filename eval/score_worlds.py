"""Measures other people's models on physics, without any network of ours.

python eval/score_worlds.py --config configs/base/score.yaml --world diffusers:FOLDER [--world ...] [key=value ...]

A run that was stopped goes on where it was.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from tqdm import tqdm

from vidworld.adapters.protocol import AdaptedWorld
from vidworld.adapters.registry import adapted_worlds, parse
from vidworld.baselines import Blind, ConstantVelocity, CopyLast, FrameDifference
from vidworld.config import parse_command_line, resolved
from vidworld.data.quads import quads
from vidworld.data.simulated import SimulatedClips
from vidworld.errors import UserError, run_script
from vidworld.harness.bench import Bench, Value
from vidworld.harness.parts import Parts
from vidworld.harness.report_words import WORLDS
from vidworld.harness.results import write_results
from vidworld.harness.rollouts import measure_references, measure_worlds
from vidworld.harness.surprises import EncodedQuads, measure_surprise, surprise_of, surprise_of_truth
from vidworld.harness.worlds import origin_of
from vidworld.record import prepare_folder
from vidworld.schema import ScoreConfig
from vidworld.tokenizer.frames import FrameTokenizer

REFERENCES = "references"
"""The parts of truth, baselines and controls, which are the same beside every model."""


@dataclass(frozen=True)
class Part:
    """A few clips or quads of one task, to be measured together."""

    name: str
    world: str
    measured: Callable[[], Iterator[Value]]


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
    tokenizer = FrameTokenizer(config.chunk_frames, config.shape.height_px, config.shape.width_px)
    bench = Bench(tokenizer, {}, accelerator, config.context_frames, config.seed)
    worlds = adapted_worlds(texts, tokenizer, accelerator.device, config.sampling_steps, taken=list(WORLDS))
    names = [f"{source.name}/{number}" for source in sources(config) for number in range(config.clips)]
    for world in worlds:
        world.check_clips(names)

    # --- part by part, each of them kept on disk ---
    same = {k: v for k, v in resolved(config).items() if k not in ("out", "worlds", "at_once")}
    kept = {REFERENCES: Parts.of(config.out, same)}
    for world, text in zip(worlds, texts, strict=True):
        kept[world.name] = Parts.of(config.out, [same, parse(text), origin_of(text, world)])
    parts = [
        *parts_of(config, bench, None),
        *(part for world in worlds for part in parts_of(config, bench, world)),
    ]
    mine = parts[accelerator.process_index :: accelerator.num_processes]
    for part in tqdm(
        mine, desc="scoring", unit="part", disable=None if accelerator.is_main_process else True
    ):
        kept[part.world].measure(part.name, part.measured)

    # --- from all parts to results ---
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        values = [value for part in parts for value in kept[part.world].values([part.name])]
        notes = ["Models made elsewhere: neither data nor compute nor tokenizer were controlled."]
        write_results(
            config.out,
            values,
            {"controlled": False, "differences": [], "budgets": {}, "notes": notes},
            config.seed,
        )
        print(f"{config.out / 'results.json'}: {len(values)} values of clips and quads")


def sources(config: ScoreConfig) -> list[SimulatedClips]:
    """The clips that rollouts are measured on."""
    shape = vars(config.shape).values()
    return [
        SimulatedClips(scenario, split, config.seed, config.clips, *shape)
        for scenario in config.scenarios
        for split in config.splits
    ]


def parts_of(config: ScoreConfig, bench: Bench, world: AdaptedWorld | None) -> Iterator[Part]:
    """All parts of one world, or those of the references."""
    name = REFERENCES if world is None else world.name
    if world is None or world.predicts:
        for source in sources(config):
            for numbers in few(config.clips, config.at_once):
                yield Part(
                    f"rollouts_{source.scenario}_{source.split}_{numbers[0]}_{numbers[-1]}",
                    name,
                    lambda source=source, numbers=numbers: rollouts(config, bench, world, source, numbers),
                )
    if world is None or world.is_surprised:
        for law in config.laws:
            for split in config.splits:
                for numbers in few(config.quads, config.at_once):
                    yield Part(
                        f"surprise_{law}_{split}_{numbers[0]}_{numbers[-1]}",
                        name,
                        lambda law=law, split=split, numbers=numbers: surprises(
                            config, bench, world, law, split, numbers
                        ),
                    )


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
    shape = config.shape
    size = (shape.num_frames, config.context_frames, shape.fps, shape.height_px, shape.width_px)
    encoded = EncodedQuads.of(bench, quads(law, split, config.seed, numbers, *size))
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


def few(count: int, at_once: int) -> list[range]:
    """The numbers up to `count`, a few at a time."""
    return [range(start, min(start + at_once, count)) for start in range(0, count, at_once)]


def _add_world(parser: argparse.ArgumentParser) -> None:
    what = "vjepa2:FOLDER, diffusers:FOLDER, videos:FOLDER or python:module.ClassName, with NAME= before it if wanted"
    parser.add_argument("--world", action="append", default=[], metavar="KIND:PATH", help=what)


if __name__ == "__main__":
    run_script(main)
