"""Other people's models as world models: what one has to offer, those that are a class or files, and `check-world`.

A model sees and gives frames: no token, no chunk, no true track, nothing of ours. It may offer either method or both.
What it predicts is encoded with the bench's tokenizer like a baseline's frames, so that it passes through the readouts
of all models.
"""

import argparse
import importlib
import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Clips, Frames
from vidworld.core.clip_shape import ClipShape
from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.models import KINDS, RUN, Spec
from vidworld.models.tokenizers import FrameTokenizer, Tokenizer
from vidworld.models.world_model import Encoded, Rollout, tokens_of_future
from vidworld.simulation.quadruplets import Quadruplets, quadruplets

METHODS = {"predict": ("context", "num_frames", "seeds"), "surprise": ("clips", "context_frames", "seeds")}
"""What a model may offer, and what each is called with, in this order.

predict: the frames after those of the context (`Clips`) and of their size, uint8, (clip, num_frames, 3, height, width).
    Each clip has a seed of its own for what is random.
surprise: how badly each frame of the clips (`Clips`) from `context_frames` on was predicted, given the true frames
    before it: float, (clip, frame); higher is worse. Clips of equal seed share what is random, so that their numbers
    can be compared.
"""
NAMED = 5  # missing files that a message names
SEEDS = (11, 12)  # of the clips that check-world tries a model on
NEAR = 1e-3  # relative difference up to which surprise may depend on what else is in the batch: rounding


class ExternalModel:
    def __init__(self, name: str, model: Any, tokenizer: Tokenizer) -> None:
        """Raises UserError: the model offers neither method, or one that cannot be called with what it is given."""
        self.name, self.model, self.tokenizer = name, model, tokenizer
        self.predicts, self.is_surprised = (callable(getattr(model, method, None)) for method in METHODS)
        if not self.predicts and not self.is_surprised:
            neither = " nor ".join(f"{method}({', '.join(takes)})" for method, takes in METHODS.items())
            raise UserError(f"{name}: {type(model).__name__} has neither {neither}")
        for method, arguments in METHODS.items():
            if callable(own := getattr(model, method, None)):
                try:
                    inspect.signature(own).bind(*arguments)
                except TypeError as error:
                    raise UserError(f"{name}: {method} must take ({', '.join(arguments)})") from error
                except ValueError:  # of something compiled nothing is known
                    pass

    def check_clips(self, identities: Sequence[str]) -> None:
        """Raise UserError if the model cannot continue all of these clips, as it says itself (videos may lack some)."""
        if callable(check := getattr(self.model, "check_clips", None)):
            check(identities)

    @torch.no_grad()
    def rollout(self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int]) -> Rollout:
        """The model's frames as tokens; a model with `samples = 1` of its own gives one sample, however many are asked.

        Raises UserError: what the model gave are not frames of the shape that was asked for.
        """
        num_frames = horizon * self.tokenizer.patch_size[0]
        # A copy: a slice of the whole clip's frames would still lead to those after it.
        shown = replace(context.clips.shown, frames=context.clips.frames.clone())
        wanted = (len(shown), num_frames, *shown.frames.shape[2:])
        tokens = []
        for sample in range(min(samples, getattr(self.model, "samples", samples))):
            frames = self.model.predict(shown, num_frames, [seed + sample for seed in seeds])
            self._check("predict", frames, wanted, "uint8", "clip, frame, colour, row, column")
            tokens.append(tokens_of_future(self.tokenizer, context, frames))
        stacked = torch.stack(tokens, dim=1)
        return Rollout(stacked, stacked)

    @torch.no_grad()
    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        """The mean over each chunk's frames. Raises UserError: there is no finite number for some clip and frame."""
        per_chunk = self.tokenizer.patch_size[0]
        context_frames = context_length * per_chunk
        surprise: Tensor = self.model.surprise(seen.clips.shown, context_frames, seeds)
        wanted = (len(seen.clips), seen.clips.frames.shape[1] - context_frames)
        self._check("surprise", surprise, wanted, "floating-point", "clip, frame after the context")
        if not bool(surprise.isfinite().all()):
            raise UserError(f"{self.name}: surprise gave values that are not finite")
        return rearrange(surprise.float().cpu(), "b (t p) -> b t p", p=per_chunk).mean(dim=-1)

    def _check(self, method: str, given: object, wanted: tuple[int, ...], kind: str, axes: str) -> None:
        """Raise UserError if what a method gave is no tensor of this shape and of this kind of numbers."""
        what = f"a {type(given).__name__}"
        if isinstance(given, Tensor):
            dtype = str(given.dtype).removeprefix("torch.")
            if given.shape == wanted and kind in (dtype, "floating-point" if given.is_floating_point() else ""):
                return
            what = f"a {dtype} tensor of shape {tuple(given.shape)}"
        raise UserError(
            f"{self.name}: {method} gave {what}, where a {kind} tensor of shape {wanted} is needed ({axes})"
        )


def load_python(path: str, device: torch.device, steps: int) -> Any:
    """A `module.ClassName()`; modules of the current folder are found. Raises UserError: there is none, or it fails."""
    module_name, _, class_name = path.rpartition(".")
    kind = getattr(module_of(path), class_name, None)
    if kind is None:
        raise UserError(f"python:{path}: the module {module_name} has no {class_name}")
    try:
        return kind()
    except Exception as error:
        raise UserError(f"python:{path}: {class_name}() failed ({first_line(error)})") from error


def module_of(path: str) -> ModuleType:
    """The module of `module.ClassName`. Raises UserError: there is none, or it cannot be imported."""
    module_name = path.rpartition(".")[0]
    if not module_name:
        raise UserError(f"python:{path}: is no module.ClassName")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"python:{path}: there is no module {error.name}; it is looked for in this folder and on PYTHONPATH"
        ) from error
    except Exception as error:  # whatever somebody else's module raises
        raise UserError(f"python:{path}: importing {module_name} failed ({first_line(error)})") from error


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


class Videos:
    """Clips that were made elsewhere, each in a file that is named after the clip which it continues: rollouts only.

    Each file holds the whole clip (context and future, or more) or exactly the future, which its length tells. A file
    of another rate is read at the times of the clip's frames, one of another size is scaled.
    """

    samples = 1
    """One file a clip: how much the samples of its maker would differ cannot be seen."""

    def __init__(self, folder: str | Path, device: torch.device | None = None, steps: int = 0) -> None:
        """Raises UserError: there is no such folder, or no MP4 in it. Device and steps are a network's."""
        self.folder = folder = Path(folder)
        if not folder.is_dir():
            raise UserError(
                f"{folder}: there is no such folder; `vidworld data contexts` writes what is to be continued"
            )
        if not any(folder.glob("*.mp4")):
            raise UserError(f"{folder}: holds no .mp4 file; a clip's is named as in {file_name('uniform/id/0/17')}")

    def check_clips(self, identities: Sequence[str]) -> None:
        """Raise UserError if files of clips are missing, and name the first of them."""
        missing = [name for name in map(file_name, identities) if not (self.folder / name).is_file()]
        if missing:
            more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
            raise UserError(
                f"{self.folder}: lacks {len(missing)} of {len(identities)} clips: {', '.join(missing[:NAMED])}{more}"
            )

    def predict(self, context: Clips, num_frames: int, seeds: Sequence[int]) -> Frames:
        """The end of each clip's file. Raises UserError: one is missing, cannot be read, or is too short."""
        self.check_clips(context.identity)
        seen, size = context.frames.shape[1], context.frames.shape[-2:]
        paths = [self.folder / file_name(identity) for identity in context.identity]
        return torch.stack([_scaled(self._read(path, seen, num_frames, context.fps), size) for path in paths])

    def _read(self, path: Path, seen: int, num_frames: int, fps: float) -> Tensor:
        try:
            with av.open(str(path)) as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                rate = float(stream.average_rate or fps)
                frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        except (av.FFmpegError, OSError, IndexError) as error:
            raise UserError(f"{path}: cannot be read as a video ({str(error) or type(error).__name__})") from error
        step = rate / fps if fps > 0 else 1.0  # a batch of several rates has none (NaN): then frame for frame
        whole, future = ([round((first + i) * step) for i in range(num_frames)] for first in (seen, 0))
        if whole[-1] < len(frames):
            numbers = whole
        elif future[-1] < len(frames) <= round(num_frames * step):
            numbers = future
        else:
            raise UserError(
                f"{path}: {len(frames)} frames at {rate:g} a second are neither the whole clip, "
                f"{seen + num_frames} frames at {fps:g}, nor its future, {num_frames}"
            )
        return torch.stack([torch.from_numpy(frames[number]) for number in numbers]).permute(0, 3, 1, 2)


def file_name(identity: str) -> str:
    """The file that continues the clip of this identity: `uniform/id/0/17` is uniform_id_0_17.mp4."""
    return f"{identity.replace('/', '_')}.mp4"


def _scaled(frames: Tensor, size: Sequence[int]) -> Tensor:
    if frames.shape[-2:] != tuple(size):
        scaled = F.interpolate(frames.float(), tuple(size), mode="bilinear", antialias=True, align_corners=False)
        frames = scaled.round().clamp(0, 255).to(torch.uint8)
    return frames


def faults(model: ExternalModel, made: Quadruplets) -> Iterator[str]:
    """A line for each promise of the protocol that is broken, and none where all are kept."""
    checks = {"predict": (model.predicts, _of_predict), "surprise": (model.is_surprised, _of_surprise)}
    for method, (is_offered, check) in checks.items():
        try:
            if is_offered:  # the second clips differ after the context alone
                yield from check(model, made.a, replace(made.a, frames=made.a_then_b.frames), made.splice_frame)
        except UserError as error:
            yield str(error)
        except Exception as error:  # whatever somebody else's code raises
            yield f"{method}: failed with {first_line(error)}"


def notes(model: ExternalModel, made: Quadruplets) -> Iterator[str]:
    if not model.predicts:
        yield "it has no predict: it is measured by surprise alone"
    if not model.is_surprised:
        yield "it has no surprise: it is measured by rollouts alone"
    elif torch.equal(*(_surprise(model, clips, made.splice_frame) for clips in (made.a, made.b_then_a))):
        yield "its surprise is the same after another past: laws will read 0.50"


def _of_predict(model: ExternalModel, clips: Clips, other_future: Clips, context_frames: int) -> Iterator[str]:
    def predicted(of: Clips) -> Tensor:
        context, horizon = replace(of, frames=of.frames[:, :context_frames]), of.frames.shape[1] - context_frames
        seen, chunks = _seen(model, context), horizon // model.tokenizer.patch_size[0]
        return model.rollout(seen, chunks, 1, SEEDS[: len(of)]).tokens

    first, again = predicted(clips), predicted(clips)
    if model.is_surprised:  # a model that keeps what it was shown there knows the future of a clip of this name
        with suppress(Exception):
            _surprise(model, other_future, context_frames)
    if not torch.equal(first, again):
        yield "predict: the same context and seeds gave other frames the second time; draw from generators of the seeds"
    elif not torch.equal(first, predicted(other_future)):
        yield "predict: other frames after the context changed the prediction: it sees the future"
    if (predicted(clips.at(slice(0, 1))) - first[:1]).abs().max() > 2 * 2 / 255:
        yield "predict: a clip alone is continued otherwise than beside another; each clip has a seed of its own"


def _of_surprise(model: ExternalModel, clips: Clips, other_future: Clips, context_frames: int) -> Iterator[str]:
    first = _surprise(model, clips, context_frames)
    if not torch.equal(first, _surprise(model, clips, context_frames)):
        yield "surprise: the same clips and seeds gave other numbers the second time; draw from generators of the seeds"
    if torch.equal(first, _surprise(model, other_future, context_frames)):
        yield "surprise: other frames after the context changed nothing: it does not look at what came"
    one = _surprise(model, clips.at(slice(0, 1)), context_frames, SEEDS[:1])
    if (one - first[:1]).abs().max() > NEAR * first.abs().max().clamp_min(1e-12):
        yield "surprise: a clip alone has another surprise than beside another; each clip has a seed of its own"
    twice = Clips(clips.frames[:1].repeat(2, 1, 1, 1, 1), clips.fps, (clips.identity[0], f"{clips.identity[0]}/again"))
    equal = _surprise(model, twice, context_frames, (SEEDS[0], SEEDS[0]))
    if (equal[0] - equal[1]).abs().max() > NEAR * equal.abs().max().clamp_min(1e-12):
        yield "surprise: one clip twice with one seed has two surprises; clips of equal seed share what is random"


def _surprise(model: ExternalModel, clips: Clips, context_frames: int, seeds: Sequence[int] = SEEDS) -> Tensor:
    return model.surprise(_seen(model, clips), context_frames // model.tokenizer.patch_size[0], seeds)


def _seen(model: ExternalModel, clips: Clips) -> Encoded:
    return Encoded(clips.shown, model.tokenizer.encode(clips.frames))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    usual, add = ClipShape(), parser.add_argument
    add("world", metavar="KIND:PATH", help="vjepa2:FOLDER, diffusers:FOLDER, videos:FOLDER or python:module.ClassName")
    add("--height", type=int, default=usual.height_px, metavar="PIXELS", help="(default: %(default)s)")
    add("--width", type=int, default=usual.width_px, metavar="PIXELS", help="(default: %(default)s)")
    add("--num-frames", type=int, default=usual.num_frames, help="of a clip (default: %(default)s)")
    add("--context-frames", type=int, default=8, help="of them shown (default: %(default)s)")
    add("--steps", type=int, default=2, help="of a diffusion model's sampler (default: %(default)s)")


def _run(arguments: argparse.Namespace) -> None:
    context, total, size = arguments.context_frames, arguments.num_frames, (arguments.height, arguments.width)
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
    made = quadruplets("momentum", "id", 0, range(2), splice_frame=context, shape=shape)
    if found := list(faults(world, made)):
        raise UserError("\n".join(line if line.startswith(world.name) else f"{world.name}: {line}" for line in found))
    for line in notes(world, made):
        print(f"{world.name}: {line}")
    offered = " and ".join(name for name, has in (("predict", world.predicts), ("surprise", world.is_surprised)) if has)
    print(f"{world.name}: keeps the protocol with {offered}")


CHECK_WORLD = Command(_add_arguments, _run)
