"""What somebody's model promises, tried out: on a few clips of every evaluation, and by `vidworld check-world` before.

Each clip's answer follows from its own frames and seed: not from its name, its place, what else is in the batch, or
what was asked before.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor

from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.models import KINDS, RUN, Spec
from vidworld.models.external import ExternalModel
from vidworld.models.external.foreign import first_line
from vidworld.models.external.videos import Videos
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.simulation.quadruplets import Quadruplets, quadruplets

SEEDS = (11, 12)  # of the clips that check-world tries a model on
NEAR = 1e-3  # relative difference up to which surprise may depend on what else is in the batch: rounding
NEAR_LEVELS = 2  # of 255: the same of frames
LOOSER = 10  # times as much where kernels depend on the batch and sum in any order, as those of GPUs do
OTHER_NAMES = ("another", "yet another")
MOST_FRAMES_OF_CLIP = 256  # of a clip that check-world makes: the scenes of longer ones leave the picture
MOST_PIXELS = 2**24  # of such a clip, over all its frames: 16 of 1024 x 1024 are as many

_Ask = Callable[[Sequence[int], Sequence[str], Sequence[int]], Tensor]
"""The model's answer about the clips of these places, under these names and with these seeds."""


def broken_by_predict(
    model: ExternalModel, context: Clips, num_frames: int, seeds: Sequence[int], exact: bool = True
) -> Iterator[str]:
    """A line for each promise that `predict` breaks on these clips, one or two; none where all are kept.

    exact: whether equal calls must give equal frames to the last bit. Raises what the model raises.
    """

    def ask(places: Sequence[int], names: Sequence[str], seeds: Sequence[int]) -> Tensor:
        return model.frames(_named(context, places, names), num_frames, seeds).cpu()

    def near(one: Tensor, other: Tensor) -> bool:
        return bool((one.int() - other.int()).abs().max() <= NEAR_LEVELS * (1 if exact else LOOSER))

    yield from _broken("predict", "frames", ask, context.identity, seeds, near, exact)


def broken_by_surprise(
    model: ExternalModel, clips: Clips, context_frames: int, seeds: Sequence[int], exact: bool = True
) -> Iterator[str]:
    """The same of `surprise`; besides, clips of equal seed share what is random."""

    def ask(places: Sequence[int], names: Sequence[str], seeds: Sequence[int]) -> Tensor:
        return model.surprise_by_frame(_named(clips, places, names), context_frames, seeds)

    def near(one: Tensor, other: Tensor) -> bool:
        most = NEAR * (1 if exact else LOOSER) * one.abs().max().clamp_min(1e-12)
        return bool((one - other).abs().max() <= most)

    yield from _broken("surprise", "numbers", ask, clips.identity, seeds, near, exact)
    equal = ask([0, 0], [clips.identity[0], OTHER_NAMES[0]], [seeds[0]] * 2)
    if not near(equal[:1], equal[1:]):
        yield "surprise: one clip twice with one seed has two surprises; clips of equal seed share what is random"


def _broken(
    method: str,
    what: str,
    ask: _Ask,
    names: Sequence[str],
    seeds: Sequence[int],
    near: Callable[[Tensor, Tensor], bool],
    exact: bool,
) -> Iterator[str]:
    places = range(len(names))
    first, again = ask(places, names, seeds), ask(places, names, seeds)
    if not (torch.equal(first, again) if exact else near(first, again)):
        yield f"{method}: the same clips and seeds gave other {what} the second time; draw from generators of the seeds"
    elif not near(first.flip(0), ask(places[::-1], OTHER_NAMES[: len(names)], list(reversed(seeds)))):
        yield f"{method}: the same clips gave other {what} in another order and under other names"
    if len(names) > 1 and not near(first[:1], ask([0], names[:1], seeds[:1])):
        yield f"{method}: a clip alone gave other {what} than beside another; each clip has a seed of its own"


def _named(clips: Clips, places: Sequence[int], names: Sequence[str]) -> Clips:
    return replace(clips.at(torch.tensor(list(places))), identity=tuple(names))


# --- `vidworld check-world KIND:PATH` ---


def faults(model: ExternalModel, made: Quadruplets) -> Iterator[str]:
    """A line for each promise of the protocol that is broken, and none where all are kept."""
    clips, start = made.a.shown, made.splice_frame
    context, horizon = replace(clips, frames=clips.frames[:, :start]), clips.frames.shape[1] - start
    other = replace(clips, frames=made.a_then_b.frames)  # differs after the context alone

    def of_predict() -> Iterator[str]:
        broken = list(broken_by_predict(model, context, horizon, SEEDS))
        yield from broken or _sees_the_future(model, context, horizon, other)

    def of_surprise() -> Iterator[str]:
        yield from broken_by_surprise(model, clips, start, SEEDS)
        if torch.equal(*(model.surprise_by_frame(each, start, SEEDS) for each in (clips, other))):
            yield "surprise: other frames after the context changed nothing: it does not look at what came"

    offered = {"predict": (model.predicts, of_predict), "surprise": (model.is_surprised, of_surprise)}
    for method, (is_offered, check) in offered.items():
        try:
            if is_offered:
                yield from check()
        except UserError as error:  # ours, which begins with the model's name, or the model's own
            said = first_line(error).removeprefix(f"{type(error).__name__}: ")
            yield said if said.startswith(f"{model.name}: ") else f"{method}: failed with {first_line(error)}"
        except Exception as error:  # whatever somebody else's code raises
            yield f"{method}: failed with {first_line(error)}"


def _sees_the_future(model: ExternalModel, context: Clips, horizon: int, other: Clips) -> Iterator[str]:
    first = model.frames(context, horizon, SEEDS)
    if model.is_surprised:  # a model that keeps what it was shown there knows the future of such a clip
        with suppress(Exception):
            model.surprise_by_frame(other, context.frames.shape[1], SEEDS)
    if not torch.equal(first, model.frames(context, horizon, SEEDS)):
        yield "predict: other frames after the context changed the prediction: it sees the future"


def notes(model: ExternalModel, made: Quadruplets) -> Iterator[str]:
    """What such a model is not measured by, or cannot show."""
    if not model.predicts:
        yield "it has no predict: it is measured by surprise alone"
    if not model.is_surprised:
        yield "it has no surprise: it is measured by rollouts alone"
    elif torch.equal(*(model.surprise_by_frame(clips, made.splice_frame, SEEDS) for clips in (made.a, made.b_then_a))):
        yield "its surprise is the same after another past: laws will read 0.50"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    usual, add = ClipShape(), parser.add_argument
    add("world", metavar="KIND:PATH", help="vjepa2:FOLDER, diffusers:FOLDER, videos:FOLDER or python:module.ClassName")
    add("--height", type=int, default=usual.height_px, metavar="PIXELS", help="(default: %(default)s)")
    add("--width", type=int, default=usual.width_px, metavar="PIXELS", help="(default: %(default)s)")
    add("--num-frames", type=int, default=usual.num_frames, help="of a clip (default: %(default)s)")
    add("--context-frames", type=int, default=8, help="of them shown (default: %(default)s)")
    add("--steps", type=int, default=2, help="of a diffusion model's sampler (default: %(default)s)")


def _check_sizes(arguments: argparse.Namespace) -> None:
    """Raise UserError: a size is no size, or such clips would not fit into memory."""
    for name in ("height", "width", "num_frames", "steps"):
        if (value := getattr(arguments, name)) <= 0:
            raise UserError(f"--{name.replace('_', '-')} {value}: must be more than 0")
    if arguments.num_frames > MOST_FRAMES_OF_CLIP:
        raise UserError(f"--num-frames {arguments.num_frames}: are too many; at most {MOST_FRAMES_OF_CLIP} would do")
    if (pixels := arguments.num_frames * arguments.height * arguments.width) > MOST_PIXELS:
        size = f"--height {arguments.height} --width {arguments.width} --num-frames {arguments.num_frames}"
        raise UserError(f"{size}: are {pixels:,} pixels a clip; at most {MOST_PIXELS:,} would do")


def _run(arguments: argparse.Namespace) -> None:
    context, total, size = arguments.context_frames, arguments.num_frames, (arguments.height, arguments.width)
    _check_sizes(arguments)
    shape = ClipShape(num_frames=total, height_px=size[0], width_px=size[1])
    if not 0 < context < total:
        raise UserError(f"--context-frames {context}: must lie between 0 and --num-frames {total}")
    chunk = next(frames for frames in (4, 2, 1) if context % frames == total % frames == 0)
    spec = Spec.parse(arguments.world)
    if spec.kind == RUN:
        raise UserError(f"{spec.path}: is no KIND:PATH; there are {', '.join(KINDS)}")
    model = KINDS[spec.kind](spec.path, torch.device("cpu"), arguments.steps)
    world = ExternalModel(spec.name, model, FrameTokenizer(chunk, *size))
    if isinstance(world.model, Videos):
        what = f"a folder of {len(list(world.model.folder.glob('*.mp4')))} clips, measured by rollouts alone"
        print(f"{world.name}: {what}; eval/run_physics.py names those that are missing")
        return
    world.fingerprint()
    made = quadruplets("momentum", "id", 0, range(2), splice_frame=context, shape=shape)
    if found := list(faults(world, made)):
        raise UserError("\n".join(f"{world.name}: {line.removeprefix(f'{world.name}: ')}" for line in found))
    for line in notes(world, made):
        print(f"{world.name}: {line}")
    offered = " and ".join(name for name, has in (("predict", world.predicts), ("surprise", world.is_surprised)) if has)
    print(f"{world.name}: keeps the protocol with {offered}")


CHECK_WORLD = Command(_add_arguments, _run)
