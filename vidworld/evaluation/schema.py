"""Every key that the configuration of an evaluation may hold, with its unit and its default."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import Positive, PositiveFloat, Precision, schema


@schema
class Tried:
    """A configuration that was tried on the way, so that the effort spent on each side can be seen."""

    world: str
    what: str
    outcome: str


@schema
class PhysicsConfig:
    """eval/run_physics.py"""

    out: Path
    """The folder for results.json and what the report shows."""
    tokenizer: Path
    diffusion: Path
    jepa: Path
    readout: Path
    """The run folders of what is evaluated."""
    jepa_readout: Path | None = None
    """The read-out of a JEPA whose embeddings are not tokens."""
    real: Path | None = None
    """A folder that `vidworld data ingest` made, for its held-out split."""
    seed: int = 0
    shape: ClipShape = ClipShape()
    context_frames: Positive = 8
    scenarios: tuple[str, ...] = ("uniform", "parabola", "collision", "bounce", "billiards", "occlusion")
    laws: tuple[str, ...] = ("permanence", "collision", "momentum", "constancy", "continuity", "solidity")
    clips: Positive = 64
    """Clips of each scenario and split."""
    quads: Positive = 200
    """Quads of permanence, collision and momentum in distribution."""
    further_quads: Positive = 100
    """Quads of every other law in distribution."""
    ood_quads: Annotated[int, Field(ge=0)] = 50
    """Quads of each law out of distribution."""
    val_quads: Positive = 40
    """Quads of each law of the validation split, on which the noise levels are chosen."""
    samples: Positive = 2
    """Futures that the diffusion world draws of each clip."""
    sampling_steps: Positive = 4
    shift: PositiveFloat = 8.0
    """How the sampling steps lean to the noisy end."""
    levels: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
    """Noise levels of the diffusion world's surprise to choose from."""
    mixed_precision: Precision = "auto"
    tried: tuple[Tried, ...] = ()
    """For the report: what was tried for each world."""
    worlds: tuple[str, ...] = ()
    """Other people's models to measure beside, each [NAME=]KIND:PATH: vjepa2:FOLDER, diffusers:FOLDER, videos:FOLDER,
    python:module.ClassName."""
    shown: Positive = 2
    """Rollouts of each scenario and quads of each law that the report shows."""


@schema
class ScoreConfig:
    """eval/score_worlds.py, and vidworld data contexts"""

    out: Path
    """The folder for results.json, and for what was measured so far."""
    worlds: tuple[str, ...] = ()
    """Each [NAME=]KIND:PATH, as in the evaluation of physics; --world adds to them."""
    seed: int = 0
    shape: ClipShape = ClipShape()
    context_frames: Positive = 8
    chunk_frames: Positive = 4
    """Frames that surprise is averaged over; context and clip are whole chunks."""
    scenarios: tuple[str, ...] = ("uniform", "parabola", "collision", "bounce", "billiards", "occlusion")
    laws: tuple[str, ...] = ("permanence", "collision", "momentum", "constancy", "continuity", "solidity")
    splits: tuple[Literal["id", "ood"], ...] = ("id", "ood")
    clips: Annotated[int, Field(ge=0)] = 64
    """Clips of each scenario and split."""
    quads: Annotated[int, Field(ge=0)] = 100
    """Quads of each law and split."""
    samples: Positive = 2
    """Futures of each clip, of worlds that draw any."""
    sampling_steps: Positive = 20
    """Of diffusion models."""
    at_once: Positive = 4
    """Clips or quads that go through a world together, and that a stopped run does again at most."""

    def __post_init__(self) -> None:
        for name, frames in (("context_frames", self.context_frames), ("num_frames", self.shape.num_frames)):
            if frames % self.chunk_frames:
                raise ValueError(f"{name} {frames} is no multiple of chunk_frames {self.chunk_frames}")
        if self.context_frames >= self.shape.num_frames:
            raise ValueError(
                f"context_frames {self.context_frames} leaves none of {self.shape.num_frames} to predict"
            )
