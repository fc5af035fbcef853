"""`vidworld check-world`: every promise of the protocol that a model breaks, tried on a few small clips."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.models import KINDS, RUN, Spec
from vidworld.models.external.protocol import ExternalModel
from vidworld.models.external.videos import Videos
from vidworld.models.tokenizers.tokenizer import FrameTokenizer
from vidworld.models.world_model import Encoded
from vidworld.simulation.quadruplets import Quadruplets, quadruplets

SEEDS = (11, 12)
NEAR = 1e-3
"""Relative difference up to which surprise may depend on what else is in the batch: rounding."""


def faults(model: ExternalModel, setting: ClipShape, context_frames: int) -> Iterator[str]:
    """A line for each promise that is broken, and none where all are kept."""
    made = _clips(setting, context_frames)
    a, b = made.a, made.b
    other_future = replace(a, frames=torch.cat((a.frames[:, :context_frames], b.frames[:, context_frames:]), dim=1))
    if model.predicts:
        yield from _of_predict(model, a, other_future, context_frames)
    if model.is_surprised:
        yield from _of_surprise(model, a, other_future, context_frames)


def notes(model: ExternalModel, setting: ClipShape, context_frames: int) -> Iterator[str]:
    if not model.predicts:
        yield "it has no predict: it is measured by surprise alone"
    if not model.is_surprised:
        yield "it has no surprise: it is measured by rollouts alone"
        return
    made, context = _clips(setting, context_frames), _chunks(model, context_frames)
    same, other = (model.surprise(_seen(model, clips), context, SEEDS) for clips in (made.a, made.b_then_a))
    if torch.equal(same, other):
        yield "its surprise is the same after another past: laws will read 0.50"


def _of_predict(model: ExternalModel, clips: Clips, other_future: Clips, context_frames: int) -> Iterator[str]:
    num_frames = clips.frames.shape[1] - context_frames

    def predicted(of: Clips, seeds: Sequence[int]) -> Tensor:
        context = _seen(model, replace(of, frames=of.frames[:, :context_frames], tracks=None))
        return model.rollout(context, _chunks(model, num_frames), 1, seeds).tokens

    first, fault = _tried("predict", lambda: predicted(clips, SEEDS))
    if first is None:
        yield fault
        return
    again = predicted(clips, SEEDS)
    if model.is_surprised:  # a model that keeps what it was shown there knows the future of a clip of this name
        _tried("surprise", lambda: model.surprise(_seen(model, other_future), _chunks(model, context_frames), SEEDS))
    if not torch.equal(first, again):
        yield "predict: the same context and seeds gave other frames the second time; draw from generators of the seeds"
    elif not torch.equal(first, predicted(other_future, SEEDS)):
        yield "predict: other frames after the context changed the prediction: it sees the future"
    one = predicted(clips.at(slice(0, 1)), SEEDS[:1])
    if (one - first[:1]).abs().max() > 2 * 2 / 255:
        yield "predict: a clip alone is continued otherwise than beside another; each clip has a seed of its own"


def _of_surprise(model: ExternalModel, clips: Clips, other_future: Clips, context_frames: int) -> Iterator[str]:
    def surprise(of: Clips, seeds: Sequence[int]) -> Tensor:
        return model.surprise(_seen(model, of), _chunks(model, context_frames), seeds)

    first, fault = _tried("surprise", lambda: surprise(clips, SEEDS))
    if first is None:
        yield fault
        return
    if not torch.equal(first, surprise(clips, SEEDS)):
        yield "surprise: the same clips and seeds gave other numbers the second time; draw from generators of the seeds"
    if torch.equal(first, surprise(other_future, SEEDS)):
        yield "surprise: other frames after the context changed nothing: it does not look at what came"
    one = surprise(clips.at(slice(0, 1)), SEEDS[:1])
    if (one - first[:1]).abs().max() > NEAR * first.abs().max().clamp_min(1e-12):
        yield "surprise: a clip alone has another surprise than beside another; each clip has a seed of its own"
    twice = Clips(clips.frames[:1].repeat(2, 1, 1, 1, 1), clips.fps, (clips.identity[0], f"{clips.identity[0]}/again"))
    equal = surprise(twice, (SEEDS[0], SEEDS[0]))
    if (equal[0] - equal[1]).abs().max() > NEAR * equal.abs().max().clamp_min(1e-12):
        yield "surprise: one clip twice with one seed has two surprises; clips of equal seed share what is random"


def _tried(method: str, call: Callable[[], Tensor]) -> tuple[Tensor | None, str]:
    """What the call gave, or the line that says why it gave nothing."""
    try:
        return call(), ""
    except UserError as error:
        return None, str(error)
    except Exception as error:  # whatever somebody else's code raises
        return None, f"{method}: failed with {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _clips(setting: ClipShape, context_frames: int) -> Quadruplets:
    return quadruplets("momentum", "id", 0, range(2), splice_frame=context_frames, shape=setting)


def _seen(model: ExternalModel, clips: Clips) -> Encoded:
    bare = replace(clips, tracks=None)
    return Encoded(bare, model.tokenizer.encode(bare.frames))


def _chunks(model: ExternalModel, frames: int) -> int:
    return frames // model.tokenizer.patch_size[0]


def tokenizer_for(setting: ClipShape, context_frames: int) -> FrameTokenizer:
    """Chunks of as many frames as divide context and clip. Raises UserError: the context leaves nothing to predict."""
    if not 0 < context_frames < setting.num_frames:
        raise UserError(f"--context-frames {context_frames}: must lie between 0 and --num-frames {setting.num_frames}")
    frames = next(n for n in (4, 2, 1) if context_frames % n == setting.num_frames % n == 0)
    return FrameTokenizer(frames, setting.height_px, setting.width_px)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    usual, add = ClipShape(), parser.add_argument
    kinds = "vjepa2:FOLDER, diffusers:FOLDER, videos:FOLDER or python:module.ClassName"
    add("world", metavar="KIND:PATH", help=kinds)
    add("--height", type=int, default=usual.height_px, metavar="PIXELS", help="(default: %(default)s)")
    add("--width", type=int, default=usual.width_px, metavar="PIXELS", help="(default: %(default)s)")
    add("--num-frames", type=int, default=usual.num_frames, help="of a clip (default: %(default)s)")
    add("--context-frames", type=int, default=8, help="of them shown (default: %(default)s)")
    add("--steps", type=int, default=2, help="of a diffusion model's sampler (default: %(default)s)")


def _run(arguments: argparse.Namespace) -> None:
    setting = ClipShape(num_frames=arguments.num_frames, height_px=arguments.height, width_px=arguments.width)
    tokenizer = tokenizer_for(setting, arguments.context_frames)
    spec = Spec.parse(arguments.world)
    if spec.kind == RUN:
        raise UserError(f"{spec.path}: is no KIND:PATH; there are {', '.join(KINDS)}")
    model = KINDS[spec.kind](spec.path, torch.device("cpu"), arguments.steps)
    world = ExternalModel(spec.name, model, tokenizer)
    if isinstance(world.model, Videos):
        what = f"a folder of {len(list(world.model.folder.glob('*.mp4')))} clips, measured by rollouts alone"
        print(f"{world.name}: {what}; eval/run_physics.py names those that are missing")
        return
    if found := list(faults(world, setting, arguments.context_frames)):
        raise UserError("\n".join(line if line.startswith(world.name) else f"{world.name}: {line}" for line in found))
    for line in notes(world, setting, arguments.context_frames):
        print(f"{world.name}: {line}")
    offered = " and ".join(name for name, has in (("predict", world.predicts), ("surprise", world.is_surprised)) if has)
    print(f"{world.name}: keeps the protocol with {offered}")


CHECK_WORLD = Command(_add_arguments, _run)
