"""Other people's models as world models: what one has to offer, and those that are a class of Python.

A model sees and gives frames: no token, no chunk, no true track, nothing of ours. It may offer either method or both.
What it predicts is encoded with the bench's tokenizer like a baseline's frames, so that it passes through the readouts
of all models.
"""

import importlib
import inspect
import operator
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Clips, Frames
from vidworld.core.errors import UserError
from vidworld.models.external.foreign import first_line, foreign
from vidworld.models.external.videos import Videos
from vidworld.models.tokenizers import Tokenizer
from vidworld.models.world_model import Encoded, Futures, Rollout, check_numbers, tokens_of_future

METHODS = {"predict": ("context", "num_frames", "seeds"), "surprise": ("clips", "context_frames", "seeds")}
"""What a model may offer, and what each is called with, in this order.

predict: the frames after those of the context (`Clips`) and of their size, uint8, (clip, num_frames, 3, height, width).
    Each clip has a seed of its own for what is random. A model that acts takes `actions` besides: what is done before
    each of these frames, float, (clip, num_frames, action); what was done before is in the context (`Clips.actions`).
surprise: how badly each frame of the clips (`Clips`) from `context_frames` on was predicted, given the true frames
    before it: float, (clip, frame); higher is worse. Clips of equal seed share what is random, so that their numbers
    can be compared.

A model may let others look into it besides (eval/run_probes.py):

hidden_states(clips, chunk_frames): what it holds after each chunk of so many frames, from these and those before alone:
    float, (clip, chunk, layer, row, column, channel), over a grid of its own that covers the picture.

Names of clips and seeds are digests of the frames that are shown. A clip's answer depends on its frames and seed alone.
"""


class ExternalModel:
    """Somebody else's model as a world model of ours: what it offers is called, and what it answers is checked."""

    def __init__(self, name: str, model: Any, tokenizer: Tokenizer) -> None:
        """Raises UserError: the model offers neither method, or something that cannot be used as it has to be."""
        self.name, self.model, self.tokenizer = name, model, tokenizer
        self.tried: set[str] = set()  # methods that kept their promises on clips of this evaluation
        self.predicts, self.is_surprised = (callable(self.own(method)) for method in METHODS)
        if not self.predicts and not self.is_surprised:
            neither = " nor ".join(f"{method}({', '.join(takes)})" for method, takes in METHODS.items())
            raise UserError(f"{name}: {type(model).__name__} has neither {neither}")
        for method, arguments in METHODS.items():
            if callable(own := self.own(method)):
                try:
                    acting = ["actions"] if method == "predict" and self.acts else []
                    inspect.signature(own).bind(*arguments, *acting)
                except TypeError as error:
                    raise UserError(f"{name}: {method} must take ({', '.join(arguments)})") from error
                except ValueError:  # of something compiled nothing is known
                    pass
        self.samples = self._samples()
        """How many futures it has of a context, where it says so."""

    def _samples(self) -> int | None:
        if (samples := self.own("samples")) is None:
            return None
        with suppress(TypeError):
            if type(samples) is not bool and (count := operator.index(samples)) >= 1:
                return count
        raise UserError(f"{self.name}: samples is {samples!r}; a whole number from 1 on would do")

    def own(self, what: str) -> Any:
        """What the model offers under a name; None where there is none. Raises UserError: a property of it fails."""
        try:
            with foreign():
                return getattr(self.model, what, None)
        except Exception as error:  # of a property of somebody else's
            raise UserError(f"{self.name}: {what} failed with {first_line(error)}") from error

    def fingerprint(self) -> str:
        """What it says of weights that lie elsewhere than its class; empty where it says nothing.

        Raises UserError: it cannot be asked, or the answer differs in each process.
        """
        if not callable(own := self.own("fingerprint")):
            return ""
        try:
            with foreign():
                said = str(own())
        except Exception as error:
            raise UserError(f"{self.name}: fingerprint() failed with {first_line(error)}") from error
        if re.search(r"<.* at 0x[0-9a-f]+>", said):
            raise UserError(f"{self.name}: fingerprint() gave {said}, an address that is another one in each process")
        return said

    @property
    def reads_names(self) -> bool:
        """Whether it is given the clips' true names, by which files that were made elsewhere are found."""
        return type(self.model) is Videos  # and no class of the user's own that is one, too

    def check_clips(self, identities: Sequence[str]) -> None:
        """Raise UserError if these are files made elsewhere, and some clip's is missing."""
        if self.reads_names:
            self.model.check_clips(identities)

    @property
    def acts(self) -> bool:
        """Whether `predict` takes actions."""
        try:
            return self.predicts and "actions" in inspect.signature(self.model.predict).parameters
        except ValueError:  # it is compiled
            return False

    @torch.no_grad()
    def rollout(
        self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int], actions: Futures | None = None
    ) -> Rollout:
        """The model's frames as tokens; a model with `samples = 1` of its own gives one sample, however many are asked.

        Raises UserError: what the model gave are not frames of the shape that was asked for, or it takes no actions.
        """
        num_frames = horizon * self.tokenizer.patch_size[0]
        tokens = []
        if actions is not None:
            return self._under(actions, context, seeds)
        for sample in range(min(samples, self.samples or samples)):
            frames = self.frames(context.clips, num_frames, [seed + sample for seed in seeds])
            tokens.append(tokens_of_future(self.tokenizer, context, frames))
        stacked = torch.stack(tokens, dim=1)
        return Rollout(stacked, stacked)

    def _under(self, actions: Futures, context: Encoded, seeds: Sequence[int]) -> Rollout:
        """A future for each sample's actions, all in one batch."""
        if not self.acts:
            raise UserError(f"{self.name}: predict takes no actions; (context, num_frames, seeds, actions) would do")
        b, samples, horizon, _ = actions.shape
        number = torch.arange(b).repeat_interleave(samples)
        by_frame = rearrange(actions, "b s t (p a) -> (b s) (t p) a", p=self.tokenizer.patch_size[0]).float().cpu()
        repeated = Encoded(context.clips.at(number), context.tokens[number.to(context.tokens.device)])
        frames = self.frames(repeated.clips, by_frame.shape[1], [seeds[i] for i in number.tolist()], actions=by_frame)
        tokens = tokens_of_future(self.tokenizer, repeated, frames).unflatten(0, (b, samples))
        assert tokens.shape[2] == horizon
        return Rollout(tokens, tokens)

    @torch.no_grad()
    def frames(self, context: Clips, num_frames: int, seeds: Sequence[int], **done: Tensor) -> Frames:
        """What the model predicts. Raises UserError: it is no frames of the shape that was asked for."""
        # A copy: a slice of the whole clip's frames would still lead to those after it, and is not to be written to.
        shown = replace(context.shown, frames=context.frames.clone())
        wanted = (len(shown), num_frames, *shown.frames.shape[2:])
        with foreign():
            frames: Frames = self.model.predict(shown, num_frames, list(seeds), **done)
        self._check("predict", frames, wanted, "uint8", "clip, frame, colour, row, column")
        return frames.detach().clone()  # the model may write its next answer into the same memory

    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        """The mean over each chunk's frames. Raises UserError: there is no finite number for some clip and frame."""
        per_chunk = self.tokenizer.patch_size[0]
        by_frame = self.surprise_by_frame(seen.clips, context_length * per_chunk, seeds)
        return rearrange(by_frame, "b (t p) -> b t p", p=per_chunk).mean(dim=-1)

    @torch.no_grad()
    def surprise_by_frame(self, clips: Clips, context_frames: int, seeds: Sequence[int]) -> Float[Tensor, "clip frame"]:
        """At each frame after the context. Raises UserError: there is no finite number for some clip and frame."""
        shown = replace(clips.shown, frames=clips.frames.clone())
        with foreign():
            surprise: Tensor = self.model.surprise(shown, context_frames, list(seeds))
        wanted = (len(clips), clips.frames.shape[1] - context_frames)
        self._check("surprise", surprise, wanted, "floating-point", "clip, frame after the context")
        check_numbers(self.name, "surprise", clips.identity, surprise)
        return surprise.detach().float().cpu().clone()

    @torch.no_grad()
    def hidden_states(self, seen: Encoded) -> Float[Tensor, "clip chunk layer row column channel"]:
        """What the model holds after each chunk. Raises UserError: it does not say, or not in this shape."""
        own = self.own("hidden_states")
        if not callable(own):
            raise UserError(f"{self.name}: {type(self.model).__name__} has no hidden_states(clips, chunk_frames)")
        shown = replace(seen.clips.shown, frames=seen.clips.frames.clone())
        with foreign():
            states: Tensor = own(shown, self.tokenizer.patch_size[0])
        shape = tuple(states.shape) if isinstance(states, Tensor) and states.ndim == 6 else (0, 0, 1, 1, 1, 1)
        wanted = (*seen.tokens.shape[:2], *shape[2:])
        self._check("hidden_states", states, wanted, "floating-point", "clip, chunk, layer, row, column, channel")
        return states.detach().float().clone()

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
        with foreign():
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
        with foreign():
            return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"python:{path}: there is no module {error.name}; it is looked for in this folder and on PYTHONPATH"
        ) from error
    except Exception as error:  # whatever somebody else's module raises
        raise UserError(f"python:{path}: importing {module_name} failed ({first_line(error)})") from error
