"""Every metric is registered by its own name and says what it measures."""

import pytest

from vidworld.core.errors import UserError
from vidworld.metrics import METRICS, by_benchmark


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_has_its_name_and_a_description(name):
    metric = METRICS[name]
    assert metric.name == name
    assert metric.description.endswith(".")
    assert (metric.takes == "benchmark") == (metric.function is by_benchmark)


def test_an_unknown_metric_is_named_with_the_nearest():
    with pytest.raises(UserError, match="did you mean velocity_error"):
        METRICS["velocity_eror"]
