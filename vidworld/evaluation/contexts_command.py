"""`vidworld data contexts`: the clips that a model which is run elsewhere is to continue, one MP4 each."""

import argparse
from pathlib import Path

from tqdm import tqdm

from vidworld.core.command import Command
from vidworld.core.config import load
from vidworld.core.media import write_mp4
from vidworld.core.records import prepare_folder, writing
from vidworld.evaluation.schema import PhysicsConfig, measured_splits
from vidworld.simulation.simulated import SimulatedClips


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="that of eval/run_physics.py")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the files go")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="replaces the file's value")


def _run(arguments: argparse.Namespace) -> None:
    """Write a context for every clip; files that are there stay."""
    config = load(PhysicsConfig, arguments.config, arguments.overrides)
    folder = prepare_folder(arguments.out)
    every = [(s, p, i) for s, p in measured_splits(config) for i in range(config.clips)]
    for scenario, split, number in tqdm(every, desc="contexts", unit="clip", disable=None):
        path = folder / f"{scenario}_{split}_{config.seed}_{number}.mp4"
        if path.exists():
            continue
        clip = SimulatedClips(scenario, split, config.seed, config.clips, config.shape).clips([number])
        temporary = path.with_name(f".{path.stem}.part.mp4")
        with writing(path):
            write_mp4(temporary, clip.frames[0, : config.context_frames], config.shape.fps)
            temporary.replace(path)
    rest = config.shape.num_frames - config.context_frames
    print(
        f"{folder}: {len(every)} contexts of {config.context_frames} frames at {config.shape.fps:g} a second. Continue "
        f"each by {rest} frames, in a folder of their own and under the same names, and measure these with\n"
        f"python eval/run_physics.py --config {arguments.config} models.mine=videos:THAT_FOLDER"
        + "".join(f" {override}" for override in arguments.overrides)
    )


CONTEXTS = Command(_add_arguments, _run)
