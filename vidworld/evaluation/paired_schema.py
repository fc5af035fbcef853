"""The keys of evaluations over pairs of clips of the same scene: interventions and hidden properties."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vidworld.analysis.hidden import WITHOUT_MEMORY
from vidworld.analysis.interventions import NO_EFFECT, OTHER_SCENE
from vidworld.core.config import NotNegative, Positive, PositiveFloat, schema
from vidworld.evaluation.schema import ModelsConfig, PhysicsConfig, some_once
from vidworld.simulation import SCENARIOS, NuisanceLevel
from vidworld.simulation.environments import ENVIRONMENTS

Intervention = Literal["remove", "mass", "kick", "move", "act"]


@schema
class PairedConfig(ModelsConfig):
    """What both have in common."""

    samples: Positive = 4
    """Futures that are drawn of each clip, of models that draw any; the same draws in both clips of a pair."""
    sampling_shift: PositiveFloat = 8.0
    """How the sampling steps lean to the noisy end."""
    nuisance: NuisanceLevel = 0
    pairs_at_once: Positive = 12
    """What goes through a model together, and what a stopped run does again at most."""

    def check_names(self, *taken: str) -> None:
        """Raise ValueError where a model has the name of one of the controls."""
        for name in taken:
            if name in self.models:
                raise ValueError(f"a model cannot be named {name!r}, which is a control's name; choose another")

    def physics(self, context_frames: int, oracle: bool = True) -> PhysicsConfig:
        """The keys that models are loaded by. Raises ValueError, as these do."""
        return self.physics_with(
            context_frames=context_frames, oracle=oracle, samples=self.samples, sampling_shift=self.sampling_shift,
            nuisance=self.nuisance,
        )  # fmt: skip


def _known_places(kinds: dict[str, tuple[Intervention, ...]]) -> dict[str, tuple[Intervention, ...]]:
    some_once(tuple(kinds))
    for name, of_place in kinds.items():
        some_once(of_place)
        if "act" in of_place:
            ENVIRONMENTS.check([name])
            if of_place != ("act",):
                raise ValueError(f"{name}: in an environment the one intervention is act")
        else:
            SCENARIOS.check([name])
    return kinds


@schema
class InterventionConfig(PairedConfig):
    """eval/run_interventions.py"""

    interventions: Annotated[dict[str, tuple[Intervention, ...]], AfterValidator(_known_places)]
    """What is done to one disc, by scenario; `act` in an environment: the agent acts where it would not."""
    splits: Annotated[tuple[Literal["id", "ood", "more", "textures"], ...], AfterValidator(some_once)] = ("id",)
    """Of the scenarios that have them; `more` has discs beside that nothing reaches."""
    context_frames: Positive = 8
    pairs: Positive = 32
    """Scenes of each scenario, intervention and split."""
    shown: NotNegative = 1
    """Pairs of each whose pictures the page shows."""

    def __post_init__(self) -> None:
        self.check_names(NO_EFFECT, OTHER_SCENE)
        self.physics(self.context_frames)


@schema
class HiddenConfig(PairedConfig):
    """eval/run_hidden.py"""

    scenarios: Annotated[tuple[Literal["hidden_mass", "hidden_restitution"], ...], AfterValidator(some_once)] = (
        "hidden_mass",
        "hidden_restitution",
    )
    splits: Annotated[tuple[Literal["id", "ood"], ...], AfterValidator(some_once)] = ("id",)
    """`ood`: properties outside the range trained on, too."""
    before_frames: Positive = 4
    """Frames shown of rollouts that begin before the reveal."""
    after_frames: Positive = 8
    """Frames shown of rollouts that begin after the reveal and before the test."""
    pairs: Positive = 48
    """Clips of each scenario and split that are rolled out, each with the same of another property."""
    fitted: Annotated[int, Field(ge=8)] = 256
    """Clips of each scenario's `val` split that probes are fitted to; they are read on `id` and `ood`."""
    read: Annotated[int, Field(ge=8)] = 128
    """Clips that they are read on."""

    def __post_init__(self) -> None:
        if not self.before_frames < self.after_frames:
            raise ValueError(f"before_frames {self.before_frames} must be fewer than after_frames {self.after_frames}")
        self.check_names(WITHOUT_MEMORY)
        self.physics(self.before_frames)
        self.physics(self.after_frames)
