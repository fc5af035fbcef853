"""What somebody else's model has to offer, and how that becomes a world model.

It sees and gives frames: no token, no chunk, no true track, nothing of ours. It may offer either method or both. What
it predicts is encoded with the bench's tokenizer like a baseline's frames, so that it passes through the readouts of
all models.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Clips
from vidworld.core.errors import UserError
from vidworld.models.tokenizers.tokenizer import Tokenizer
from vidworld.models.world_model import Encoded, Rollout, tokens_of_future

Load = Callable[[str, torch.device, int], Any]
"""The model at a path, on a device, with so many sampling steps."""
METHODS = {"predict": ("context", "num_frames", "seeds"), "surprise": ("clips", "context_frames", "seeds")}
"""What a model may offer, and what each is called with, in this order.

predict: the frames after those of the context (`Clips`) and of their size, uint8, (clip, num_frames, 3, height, width).
    Each clip has a seed of its own for what is random.
surprise: how badly each frame of the clips (`Clips`) from `context_frames` on was predicted, given the true frames
    before it: float, (clip, frame); higher is worse. Clips of equal seed share what is random, so that their numbers
    can be compared.
"""


class ExternalModel:
    def __init__(self, name: str, model: Any, tokenizer: Tokenizer) -> None:
        """Raises UserError: the model offers neither method, or one that cannot be called with what it is given."""
        self.name, self.model, self.tokenizer = name, model, tokenizer
        self.predicts, self.is_surprised = (callable(getattr(model, method, None)) for method in METHODS)
        if not self.predicts and not self.is_surprised:
            neither = " nor ".join(f"{method}({', '.join(takes)})" for method, takes in METHODS.items())
            raise UserError(f"{name}: {type(model).__name__} has neither {neither}")
        for method, arguments in METHODS.items():
            if callable(own := getattr(model, method, None)) and not _takes(own, len(arguments)):
                raise UserError(f"{name}: {method} must take ({', '.join(arguments)})")

    def check_clips(self, identities: Sequence[str]) -> None:
        """Raise UserError if the model cannot continue all of these clips, as it says itself (videos may lack some)."""
        if callable(check := getattr(self.model, "check_clips", None)):
            check(identities)

    @torch.no_grad()
    def rollout(self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int]) -> Rollout:
        """The model's frames as tokens; a model with `samples = 1` of its own gives one sample, however many are asked.

        Raises UserError: what the model gave are not frames of the shape that was asked for.
        """
        count = min(samples, getattr(self.model, "samples", samples))
        num_frames = horizon * self.tokenizer.patch_size[0]
        # A copy: a slice of the whole clip's frames would still lead to those after it.
        shown = replace(context.clips, frames=context.clips.frames.clone(), tracks=None)
        tokens = []
        for sample in range(count):
            frames = self.model.predict(shown, num_frames, [seed + sample for seed in seeds])
            self._check_frames(frames, context.clips, num_frames)
            tokens.append(tokens_of_future(self.tokenizer, context, frames))
        stacked = torch.stack(tokens, dim=1)
        return Rollout(stacked, stacked)

    @torch.no_grad()
    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        """The mean over each chunk's frames. Raises UserError: there is no finite number for some clip and frame."""
        per_chunk = self.tokenizer.patch_size[0]
        context_frames = context_length * per_chunk
        surprise = self.model.surprise(replace(seen.clips, tracks=None), context_frames, seeds)
        self._check_surprise(surprise, (len(seen.clips), seen.clips.frames.shape[1] - context_frames))
        by_chunk: Tensor = rearrange(surprise.float().cpu(), "b (t p) -> b t p", p=per_chunk).mean(dim=-1)
        return by_chunk

    def _check_frames(self, frames: object, context: Clips, num_frames: int) -> None:
        wanted = (len(context), num_frames, *context.frames.shape[2:])
        if not isinstance(frames, Tensor) or frames.dtype != torch.uint8 or frames.shape != wanted:
            raise UserError(
                f"{self.name}: predict gave {_said(frames)}, where a uint8 tensor of shape {wanted} is needed "
                "(clip, frame, colour, row, column)"
            )

    def _check_surprise(self, surprise: object, wanted: tuple[int, int]) -> None:
        if not isinstance(surprise, Tensor) or not surprise.is_floating_point() or surprise.shape != wanted:
            raise UserError(
                f"{self.name}: surprise gave {_said(surprise)}, where a floating-point tensor of shape {wanted} is "
                "needed (clip, frame after the context)"
            )
        if not bool(surprise.isfinite().all()):
            raise UserError(f"{self.name}: surprise gave values that are not finite")


def _takes(method: Callable[..., object], count: int) -> bool:
    try:
        inspect.signature(method).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # of something compiled nothing is known
        return True
    return True


def _said(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def load_python(path: str, device: torch.device, steps: int) -> Any:
    """A `module.ClassName()`; modules of the current folder are found. Raises UserError: there is none, or it fails."""
    module_name, _, class_name = path.rpartition(".")
    kind = getattr(module_of(path), class_name, None)
    if kind is None:
        raise UserError(f"python:{path}: the module {module_name} has no {class_name}")
    try:
        return kind()
    except Exception as error:
        raise UserError(f"python:{path}: {class_name}() failed ({_first_line(error)})") from error


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
        raise UserError(f"python:{path}: importing {module_name} failed ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
