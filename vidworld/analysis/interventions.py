"""What an evaluation of interventions leaves behind: interventions.json."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from pydantic.dataclasses import dataclass

from vidworld.analysis.records import STRICT, ModelResults, Row, Value

NO_EFFECT, OTHER_SCENE = "no_effect", "other_scene"
"""Answers that need no model: that nothing follows from the change; what truly follows from it in another scene."""


@dataclass(frozen=True, config=STRICT)
class Reach:
    """How far down chains, in which one disc was changed, a model's events come when they should."""

    model: str
    readout: str
    change: str
    """What was done, and in which split: the row's `split`."""
    shares: list[float]
    """Of chains with so many links or more: the share in which the first, the first two, ... come when they should."""
    counts: list[int]
    """Of those chains."""


@dataclass(frozen=True, config=STRICT)
class PairStrip:
    """Pictures of a pair: without the change above, with it below; the context and what came or was predicted."""

    task: str
    change: str
    identity: str
    model: str
    """Or `truth`."""
    file: str
    """PNG, below the folder of the results."""


@dataclass(frozen=True, config=STRICT)
class InterventionResults(ModelResults):
    """interventions.json: rows by model, readout, scenario (`task`), change (`split`) and metric."""

    rows: list[Row]
    reach: list[Reach]
    strips: list[PairStrip]
    context_frames: int
    failures: list[str]


def reach_of(values: Iterable[Value]) -> Iterator[Reach]:
    """Of every model, from how far it is right in each chain and how long that is (the truth's own reach)."""
    found: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for value in values:
        if value.metric == "chain_reach":
            found[value.model, value.readout or "", value.split][value.identity] = value.value
    for (model, readout, change), reach in found.items():
        links = found["truth", "pixels", change]
        yield Reach(model, readout, change, *_shares([(reach[name], links[name]) for name in reach]))


def _shares(chains: Sequence[tuple[float, float]]) -> tuple[list[float], list[int]]:
    shares, counts = [], []
    for length in range(1, int(max(links for _, links in chains)) + 1):
        long_enough = [reach for reach, links in chains if links >= length]
        counts.append(len(long_enough))
        shares.append(sum(reach >= length for reach in long_enough) / len(long_enough))
    return shares, counts
