"""Labels, order and colours on a page: those of models follow from their order in the results alone."""

from dataclasses import dataclass, field

from vidworld.analysis.labels import Models, model_label, model_rank, rank
from vidworld.analysis.records import Labels, Results

HUES = 8
"""Colours of models; style.css has as many, `hue0` and so on."""
REFERENCE_COLOURS = ("truth", "reconstruction", "copy_last", "constant_velocity")
"""References that have a colour of their own; everything else is a control and grey."""


@dataclass(frozen=True)
class Legend:
    """What the names in a results.json are called and which colour they have, the same in every picture."""

    models: Models = field(default_factory=dict)
    labels: Labels = field(default_factory=Labels)

    @staticmethod
    def of(results: Results) -> "Legend":
        """The legend of one evaluation."""
        return Legend(results.models, results.labels)

    def label(self, name: str) -> str:
        return model_label(name, self.models)

    def rank(self, name: str) -> int:
        return model_rank(name, self.models)

    def color(self, name: str) -> str:
        """The class of its colour."""
        if name in self.models:
            return f"hue{list(self.models).index(name) % HUES}"
        return name if name in REFERENCE_COLOURS else "control"

    def hue(self, number: int) -> str:
        """The colour of a line that belongs to no model: those after the models'."""
        return f"hue{(len(self.models) + number) % HUES}"

    def law(self, name: str) -> str:
        """What a law says; empty where the results do not tell."""
        return self.labels.laws.get(name, "")

    def law_rank(self, name: str) -> int:
        return rank(self.labels.laws, name)

    def metric(self, name: str) -> str:
        """What a metric measures; empty where the results do not tell."""
        return self.labels.metrics.get(name, "")
