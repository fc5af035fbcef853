"""What an evaluation measures and with what: its subjects; tokenizer, trackers and probes, device and processes."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from jaxtyping import Float
from torch import Tensor

from vidworld.analysis.statistics import Interval, interval
from vidworld.core.clip import Clips, Frames, Tracks
from vidworld.core.config import Precision
from vidworld.core.errors import UserError
from vidworld.core.hardware import precision
from vidworld.core.records import fingerprint
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.metrics.velocity import velocity_error
from vidworld.models import KINDS, RUN, Spec
from vidworld.models.external import ExternalModel
from vidworld.models.families import FAMILIES
from vidworld.models.files import check_tokenizer, fingerprint_in, load_model, read_budget
from vidworld.models.oracle import Oracle
from vidworld.models.probe import Probe
from vidworld.models.tokenizers import FrameTokenizer, Tokenizer, load_tokenizer
from vidworld.models.world_model import Blind, ConstantVelocity, CopyLast, Encoded, FrameDifference, Rollout, WorldModel
from vidworld.simulation.tracker import after_context, locate_discs, with_strangers

BASELINES_VERSION = 1  # of all baselines and controls together; raised when one of them gives other values


def evaluation_accelerator(mixed_precision: Precision = "auto") -> Accelerator:
    """The device and the processes of an evaluation, which wait two hours for one another.

    Accelerate's 10 or 30 minutes are less than one unit of somebody else's model can take.
    """
    patient = InitProcessGroupKwargs(timeout=timedelta(hours=2))
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


def evaluator_of(config: PhysicsConfig, accelerator: Accelerator) -> Evaluator:
    """What all subjects of a configuration are measured with.

    Raises UserError, also where context or clip are no whole chunks of the tokenizer.
    """
    shape, probes = config.shape, {}
    tokenizer: Tokenizer = FrameTokenizer(config.chunk_frames, shape.height_px, shape.width_px)
    if config.tokenizer is not None:
        tokenizer = load_tokenizer(config.tokenizer).to(accelerator.device)
        for name, folder in _probes(config).items():
            check_tokenizer(folder, tokenizer.fingerprint())
            probes[name] = load_model(Probe, folder).to(accelerator.device)
    chunk = tokenizer.patch_size[0]
    counts = [("context_frames", config.context_frames), ("shape.num_frames", shape.num_frames)]
    counts += [("horizons", frames) for frames in config.horizons] + [
        ("contexts", frames) for frames in config.contexts
    ]
    for key, count in counts:
        if count % chunk:
            raise UserError(f"{key} {count} is no multiple of the tokenizer's chunk of {chunk} frames; choose one")
    tokenizer.grid_of(shape.num_frames, shape.height_px, shape.width_px)
    return Evaluator(tokenizer, probes, accelerator, config.context_frames, config.seed)


def tools_of(config: PhysicsConfig) -> dict[str, str | None]:
    """The fingerprints of tokenizer and probes, from their records alone."""
    folders = {"tokenizer": config.tokenizer, **{f"probe {n}": f for n, f in _probes(config).items()}}
    tools = {name: None if folder is None else fingerprint_in(folder) for name, folder in folders.items()}
    return tools if config.tokenizer else tools | {"chunk_frames": str(config.chunk_frames)}


def _probes(config: PhysicsConfig) -> dict[str, Path]:
    """Run folders of probes by model; that of the tokens is ''."""
    return ({"": config.probe} if config.probe is not None else {}) | dict(config.probes)


def located(
    frames: Frames, color: Float[Tensor, "clip object 3"], radius: Float[Tensor, "clip object"]
) -> Float[Tensor, "clip time object 2"]:
    """Where the discs are, a few clips at a time: three times faster than all at once, which no cache holds."""
    pieces = (each.split(5) for each in (frames, color, radius))
    return torch.cat([locate_discs(*piece) for piece in zip(*pieces, strict=True)])


@dataclass
class Subject:
    """What is measured: a model, a baseline or a control."""

    name: str  # in the results
    model: Any  # a `WorldModel`, or a `Scorer` where it does not roll out
    made_from: str  # the fingerprint of what its values depend on: weights, sampler, noise levels
    rolls_out: bool = True
    is_surprised: bool = True
    in_distribution_only: bool = False  # untrained networks are controls of the quadruplets that verdicts are about
    needs_tracks: bool = False  # it knows the true state or the simulator's laws, which real video does not have
    samples: int | None = None  # futures that are drawn of each clip; None: as many as the configuration says


def subjects_of(config: PhysicsConfig, evaluator: Evaluator) -> list[Subject]:
    """The models of the configuration, in its order; baselines; untrained networks of the same forms; controls."""
    version = str(BASELINES_VERSION)
    return [
        *(model_of(config, spec, evaluator) for spec in config.specs),
        Subject("oracle", Oracle(evaluator.tokenizer), version, needs_tracks=True),
        Subject("copy_last", CopyLast(evaluator.tokenizer), version),
        Subject("constant_velocity", ConstantVelocity(evaluator.tokenizer), version, needs_tracks=True),
        *(_of_run(config, spec, evaluator, untrained=True) for spec in config.specs if spec.kind == RUN),
        Subject("frame_difference", FrameDifference(), version, rolls_out=False),
        Subject("blind", Blind(), version, rolls_out=False),
    ]


def model_of(config: PhysicsConfig, spec: Spec, evaluator: Evaluator) -> Subject:
    """One model of a configuration. Raises UserError."""
    if spec.kind == RUN:
        return _of_run(config, spec, evaluator)
    made_from = fingerprint(spec.fingerprint(), config.sampling_steps, config.shift)
    model = KINDS[spec.kind](spec.path, evaluator.accelerator.device, config.sampling_steps)
    external = ExternalModel(spec.name, model, evaluator.tokenizer)
    can, samples = (external.predicts, external.is_surprised), getattr(model, "samples", None)
    own = getattr(model, "fingerprint", None)  # of weights that lie elsewhere than the class
    made_from = fingerprint(made_from, str(own())) if callable(own) else made_from
    return Subject(spec.name, external, made_from, *can, samples=samples)


def _of_run(config: PhysicsConfig, spec: Spec, evaluator: Evaluator, untrained: bool = False) -> Subject:
    """The model of a run folder, or one of the same form that was never trained: the same whatever stands beside it."""
    folder = Path(spec.path)
    name, form = (f"untrained_{spec.name}", ["untrained"]) if untrained else (spec.name, [])
    if config.tokenizer is None:
        raise UserError(f"{folder}: is measured with its tokenizer; name that, tokenizer=FOLDER")
    check_tokenizer(folder, evaluator.tokenizer.fingerprint())
    family = FAMILIES[read_budget(folder)["family"]]
    if untrained:
        torch.manual_seed(config.seed)  # before the network is made, whose weights are drawn
    network = load_model(family.network_class(), folder)
    network = (family.untrained(network) if untrained else network).to(evaluator.accelerator.device)
    decoder = evaluator.probes[spec.name].decoder if spec.name in evaluator.probes else None
    if decoder is None and getattr(network, "target", "frozen") != "frozen":
        raise UserError(
            f"{spec.path}: its embeddings are no tokens; train a probe of them (train/train_probe.py jepa={spec.path} "
            f"out=PROBE) and name it, probes.{spec.name}=PROBE"
        )
    model = family.world_model(network, name, config, decoder)
    levels = list(getattr(model, "levels", ()))
    made_from = fingerprint(spec.fingerprint(), *form, config.sampling_steps, config.shift, levels)
    return Subject(name, model, made_from, rolls_out=not untrained, in_distribution_only=untrained)
