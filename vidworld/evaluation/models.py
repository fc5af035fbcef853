"""The subjects of an evaluation: models of its configuration, baselines, controls; and what measures them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator

from vidworld.core.errors import UserError
from vidworld.core.fingerprint import fingerprint
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.evaluation.task import Subject
from vidworld.models import KINDS, RUN, Spec
from vidworld.models.external import ExternalModel
from vidworld.models.families import FAMILIES
from vidworld.models.files import check_tokenizer, fingerprint_in, load_model, read_budget
from vidworld.models.probe import Probe
from vidworld.models.tokenizers import FrameTokenizer, load_tokenizer
from vidworld.models.world_model import Blind, ConstantVelocity, CopyLast, FrameDifference, WorldModel

BASELINES_VERSION = 1
"""Of all baselines and controls together; raised when one of them gives other values."""


def evaluator_of(config: PhysicsConfig, accelerator: Accelerator) -> Evaluator:
    """What all subjects of a configuration are measured with. Raises UserError."""
    device = accelerator.device
    if config.tokenizer is None:
        shape = config.shape
        tokenizer = FrameTokenizer(config.chunk_frames, shape.height_px, shape.width_px)
        return Evaluator(tokenizer, {}, accelerator, config.context_frames, config.seed)
    tokenizer = load_tokenizer(config.tokenizer).to(device)
    probes = {}
    for name, folder in _probes(config).items():
        check_tokenizer(folder, tokenizer.fingerprint())
        probes[name] = load_model(Probe, folder).to(device)
    return Evaluator(tokenizer, probes, accelerator, config.context_frames, config.seed)


def tools_of(config: PhysicsConfig) -> dict[str, str | None]:
    """The fingerprints of tokenizer and probes, from their records alone."""
    folders = {"tokenizer": config.tokenizer, **{f"probe {n}": f for n, f in _probes(config).items()}}
    tools = {name: None if folder is None else fingerprint_in(folder) for name, folder in folders.items()}
    return tools if config.tokenizer else tools | {"chunk_frames": str(config.chunk_frames)}


def subjects_of(config: PhysicsConfig, evaluator: Evaluator) -> list[Subject]:
    """The models of the configuration, in its order; baselines; untrained networks of the same forms; controls."""
    models = [model_of(config, spec, evaluator) for spec in config.specs]
    version = str(BASELINES_VERSION)
    return [
        *models,
        Subject("copy_last", CopyLast(evaluator.tokenizer), version),
        Subject("constant_velocity", ConstantVelocity(evaluator.tokenizer), version, needs_tracks=True),
        *(_untrained(config, spec, evaluator) for spec in config.specs if spec.kind == RUN),
        Subject("frame_difference", FrameDifference(), version, rolls_out=False),
        Subject("blind", Blind(), version, rolls_out=False),
    ]


def model_of(config: PhysicsConfig, spec: Spec, evaluator: Evaluator) -> Subject:
    """One model of a configuration. Raises UserError."""
    made_from = fingerprint(spec.fingerprint(), config.sampling_steps, config.shift)
    if spec.kind != RUN:
        model = KINDS[spec.kind](spec.path, evaluator.accelerator.device, config.sampling_steps)
        external = ExternalModel(spec.name, model, evaluator.tokenizer)
        can, samples = (external.predicts, external.is_surprised), getattr(model, "samples", None)
        own = getattr(model, "fingerprint", None)  # of weights that lie elsewhere than the class
        made_from = fingerprint(made_from, str(own())) if callable(own) else made_from
        return Subject(spec.name, external, made_from, *can, samples=samples)
    folder = Path(spec.path)
    if config.tokenizer is None:
        raise UserError(f"{folder}: is measured with its tokenizer; name that, tokenizer=FOLDER")
    check_tokenizer(folder, evaluator.tokenizer.fingerprint())
    return Subject(spec.name, _world_model(config, spec, evaluator, spec.name), made_from)


def _untrained(config: PhysicsConfig, spec: Spec, evaluator: Evaluator) -> Subject:
    """A network of the same form that was never trained, the same whichever models stand beside it."""
    name = f"untrained_{spec.name}"
    model = _world_model(config, spec, evaluator, name, untrained=True)
    made_from = fingerprint(spec.fingerprint(), "untrained", config.sampling_steps, config.shift)
    return Subject(name, model, made_from, rolls_out=False, in_distribution_only=True)


def _world_model(
    config: PhysicsConfig, spec: Spec, evaluator: Evaluator, name: str, untrained: bool = False
) -> WorldModel:
    family = FAMILIES[read_budget(Path(spec.path))["family"]]
    if untrained:
        torch.manual_seed(config.seed)  # before the network is made, whose weights are drawn
    network = load_model(family.network_class(), Path(spec.path))
    network = (family.untrained(network) if untrained else network).to(evaluator.accelerator.device)
    decoder = evaluator.probes[spec.name].decoder if spec.name in evaluator.probes else None
    if decoder is None and getattr(network, "target", "frozen") != "frozen":
        raise UserError(
            f"{spec.path}: its embeddings are no tokens; train a probe of them (train/train_probe.py jepa={spec.path} "
            f"out=PROBE) and name it, probes.{spec.name}=PROBE"
        )
    return family.world_model(network, name, config, decoder)


def check_clips(subjects: Sequence[Subject], identities: Sequence[str]) -> None:
    """Raise UserError if somebody else's model cannot continue one of these clips, before anything is measured."""
    for subject in subjects:
        if isinstance(subject.model, ExternalModel) and subject.rolls_out:
            subject.model.check_clips(identities)


def _probes(config: PhysicsConfig) -> dict[str, Path]:
    """Run folders of probes by model; that of the tokens is ''."""
    return ({"": config.probe} if config.probe is not None else {}) | dict(config.probes)
