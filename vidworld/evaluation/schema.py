"""Every key that the configuration of an evaluation may hold, with its unit and its default."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields, replace
from itertools import combinations, product
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import AfterValidator, Field

from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import NotNegative, Positive, PositiveFloat, Precision, schema
from vidworld.core.registry import Registry
from vidworld.evaluation import TASKS
from vidworld.metrics import METRICS
from vidworld.models import Spec
from vidworld.simulation import LAWS, SCENARIOS, NuisanceLevel

Names = tuple[str, ...] | Literal["all"]  # what a key holds that names things of a registry


def named_in(registry: Registry[Any]) -> AfterValidator:
    """Refuses names that a registry does not have, before anything is imported."""

    def check(names: Names) -> Names:
        registry.check(() if names == "all" else names)
        return names if names == "all" else once_each(names)

    return AfterValidator(check)


def once_each(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names. Raises ValueError where one is named twice."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{twice[0]} is named twice")
    return names


def some_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names. Raises ValueError where there is none, or one is named twice."""
    if not names:
        raise ValueError("names nothing to measure")
    return once_each(names)


Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Laws = Annotated[Names, named_in(LAWS)]
Split = Literal["id", "ood", "recombined", "more", "textures"]
HEADLINE_SPLITS = {"id", "ood", "recombined"}
RESERVED = (
    *("truth", "reconstruction", "oracle", "copy_last", "constant_velocity", "frame_difference", "blind"),
    *("references", "fitted_cues", "one_object", "mirrored_past"),
)
"""Names that results have for what stands beside every model."""


@schema
class Tried:
    """A configuration that was tried on the way, so that the effort spent on each model can be seen."""

    model: str
    what: str
    outcome: str


class Condition(NamedTuple):
    """How clips are drawn and shown that have a name in the column `split` of results."""

    drawn: str  # the split of the simulation
    shape: ClipShape
    context_frames: int
    clips: int


SamplingOrder = Annotated[int, Field(strict=True, ge=1, le=2, exclude_if=lambda order: order == 1)]
"""Euler's sampling steps, or Heun's, each but the last two evaluations: they shrink less what they draw, where steps
are even (`sampling_shift=1`). One of few steps (train/train_few_step.py) always takes Euler's."""


@schema
class ModelsConfig:
    """What every evaluation of models says."""

    out: Path
    """The folder for results and what the page shows."""
    models: dict[str, str] = Field(default_factory=dict)
    """What is measured, NAME: SPEC. A SPEC is a run folder, or KIND:PATH for other people's models: vjepa2:FOLDER,
    diffusers:FOLDER, videos:FOLDER, python:module.ClassName."""
    tokenizer: Path | None = None
    """The run folder of the tokenizer. Without one, other people's models are measured on the frames as they are."""
    chunk_frames: Positive = 4
    """Frames of a chunk where there is no tokenizer."""
    probe: Path | None = None
    """The run folder of the probe of tokens; without one positions are tracked in decoded pixels only."""
    probes: dict[str, Path] = Field(default_factory=dict)
    """Run folders of probes of models whose embeddings are not tokens, by the model's name."""
    seed: Seed = 0
    """Of the clips, of what models draw at random, and of untrained networks."""
    shape: ClipShape = ClipShape()
    """Frames, their rate and size, of clips that are simulated for it."""
    sampling_steps: Positive = 4
    """Steps of a diffusion model a chunk."""
    sampling_order: SamplingOrder = 1
    mixed_precision: Precision = "auto"
    """What products are computed in: bf16 where the processor has it."""

    def physics_with(self, **more: Any) -> "PhysicsConfig":
        """The keys of an evaluation of physics, by which models are loaded. Raises ValueError, as it does."""
        mine = {field.name: getattr(self, field.name) for field in fields(ModelsConfig)}
        return PhysicsConfig(compare=(), **mine, **more)


@schema
class PhysicsConfig(ModelsConfig):
    """eval/run_physics.py"""

    models: dict[str, str] = Field()
    compare: tuple[tuple[str, str], ...] | Literal["all"] = "all"
    """Pairs of models that are tested against each other."""
    real: Path | None = None
    """A folder that `vidworld data ingest` made, for its held-out split."""
    held_out: Path | None = None
    """A file with a secret that clips are drawn by beside the seed, so that who lacks it cannot make them again; it is
    drawn where there is none."""
    context_frames: Positive = 8
    tasks: Annotated[Names, named_in(TASKS)] = "all"
    scenarios: Annotated[Names, named_in(SCENARIOS)] = "all"
    """`all`: those that training draws by default."""
    laws: Laws = "all"
    """`all`: but the legacy ones, which cues tell without physics."""
    nuisance: NuisanceLevel = 0
    """How much of a picture cannot be predicted. Metrics compare with what the picture would be without it."""
    splits: Annotated[tuple[Split, ...], AfterValidator(once_each)] = get_args(Split)
    """In distribution, out of it, known values in new combinations; more discs than in training, and before a static
    texture."""
    horizons: tuple[Positive, ...] = (8, 24, 56)
    """Frames that are predicted, of scenarios whose clips go on so long; the usual horizon is that of `shape`."""
    contexts: tuple[Positive, ...] = (4, 8, 12)
    """Frames that are shown before the usual horizon: few, which decide little, and many."""
    metrics: Annotated[Names, named_in(METRICS)] = "all"
    oracle: bool = True
    """Whether the oracle is measured as the ceiling: a few tenths of a second a quadruplet."""
    controls: Annotated[bool, Field(exclude_if=bool)] = True
    """Whether more than the frozen last frame, the floor, is measured beside the models; a verdict needs it."""
    main_laws: Laws = ("permanence", "collision", "momentum")
    """Laws of which more quadruplets are measured."""
    clips: NotNegative = 64
    """Clips of each scenario, of splits id, ood and recombined."""
    further_clips: NotNegative = 8
    """Clips of each scenario of every other split, horizon and context."""
    quadruplets: NotNegative = 200
    """Quadruplets of each main law in distribution."""
    further_quadruplets: NotNegative = 100
    """Quadruplets of every other law in distribution."""
    ood_quadruplets: NotNegative = 50
    """Quadruplets of each law out of distribution."""
    samples: Positive = 8
    """Futures that are drawn of each clip, of models that draw any; a model that has one computes one."""
    sampling_shift: PositiveFloat = 8.0
    """How the sampling steps lean to the noisy end."""
    levels: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.7, 0.85, 1.0)
    """Noise levels that a diffusion model's surprise is a mean over. None of them is chosen."""
    clips_at_once: Positive = 25
    quadruplets_at_once: Positive = 10
    """What goes through a model together, and what a stopped run does again at most. More, and what lies between two
    layers leaves a processor's cache."""
    tried: tuple[Tried, ...] = ()
    """For the report: what was tried for each model."""
    shown: NotNegative = 2
    """Rollouts of each scenario and quadruplets of each law that the report shows."""

    def __post_init__(self) -> None:
        if self.context_frames >= self.shape.num_frames:
            raise ValueError(f"context_frames {self.context_frames} leaves none of {self.shape.num_frames} to predict")
        for name, text in self.models.items():
            if name in RESERVED or name.startswith("untrained_") or not re.fullmatch(r"[\w.-]+", name):
                raise ValueError(
                    f"a model cannot be named {name!r}: {', '.join(RESERVED)} and untrained_... are taken, "
                    "and names are letters, digits, '_', '-' and '.'"
                )
            Spec.of(name, text)
        for name in {name for pair in self.pairs for name in pair} | self.probes.keys():
            if name not in self.models:
                near = difflib.get_close_matches(name, self.models, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(self.models)}"
                raise ValueError(f"there is no model {name!r}; {hint}")
        for pair in self.pairs:
            if pair[0] == pair[1]:
                raise ValueError(f"compare: {pair[0]!r} is tested against itself; name two models")
        if len({frozenset(pair) for pair in self.pairs}) < len(self.pairs):
            raise ValueError("compare names a pair of models twice; once would do")

    @property
    def conditions(self) -> dict[str, Condition]:
        """What is rolled out, by name: the splits, then `horizon_24` and the like, and `context_4`, drawn as `id`."""
        usual = Condition("id", self.shape, self.context_frames, self.further_clips)
        horizon = self.shape.num_frames - self.context_frames
        found: dict[str, Condition] = {split: usual._replace(drawn=split) for split in self.splits}
        for split in found.keys() & HEADLINE_SPLITS:
            found[split] = found[split]._replace(clips=self.clips)
        for frames in self.horizons:
            if frames != horizon:
                longer = replace(self.shape, num_frames=self.context_frames + frames)
                found[f"horizon_{frames}"] = usual._replace(shape=longer)
        for frames in self.contexts:
            if frames != self.context_frames:
                other = replace(self.shape, num_frames=frames + horizon)
                found[f"context_{frames}"] = usual._replace(shape=other, context_frames=frames)
        return found

    @property
    def specs(self) -> list[Spec]:
        """The models, in the order of the file."""
        return [Spec.of(name, text) for name, text in self.models.items()]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of models that are tested against each other."""
        return list(combinations(self.models, 2)) if self.compare == "all" else list(self.compare)

    def without(self, models: Iterable[str]) -> "PhysicsConfig":
        """The same without these models."""
        gone = set(models)
        left = {name: text for name, text in self.models.items() if name not in gone}
        probes = {name: folder for name, folder in self.probes.items() if name not in gone}
        pairs = tuple(pair for pair in self.pairs if not gone & set(pair))
        return replace(self, models=left, probes=probes, compare=pairs)


def measured_splits(config: PhysicsConfig) -> list[tuple[str, str]]:
    """Each scenario that is measured with each condition that it has clips for."""
    chosen = config.scenarios
    names = [name for name in SCENARIOS if SCENARIOS[name].weight > 0] if chosen == "all" else chosen
    return [(name, split) for name, split in product(names, config.conditions) if _has(name, split, config)]


def _has(name: str, split: str, config: PhysicsConfig) -> bool:
    scenario, condition = SCENARIOS[name], config.conditions[split]
    lacks = {"recombined": not scenario.ranges.corner, "more": not scenario.more}
    goes_on = scenario.goes_on or not split.startswith("horizon_")
    return condition.clips > 0 and goes_on and not lacks.get(split, False)
