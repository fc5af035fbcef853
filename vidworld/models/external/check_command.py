"""`vidworld check-world`: whether a model keeps the protocol, and which of its promises it breaks."""

import argparse

import torch

from vidworld.core.clip_shape import ClipShape
from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.models import KINDS
from vidworld.models.external.check import faults, notes, tokenizer_for
from vidworld.models.external.protocol import ExternalModel
from vidworld.models.external.videos import Videos
from vidworld.models.spec import RUN, Spec


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    usual = ClipShape()
    add = parser.add_argument
    what = "vjepa2:FOLDER, diffusers:FOLDER, videos:FOLDER or python:module.ClassName"
    add("world", metavar="KIND:PATH", help=what)
    add("--height", type=int, default=usual.height_px, metavar="PIXELS", help="(default: %(default)s)")
    add("--width", type=int, default=usual.width_px, metavar="PIXELS", help="(default: %(default)s)")
    add("--num-frames", type=int, default=usual.num_frames, help="of a clip (default: %(default)s)")
    add("--context-frames", type=int, default=8, help="of them shown (default: %(default)s)")
    add("--steps", type=int, default=2, help="of a diffusion model's sampler (default: %(default)s)")


def _run(arguments: argparse.Namespace) -> None:
    """Says what the model offers."""
    setting = ClipShape(num_frames=arguments.num_frames, height_px=arguments.height, width_px=arguments.width)
    tokenizer = tokenizer_for(setting, arguments.context_frames)
    spec = Spec.parse(arguments.world)
    if spec.kind == RUN:
        raise UserError(f"{spec.path}: is no KIND:PATH; there are {', '.join(KINDS)}")
    model = KINDS[spec.kind](spec.path, torch.device("cpu"), arguments.steps)
    world = ExternalModel(spec.name, model, tokenizer)
    if isinstance(world.model, Videos):
        count = len(list(world.model.folder.glob("*.mp4")))
        print(
            f"{world.name}: a folder of {count} clips, measured by rollouts alone; "
            "eval/run_physics.py names those that are missing"
        )
        return
    found = list(faults(world, setting, arguments.context_frames))
    if found:
        raise UserError("\n".join(line if line.startswith(world.name) else f"{world.name}: {line}" for line in found))
    for line in notes(world, setting, arguments.context_frames):
        print(f"{world.name}: {line}")
    offered = " and ".join(name for name, has in (("predict", world.predicts), ("surprise", world.is_surprised)) if has)
    print(f"{world.name}: keeps the protocol with {offered}")


CHECK_WORLD = Command(_add_arguments, _run)
