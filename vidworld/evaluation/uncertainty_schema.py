"""Every key that the configuration of a measurement of uncertainty may hold."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from vidworld.analysis.uncertainty import NOISES, REFERENCES_OF_UNCERTAINTY
from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import Positive, PositiveFloat, Precision, schema
from vidworld.evaluation.schema import SamplingOrder, Seed, named_in, some_once
from vidworld.models import Spec
from vidworld.simulation import SCENARIOS


@schema
class UncertaintyConfig:
    """eval/run_uncertainty.py"""

    out: Path
    """The folder for uncertainty.json and what a stopped run goes on from."""
    members: dict[str, tuple[str, ...]]
    """Families, NAME: [SPEC, SPEC, ...]: models that differ by seed or checkpoint alone. Their disagreement is the
    epistemic reading; one member has none."""
    tokenizer: Path
    probe: Path
    """The run folder of the probe of tokens, which reads places for all families alike."""
    probes: dict[str, tuple[Path, ...]] = Field(default_factory=dict)
    """Of families whose embeddings are no tokens: the probe that decodes each member's, in the order of members."""
    scenarios: Annotated[tuple[str, ...], named_in(SCENARIOS), AfterValidator(some_once)] = (
        "kick",
        "panel",
        "uniform_hole",
    )
    seed: Seed = 0
    shape: ClipShape = ClipShape()
    context_frames: Positive = 8
    clips: Annotated[int, Field(ge=8)] = 64
    """Of each scenario and condition, for models."""
    control_clips: Annotated[int, Field(ge=8)] = 512
    """The same for the oracle and the controls, which cost no network."""
    samples: Annotated[int, Field(ge=2)] = 16
    """Futures of each clip and member."""
    true_samples: Annotated[int, Field(ge=16)] = 256
    """Futures that the true conditional variance is of."""
    base_level: Annotated[float, Field(gt=0, le=10)] = 0.75
    """Level of what is left to chance that is doubled in variance, and in std; levels are drawn from 0.5 to 1.5."""
    sampling_steps: Positive = 4
    sampling_shift: PositiveFloat = 8.0
    sampling_order: SamplingOrder = 1
    clips_at_once: Annotated[int, Field(ge=8)] = 32
    """What goes through a model together, and what a stopped run does again at most."""
    mixed_precision: Precision = "auto"

    def __post_init__(self) -> None:
        if self.context_frames >= self.shape.num_frames:
            raise ValueError(f"context_frames {self.context_frames} leaves none of {self.shape.num_frames} to predict")
        for name, specs in self.members.items():
            if name in REFERENCES_OF_UNCERTAINTY or not re.fullmatch(r"[\w-]+", name):
                raise ValueError(
                    f"a family cannot be named {name!r}: {', '.join(REFERENCES_OF_UNCERTAINTY)} are taken, and names "
                    "are letters, digits, '_' and '-'"
                )
            if not specs:
                raise ValueError(f"members.{name} names no model; a run folder or two would do")
            for spec in specs:
                Spec.of(name, spec)
        for name, probes in self.probes.items():
            count = len(self.members.get(name, ()))
            if len(probes) != count:
                raise ValueError(f"probes.{name} names {len(probes)} probes, members.{name} {count}; one each would do")

    def conditions(self, scenario: str) -> tuple[str, ...]:
        """Those that a scenario has clips for: its usual clips, and what is planted in it."""
        drawn_by = SCENARIOS[scenario]
        noise = tuple(NOISES) if drawn_by.chance is not None else ()
        hole = ("hole", "ood") if drawn_by.ranges.hole is not None else ()
        return ("id", *noise, *hole)
