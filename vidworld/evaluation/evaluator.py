"""What an evaluation measures and with what: its subjects; tokenizer, trackers and probes, device and processes."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Clips, Frames, Tracks
from vidworld.core.config import Precision
from vidworld.core.errors import UserError
from vidworld.core.hardware import precision
from vidworld.core.records import fingerprint
from vidworld.evaluation.presentation import batches_of, names_of
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.models import KINDS, RUN, Spec, world_model
from vidworld.models.external import ExternalModel
from vidworld.models.external.check_world import broken_by_predict, broken_by_surprise
from vidworld.models.external.foreign import first_line
from vidworld.models.families import FAMILIES
from vidworld.models.files import check_tokenizer, fingerprint_in, load_model, read_budget
from vidworld.models.oracle import Oracle
from vidworld.models.probe import Probe
from vidworld.models.tokenizers import FrameTokenizer, Tokenizer, load_tokenizer
from vidworld.models.world_model import Encoded, Futures, Rollout, Scorer, WorldModel, check_numbers
from vidworld.simulation.tracker import after_context, locate_discs, with_strangers

TRIED = 2  # clips of the first batch that somebody else's model is tried on before it is measured
BASELINES_VERSION = 1  # of all baselines and controls together; raised when one of them gives other values
_Broken = Callable[..., Iterator[str]]  # the promises that a model breaks on some clips, a line each


def evaluation_accelerator(mixed_precision: Precision = "auto") -> Accelerator:
    """The device and the processes of an evaluation, which wait two hours for one another.

    Accelerate's 10 or 30 minutes are less than one unit of somebody else's model can take.
    """
    patient = InitProcessGroupKwargs(timeout=timedelta(hours=2))
    return Accelerator(mixed_precision=precision(mixed_precision), kwargs_handlers=[patient])


class ModelFailure(UserError):
    """What ends one model's rows, and not the evaluation: a line that names the model and a clip."""

    def __init__(self, model: str, fault: str) -> None:
        super().__init__(f"{model}: {fault}")
        self.model = model


def _shown(model: Scorer, seen: Encoded, places: Sequence[int], names: Sequence[str]) -> Encoded:
    """Clips as a model sees them: a copy, in this order, under names that say nothing, without the truth."""
    index = torch.tensor(places)
    clips, tokens = seen.clips.at(index), seen.tokens[index.to(seen.tokens.device)]
    if not (isinstance(model, ExternalModel) and model.reads_names):
        clips = replace(clips, identity=tuple(names[i] for i in places))
    return Encoded(clips if isinstance(model, world_model.ConstantVelocity) else clips.shown, tokens)


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
        """The frames of chunks, (clip, chunk, h, w, latent) to (clip, frame, 3, height, width)."""
        with self.accelerator.autocast():
            return self.tokenizer.decode(tokens).cpu()

    def decode_future(self, seen: Encoded, future: Tensor) -> Frames:
        """The frames of predicted chunks; a tokenizer that remembers is given the context's chunks first."""
        if not self.tokenizer.remembers:
            return self.decode(future)
        context = seen.tokens[:, : self.context_length].to(future)
        return self.decode(torch.cat((context, future), dim=1))[:, self.context_frames :]

    def roll_out(
        self,
        model: WorldModel,
        seen: Encoded,
        samples: int = 1,
        seeds: Sequence[int] | None = None,
        actions: Futures | None = None,
    ) -> Rollout:
        """The model's prediction of all chunks after the context, which is all that it is shown.

        seeds: one a clip, in place of those that follow from its frames: common random numbers of clips that differ.
        actions: what is done after the context, of models that act. Raises ModelFailure.
        """
        horizon, context = seen.tokens.shape[1] - self.context_length, seen.chunks(0, self.context_length)
        names = names_of(context.clips.frames)
        (places,) = batches_of(names)
        shown, own = _shown(model, context, places, names), self.seeds(names) if seeds is None else seeds
        drawn = [own[i] for i in places]
        num_frames = seen.clips.frames.shape[1] - self.context_frames
        with self._asking(model, shown.clips, [seen.clips.identity[i] for i in places]):
            if actions is None:
                self._try(model, "predict", broken_by_predict, shown.clips, num_frames, drawn)
            done = {} if actions is None else {"actions": actions[places].to(shown.tokens)}
            rollout = model.rollout(shown, horizon, samples, drawn, **done)
            check_numbers(model.name, "rollout", shown.clips.identity, rollout.tokens)
        back = torch.tensor(places).argsort()
        return Rollout(*(each[back.to(each.device)].float() for each in rollout))

    def surprise(
        self, model: Scorer, seen: Encoded, seeds: Sequence[int], groups: Sequence[int] | None = None
    ) -> Float[Tensor, "clip chunk"]:
        """The model's surprise at every chunk after the context.

        seeds, groups: a number each a clip; no two clips of a group share a batch. Raises ModelFailure.
        """
        names = names_of(seen.clips.frames)
        batches, found = batches_of(names, groups), []
        for places in batches:
            shown, drawn = _shown(model, seen, places, names), [seeds[i] for i in places]
            with self._asking(model, shown.clips, [seen.clips.identity[i] for i in places]):
                self._try(model, "surprise", broken_by_surprise, shown.clips, self.context_frames, drawn)
                found.append(model.surprise(shown, self.context_length, drawn))
                check_numbers(model.name, "surprise", shown.clips.identity, found[-1])
        together = torch.cat(found)
        return together[torch.tensor([*chain.from_iterable(batches)]).argsort().to(together.device)]

    @contextmanager
    def _asking(self, model: Scorer, shown: Clips, true_names: Sequence[str]) -> Iterator[None]:
        """What goes wrong in somebody else's code, or is no number, becomes a ModelFailure that names a true clip."""
        try:
            with self.accelerator.autocast():
                yield
        except Exception as error:
            if not isinstance(model, ExternalModel) and not isinstance(error, UserError):
                raise
            line = str(error) if isinstance(error, UserError) else f"failed with {first_line(error)}"
            if not any(name in line for name in shown.identity):
                more = f" and {len(true_names) - 1} more" if len(true_names) > 1 else ""
                line = f"{line} (at {true_names[0]}{more})"
            for name, true_name in zip(shown.identity, true_names, strict=True):
                line = line.replace(name, true_name)
            raise ModelFailure(model.name, line.removeprefix(f"{model.name}: ")) from error

    def _try(self, model: Scorer, method: str, broken: _Broken, clips: Clips, frames: int, seeds: list[int]) -> None:
        """Raise UserError if somebody else's model breaks a promise on a few of the first clips that it is shown."""
        if not isinstance(model, ExternalModel) or model.reads_names or method in model.tried:
            return
        few, device = slice(0, TRIED), self.accelerator.device
        exact = device.type == "cpu" and self.accelerator.mixed_precision == "no"
        for line in broken(model, clips.at(few), frames, seeds[few], exact):
            raise UserError(line)
        model.tried.add(method)

    def future_frames(self, model: WorldModel, seen: Encoded) -> Frames:
        """The frames that the model predicts after the context, in one sample."""
        return self.decode_future(seen, self.roll_out(model, seen).tokens[:, 0])

    def seeds(self, names: Iterable[str]) -> list[int]:
        """A seed for each clip or quadruplet, from what its frames say."""
        return [zlib.crc32(f"{self.seed}/{name}".encode()) for name in names]

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
            if not name and probes[name].decoder is not None:
                raise UserError(f"probe={folder}: reads a JEPA's embeddings and no tokens; name it as probes.NAME")
    chunk = tokenizer.patch_size[0]
    check_chunks(chunk, {"context_frames": [config.context_frames], "shape.num_frames": [shape.num_frames]})
    tokenizer.grid_of(shape.num_frames, shape.height_px, shape.width_px)
    return Evaluator(tokenizer, probes, accelerator, config.context_frames, config.seed)


def check_size(config: PhysicsConfig, tokenizer: Tokenizer) -> None:
    """Raise UserError where the tokenizer was trained on pictures of another size than the configuration's."""
    shape, (_, height, width) = config.shape, tokenizer.patch_size
    _, *grid = tokenizer.grid_of(shape.num_frames, shape.height_px, shape.width_px)
    known = list(getattr(getattr(tokenizer, "config", None), "grid", grid))
    if known != grid:
        raise UserError(
            f"{config.tokenizer}: was trained on pictures of {known[1] * width} x {known[0] * height} px, not of "
            f"{shape.width_px} x {shape.height_px}; pictures of that size would do"
        )


def check_chunks(chunk: int, counts: Mapping[str, Iterable[int]]) -> None:
    """Raise UserError where a number of frames is no multiple of the tokenizer's chunk; `counts` are by their keys."""
    for key, frames in counts.items():
        for count in frames:
            if count % chunk:
                raise UserError(f"{key} {count} is no multiple of the tokenizer's chunk of {chunk} frames; choose one")


def needs_actions(subject: "Subject") -> bool:
    """Whether a model cannot do without actions: one of ours that was trained with them."""
    return getattr(getattr(subject.model, "network", None), "embed_action", None) is not None


def takes_actions(subject: "Subject") -> bool:
    """Whether a model can be given actions."""
    return needs_actions(subject) or (isinstance(subject.model, ExternalModel) and subject.model.acts)


def tools_of(config: PhysicsConfig) -> dict[str, str | None]:
    """The fingerprints of the tokenizer and of its probe, which all models share, from their records alone."""
    folders = {"tokenizer": config.tokenizer} | ({} if config.probe is None else {"probe ": config.probe})
    tools = {name: None if folder is None else fingerprint_in(folder) for name, folder in folders.items()}
    return tools if config.tokenizer else tools | {"chunk_frames": str(config.chunk_frames)}


def _probes(config: PhysicsConfig) -> dict[str, Path]:
    """Run folders of probes by model; that of the tokens is ''."""
    return ({"": config.probe} if config.probe is not None else {}) | dict(config.probes)


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
    models = [model_of(config, spec, evaluator) for spec in config.specs]
    if config.oracle:
        models.append(Subject("oracle", Oracle(evaluator.tokenizer), version, needs_tracks=True))
    models.append(Subject("copy_last", world_model.CopyLast(evaluator.tokenizer), version))
    if not config.controls:
        return models
    return [
        *models,
        Subject("constant_velocity", world_model.ConstantVelocity(evaluator.tokenizer), version, needs_tracks=True),
        *(_of_run(config, spec, evaluator, untrained=True) for spec in config.specs if spec.kind == RUN),
        Subject("frame_difference", world_model.FrameDifference(), version, rolls_out=False),
        Subject("blind", world_model.Blind(), version, rolls_out=False),
    ]


def model_of(config: PhysicsConfig, spec: Spec, evaluator: Evaluator) -> Subject:
    """One model of a configuration. Raises UserError."""
    if spec.kind == RUN:
        return _of_run(config, spec, evaluator)
    made_from = fingerprint(spec.fingerprint(), config.sampling_steps, config.sampling_shift, *_own_probe(config, spec))
    model = KINDS[spec.kind](spec.path, evaluator.accelerator.device, config.sampling_steps)
    external = ExternalModel(spec.name, model, evaluator.tokenizer)
    own = external.fingerprint()
    made_from = fingerprint(made_from, own) if own else made_from
    return Subject(spec.name, external, made_from, external.predicts, external.is_surprised, samples=external.samples)


def _own_probe(config: PhysicsConfig, spec: Spec) -> list[str]:
    """What of a model's values depends on a probe of its own: nobody else's do."""
    return [f"probe {fingerprint_in(config.probes[spec.name])}"] if spec.name in config.probes else []


def _of_run(config: PhysicsConfig, spec: Spec, evaluator: Evaluator, untrained: bool = False) -> Subject:
    """The model of a run folder, or one of the same form that was never trained: the same whatever stands beside it."""
    folder = Path(spec.path)
    name, form = (f"untrained_{spec.name}", ["untrained"]) if untrained else (spec.name, [])
    if config.tokenizer is None:
        raise UserError(f"{folder}: is measured with its tokenizer; name that, tokenizer=FOLDER")
    check_tokenizer(folder, evaluator.tokenizer.fingerprint())
    budget = read_budget(folder)
    if "family" not in budget:
        raise UserError(f"{folder}: holds no world model; models.{spec.name}=FOLDER wants one of {', '.join(FAMILIES)}")
    family = FAMILIES[budget["family"]]
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
    form += ["second order"] if config.sampling_order == 2 else []
    form += _own_probe(config, spec)
    made_from = fingerprint(spec.fingerprint(), *form, config.sampling_steps, config.sampling_shift, levels)
    return Subject(name, model, made_from, rolls_out=not untrained, in_distribution_only=untrained)
