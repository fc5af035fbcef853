"""What the names in a results.json mean, so that its page needs neither the metrics nor another package's laws."""

from collections.abc import Iterable

from vidworld.analysis.records import Labels, Value
from vidworld.metrics import METRICS
from vidworld.simulation import LAWS

FURTHER_LAWS = {
    "uniform motion": "Left alone, a thing keeps its velocity; thrown, it follows its parabola.",
    "reconstruction": "What the tokenizer keeps of a clip: no model that is decoded can be better.",
    "jump": "Real video: nothing leaps from one place to another.",
    "freeze": "Real video: what moves does not stop dead.",
    "missing": "Real video: nothing vanishes.",
}
"""What is measured under a name that is no law of quadruplets."""


def glossary(values: Iterable[Value]) -> Labels:
    """The laws and metrics of these values, in the order in which they are listed.

    Raises:
        UserError: a metric is not registered.
    """
    found = {(value.law, value.metric) for value in values}
    laws, metrics = {law for law, _ in found}, {metric for _, metric in found}
    METRICS.check(sorted(metrics))
    statements = {law: LAWS[law].statement for law in LAWS if law in laws}
    return Labels(
        laws=statements | {law: text for law, text in FURTHER_LAWS.items() if law in laws},
        metrics={name: METRICS[name].description for name in METRICS if name in metrics},
    )
