"""Every key that the configuration of a look inside may hold."""

from pathlib import Path

from pydantic import Field

from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import NotNegative, Positive, Precision, schema
from vidworld.evaluation.schema import PhysicsConfig


@schema
class InsideConfig:
    """eval/run_probes.py, eval/run_steering.py, eval/run_maps.py"""

    out: Path
    """The folder for probes.json, steering.json, maps.json and their pictures."""
    models: dict[str, str] = Field(default_factory=dict)
    """NAME: SPEC. A run folder, or somebody else's model that gives hidden states: vjepa2:FOLDER, python:module.A."""
    tokenizer: Path | None = None
    probe: Path | None = None
    """The run folder of the probe of tokens, which reads the places of discs in futures that are steered."""
    probes: dict[str, Path] = Field(default_factory=dict)
    """Those of models whose embeddings are not tokens, by the model's name."""
    chunk_frames: Positive = 4
    """Frames of a chunk where there is no tokenizer."""
    seed: int = 0
    shape: ClipShape = ClipShape()
    context_frames: Positive = 8
    """What is shown; states are those of the last chunk."""
    fit: Positive = 800
    """Clips that probes are fitted to, of the split val."""
    choose: Positive = 250
    """Further clips of it, on which penalties, layers and directions are chosen."""
    test: Positive = 400
    """Clips of the split id, which are reported."""
    quadruplets: Positive = 200
    """The same for what is hidden: that are fitted to; half as many are chosen on, and as many are reported."""
    untrained: bool = True
    """Whether untrained networks of the same forms are read, too."""
    steered: Positive = 64
    """Clips that are steered and reported; a third as many are chosen on."""
    pairs: Positive = 64
    """Quadruplets whose surprise and attention are mapped."""
    shown: NotNegative = 2
    """Clips that the page shows of each model."""
    clips_at_once: Positive = 25
    sampling_steps: Positive = 4
    mixed_precision: Precision = "auto"

    def __post_init__(self) -> None:
        self.physics  # noqa: B018  (names and models are checked)

    @property
    def physics(self) -> PhysicsConfig:
        """The keys of an evaluation that models are loaded by."""
        return PhysicsConfig(
            out=self.out, models=self.models, compare=(), tokenizer=self.tokenizer, probe=self.probe,
            probes=self.probes, chunk_frames=self.chunk_frames, seed=self.seed, oracle=False, shape=self.shape,
            context_frames=self.context_frames, sampling_steps=self.sampling_steps,
            mixed_precision=self.mixed_precision,
        )  # fmt: skip
