"""What was found inside models: a probe a row of probes.json, a steering of steering.json, a map of maps.json,
and a feature of dictionary.json."""

from pydantic import Field
from pydantic.dataclasses import dataclass

from vidworld.analysis.records import STRICT, ModelResults, Number

SHUFFLED, ORDER = "shuffled labels", "frames in another order"
"""Controls of probes: other samples' answers, and frames of which nobody knows the order."""


@dataclass(frozen=True, config=STRICT)
class ProbeRow:
    """How well one concept is read out of one layer of a model, on clips that no probe was fitted to."""

    model: str
    layer: str
    depth: Number
    """0 for what the model is given, 1 for its last layer."""
    concept: str
    probe: str
    """`ridge`, or `mlp`: a small network over the components of the same features."""
    control: str
    """Empty, or what was made wrong."""
    metric: str
    """`R2`, or `accuracy` of two answers that are equally frequent."""
    value: Number
    low: Number
    high: Number
    """Between these it lies in 95% of the resamplings of clips."""
    chosen: Number
    """The same on the clips that penalties are chosen on, by which the best layer is chosen, too."""
    selectivity: Number
    """How much more than with shuffled labels."""
    clips: int
    samples: int


@dataclass(frozen=True, config=STRICT)
class SteeringRow:
    """What came of steering one concept at one layer."""

    model: str
    layer: str
    concept: str
    direction: str
    """`probe`, `means` (of so many dimensions), `exchanged`, `random`, or `ablated` and `random ablated`."""
    dimensions: int
    readout: str
    """By what the future was read: `probe`, `pixels`, or `tokens` (of what is hidden)."""
    slope: Number
    """Of what was achieved against the target; 1 is all of it. Of an ablation: of what is left of the concept."""
    low: Number
    high: Number
    others: Number
    """How much the other discs changed, over how much the steered one did."""
    others_high: Number
    read: Number
    """Share of the futures in which the steered disc is found both before and after."""
    best: bool
    """The layer that was chosen on other clips."""
    chosen: Number
    """The slope there."""
    clips: int


@dataclass(frozen=True, config=STRICT)
class MapRow:
    """Where surprise or attention lies, as a share of all of it."""

    model: str
    layer: str
    head: int
    """-1 where it concerns all."""
    what: str
    value: Number
    low: Number
    high: Number
    uniform: Number
    """The share if it lay evenly."""
    clips: int


@dataclass(frozen=True, config=STRICT)
class DictionaryRow:
    """How a model's states are written in features, or how far the feature that fits a concept best goes with it."""

    model: str
    layer: str
    code: str
    """`dictionary`, or what it is compared with: `neurons`, `principal components`."""
    control: str
    """Empty, or what was made wrong."""
    concept: str
    """Empty where it concerns the states or all features."""
    metric: str
    """`rank correlation`, `AUROC`; of states `R2`, `L0`; of features the shares `never active`, `follow a concept`."""
    feature: int
    """The one that was chosen on other clips; -1 where it concerns all."""
    value: Number
    low: Number
    high: Number
    clips: int


@dataclass(frozen=True, config=STRICT)
class FeatureRow:
    """One feature of a dictionary, the concept that it goes with best on other clips, and what it is most active at."""

    model: str
    feature: int
    active: Number
    """The share of cells in which it is above 0."""
    concept: str
    metric: str
    value: Number
    low: Number
    high: Number
    exciting: list[str]
    """The clips where it is most active, each with row and column of the cell: `uniform/id/0/17 at 3,5`."""


@dataclass(frozen=True, config=STRICT)
class Strip:
    """A picture of the page, below the folder of the results."""

    title: str
    file: str


@dataclass(frozen=True, config=STRICT)
class ProbeResults(ModelResults):
    """probes.json."""

    concepts: dict[str, str]
    """What each concept is, in words."""
    rows: list[ProbeRow]


@dataclass(frozen=True, config=STRICT)
class SteeringResults(ModelResults):
    """steering.json."""

    rows: list[SteeringRow]
    strips: list[Strip] = Field(default_factory=list)


@dataclass(frozen=True, config=STRICT)
class MapResults(ModelResults):
    """maps.json."""

    rows: list[MapRow]
    strips: list[Strip] = Field(default_factory=list)


@dataclass(frozen=True, config=STRICT)
class DictionaryResults(ModelResults):
    """dictionary.json."""

    rows: list[DictionaryRow]
    features: list[FeatureRow]
    """Of each model those that go with a concept best."""
    strips: list[Strip] = Field(default_factory=list)
