"""The tools of an evaluation: tokenizer, trackers and probes, device and processes."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from torch import Tensor

from vidworld.analysis.statistics import Interval, interval
from vidworld.core.clip import Clips, Tracks
from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import Precision
from vidworld.core.errors import UserError
from vidworld.core.precision import precision
from vidworld.core.shapes import Frames
from vidworld.metrics.velocity import velocity_error
from vidworld.models.probe import Probe
from vidworld.models.tokenizers import Tokenizer
from vidworld.models.world_model import Encoded, Rollout, WorldModel
from vidworld.simulation.tracker import after_context, locate_discs, with_strangers

PROCESS_GROUP_TIMEOUT = timedelta(hours=2)
"""How long a process waits for the others, which have more or slower units: accelerate's 10 or 30 minutes are less
than one unit of somebody else's model can take."""


def evaluation_accelerator(mixed_precision: Precision = "auto") -> Accelerator:
    """The device and the processes of an evaluation."""
    patient = InitProcessGroupKwargs(timeout=PROCESS_GROUP_TIMEOUT)
    return Accelerator(mixed_precision=precision(mixed_precision), kwargs_handlers=[patient])


@dataclass(frozen=True)
class Evaluator:
    """What every model is measured with."""

    tokenizer: Tokenizer
    probes: Mapping[str, Probe]
    """By model; one that has none is read by that of the tokens, whose name is ''. Without that there are none."""
    accelerator: Accelerator
    context_frames: int
    seed: int

    @property
    def context_length(self) -> int:
        """Chunks of context."""
        return self.context_frames // self.tokenizer.patch_size[0]

    def check_shape(self, shape: ClipShape) -> None:
        """Raise UserError if context or clip are no whole chunks of the tokenizer."""
        chunk = self.tokenizer.patch_size[0]
        for name, count in (("context_frames", self.context_frames), ("shape.num_frames", shape.num_frames)):
            if count % chunk:
                raise UserError(f"{name} {count} is no multiple of the tokenizer's chunk of {chunk} frames; choose one")
        self.tokenizer.grid_of(shape.num_frames, shape.height_px, shape.width_px)

    def encode(self, clips: Clips) -> Encoded:
        """The clips with their tokens."""
        with self.accelerator.autocast():
            return Encoded(clips, self.tokenizer.encode(clips.frames.to(self.accelerator.device)))

    def decode(self, tokens: Tensor) -> Frames:
        with self.accelerator.autocast():
            return self.tokenizer.decode(tokens).cpu()

    def decode_future(self, seen: Encoded, future: Tensor) -> Frames:
        """The frames of predicted chunks; a tokenizer that remembers is given the context's chunks first."""
        if not self.tokenizer.remembers:
            return self.decode(future)
        context = seen.tokens[:, : self.context_length].to(future)
        return self.decode(torch.cat((context, future), dim=1))[:, self.context_frames :]

    def roll_out(self, model: WorldModel, seen: Encoded, samples: int = 1) -> Rollout:
        """The model's prediction of all chunks after the context."""
        horizon = seen.tokens.shape[1] - self.context_length
        with self.accelerator.autocast():
            context, seeds = seen.chunks(0, self.context_length), self.seeds(seen.clips.identity)
            rollout = model.rollout(context, horizon, samples, seeds)
        return Rollout(rollout.embeddings.float(), rollout.tokens.float())

    def future_frames(self, model: WorldModel, seen: Encoded) -> Frames:
        """The frames that the model predicts after the context, in one sample."""
        return self.decode_future(seen, self.roll_out(model, seen).tokens[:, 0])

    def seeds(self, identities: Sequence[str]) -> list[int]:
        """A seed for each clip or quad, from its identity."""
        return [zlib.crc32(f"{self.seed}/{identity}".encode()) for identity in identities]

    def by_pixels(self, frames: Frames, truth: Tracks) -> Tracks:
        """Tracks of decoded frames of the horizon, after the context's true ones."""
        return after_context(locate_discs(frames, *with_strangers(truth)), truth, self.context_frames)

    def by_probe(self, model: str, embeddings: Tensor, truth: Tracks) -> Tracks:
        """Tracks of predicted embeddings, after the context's true ones."""
        probe = self.probes.get(model, self.probes[""])
        color, _ = with_strangers(truth)
        with self.accelerator.autocast():
            position = probe.locate(embeddings, color.to(embeddings.device)).cpu().float()
        return after_context(position, truth, self.context_frames)

    def mean_velocity_error(self, model: WorldModel, clips: Clips) -> Interval:
        """The world's velocity error by pixels over these clips, units/s, one future each."""
        truth = clips.tracks
        assert truth is not None
        frames = self.decode(self.roll_out(model, self.encode(clips)).tokens[:, 0])
        errors = velocity_error(self.by_pixels(frames, truth), truth, clips.dt_s, self.context_frames)
        return interval(np.asarray(errors)[None], bounds=(0, np.inf))
