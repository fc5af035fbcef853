"""The bench of a configuration and the worlds on it: those that were trained, and other people's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import Accelerator

from vidworld.analysis.labels import WORLDS
from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import resolved
from vidworld.evaluation.bench import Bench
from vidworld.evaluation.schema import PhysicsConfig, ScoreConfig
from vidworld.models.budget import check_tokenizer, read_budget
from vidworld.models.dit import DiffusionTransformer
from vidworld.models.external.protocol import AdaptedWorld
from vidworld.models.external.registry import adapted_worlds, origin
from vidworld.models.files import load_model
from vidworld.models.generative import GenerativeModel
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.predictive import PredictiveModel
from vidworld.models.probe import Probe
from vidworld.models.tokenizers.frames import FrameTokenizer
from vidworld.models.tokenizers.tokenizer import load_tokenizer

RUNS = ("tokenizer", "diffusion", "jepa", "readout", "jepa_readout")
"""The keys of a configuration that name a run folder."""


def bench_of(config: PhysicsConfig, accelerator: Accelerator) -> Bench:
    """What the worlds of a configuration are measured with.

    Raises:
        UserError: a run folder has no finished model, or one that was trained on another tokenizer's tokens.
    """
    tokenizer = load_tokenizer(config.tokenizer).to(accelerator.device)
    for folder in (config.diffusion, config.jepa, config.readout):
        check_tokenizer(folder, tokenizer.fingerprint())
    probes = {"": load_model(Probe, config.readout).to(accelerator.device)}
    if config.jepa_readout is not None:
        probes["jepa"] = load_model(Probe, config.jepa_readout).to(accelerator.device)
    return Bench(tokenizer, probes, accelerator, config.context_frames, config.seed)


def trained_worlds(config: PhysicsConfig, bench: Bench) -> tuple[GenerativeModel, PredictiveModel]:
    """The two worlds that the configuration names, on the bench's device."""
    device = bench.accelerator.device
    dit = load_model(DiffusionTransformer, config.diffusion).to(device)
    predictor = load_model(JointEmbeddingPredictor, config.jepa).to(device)
    return diffusion_world(config, dit, "diffusion"), jepa_world(bench, predictor, "jepa")


def diffusion_world(config: PhysicsConfig, network: DiffusionTransformer, name: str) -> GenerativeModel:
    """A world of the configuration's sampler and noise levels."""
    return GenerativeModel(network, name, config.sampling_steps, config.shift, config.levels)


def jepa_world(bench: Bench, network: JointEmbeddingPredictor, name: str) -> PredictiveModel:
    """A world whose embeddings are decoded by the bench's probe of JEPA, where it has one."""
    return PredictiveModel(network, name, bench.probes["jepa"].decoder if "jepa" in bench.probes else None)


class Asked(NamedTuple):
    """Worlds that are to be measured on films."""

    bench: Bench
    worlds: list[Any]
    shape: ClipShape
    made_of: dict[str, Any]


def worlds_of(config: PhysicsConfig | ScoreConfig, more: Sequence[str], accelerator: Accelerator) -> Asked:
    """Every world of a configuration and of further `[NAME=]KIND:PATH` lines.

    Raises:
        UserError: one of them cannot be used.
    """
    texts = [*config.worlds, *more]
    known = made_of(config, texts)
    worlds: list[Any] = []
    if isinstance(config, PhysicsConfig):
        bench = bench_of(config, accelerator)
        worlds += trained_worlds(config, bench)
    else:
        shape = config.shape
        tokenizer = FrameTokenizer(config.chunk_frames, shape.height_px, shape.width_px)
        bench = Bench(tokenizer, {}, accelerator, config.context_frames, config.seed)
    device, taken = accelerator.device, list(WORLDS)
    worlds += adapted_worlds(texts, bench.tokenizer, device, config.sampling_steps, taken)
    return Asked(bench, worlds, config.shape, known)


def made_of(config: PhysicsConfig | ScoreConfig, texts: Sequence[str]) -> dict[str, Any]:
    """What tells that a configuration and its worlds, others' by `[NAME=]KIND:PATH`, are still the same (JSON).

    Raises:
        UserError: a run folder holds no finished model, or a line cannot be used.
    """
    settings = {k: v for k, v in resolved(config).items() if k not in ("out", "worlds")}
    folders = {name: settings.get(name) for name in RUNS}
    budgets = {name: read_budget(Path(folder)) for name, folder in folders.items() if folder}
    return {"config": settings, "runs": budgets, "worlds": [origin(text) for text in texts]}


def predicting(worlds: Sequence[Any]) -> list[Any]:
    """Those that continue clips."""
    return [world for world in worlds if not isinstance(world, AdaptedWorld) or world.predicts]


def surprised(worlds: Sequence[Any]) -> list[Any]:
    """Those that are surprised."""
    return [world for world in worlds if not isinstance(world, AdaptedWorld) or world.is_surprised]
