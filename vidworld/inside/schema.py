"""Every key that the configuration of a look inside may hold."""

from typing import Annotated

from pydantic import Field

from vidworld.core.config import NotNegative, Positive, Share, schema
from vidworld.evaluation.schema import ModelsConfig, PhysicsConfig


@schema
class InsideConfig(ModelsConfig):
    """eval/run_probes.py, eval/run_steering.py, eval/run_maps.py, eval/run_dictionary.py

    Models are our own, or give hidden states: vjepa2:FOLDER, python:module.A. Steered futures are read by the probes.
    """

    context_frames: Positive = 8
    """What is shown; states are those of the last chunk."""
    fit: Annotated[int, Field(ge=8)] = 800
    """Clips that probes are fitted to, of the split val."""
    choose: Annotated[int, Field(ge=8)] = 250
    """Further clips of it, on which penalties, layers and directions are chosen."""
    test: Annotated[int, Field(ge=8)] = 400
    """Clips of the split id, which are reported."""
    quadruplets: Positive = 200
    """The same for what is hidden: that are fitted to; half as many are chosen on, and as many are reported."""
    untrained: bool = True
    """Whether untrained networks of the same forms are read, too."""
    steered: Positive = 64
    """Clips that are steered and reported; a third as many are chosen on."""
    pairs: Positive = 64
    """Quadruplets whose surprise and attention are mapped."""
    dictionary_depth: Share = 0.8
    """Which layer's states a dictionary is made of: 1 is the last."""
    dictionary_features: Positive = 256
    dictionary_active: Positive = 8
    """Features that may be active in the state of one cell."""
    dictionary_steps: Positive = 3000
    """Of training a dictionary, each on 512 cells."""
    shown: NotNegative = 2
    """Clips that the page shows of each model."""
    clips_at_once: Positive = 25

    def __post_init__(self) -> None:
        self.physics  # noqa: B018  (names and models are checked)
        if self.dictionary_active > self.dictionary_features:
            active, there = self.dictionary_active, self.dictionary_features
            raise ValueError(f"dictionary_active {active}: there are only {there} dictionary_features")

    @property
    def physics(self) -> PhysicsConfig:
        """The keys of an evaluation that models are loaded by."""
        return self.physics_with(context_frames=self.context_frames, oracle=False)
