"""Metrics compute the golden values, or their version says that they compute others."""

import copy
import json

import pytest
from golden import metrics

from vidworld.metrics import METRICS


@pytest.fixture(scope="module")
def golden():
    return json.loads(metrics.PATH.read_text())


def test_no_metric_has_changed_under_its_version(golden):
    assert metrics.changed(golden, metrics.measured()) == []


def test_every_metric_has_values_that_tell(golden):
    assert {name for name in METRICS if METRICS[name].takes != "benchmark"} < golden.keys()
    for name, held in golden.items():
        numbers = {value for values in held["values"].values() for value in values if value is not None}
        assert len(numbers) > 1, name


def test_a_mended_metric_asks_for_a_version_and_a_version_for_golden_values(golden):
    now = copy.deepcopy(golden)
    now["velocity_error"]["values"]["faster"][0] += 0.01
    (line,) = metrics.changed(golden, now)
    assert line.startswith("metric velocity_error: its values changed and its version did not")
    now["velocity_error"]["version"] += 1
    (line,) = metrics.changed(golden, now)
    assert line.endswith("python tests/golden/metrics.py")
