"""Simulated clips are those of the golden values, or the version says that they are others."""

import copy
import json

import pytest
from golden import simulation

from vidworld.simulation import APART, SCENARIOS, SIMULATOR_VERSION


@pytest.fixture(scope="module")
def golden():
    return json.loads(simulation.PATH.read_text())


@pytest.fixture(scope="module")
def measured():
    return simulation.measured()


@pytest.mark.thorough
def test_no_clip_has_changed_under_its_version(golden, measured):
    assert simulation.faults(golden, measured) == []


def test_a_change_asks_for_a_version_and_a_version_for_golden_values(golden):
    now = copy.deepcopy(golden)
    now["laws"]["solidity"]["values"]["ood b"][3][0] += 3 * simulation.TOLERANCE
    (line,) = simulation.faults(golden, now)
    assert line.startswith("law solidity: its clips changed and its version did not: raise it in `versions` of LAWS")
    assert simulation.changed_without_version(golden, now) == [line]
    now["laws"]["solidity"]["version"] += 1
    (line,) = simulation.faults(golden, now)
    assert line.startswith("law solidity: ") and line.endswith("python tests/golden/simulation.py")
    assert simulation.changed_without_version(golden, now) == []


def test_a_scenario_needs_golden_values_and_rounding_no_version(golden):
    now = copy.deepcopy(golden)
    now["scenarios"]["bounce"]["values"]["id"][0][0] += simulation.TOLERANCE / 3
    assert simulation.faults(golden, now) == []
    now["scenarios"]["snow"] = now["scenarios"].pop("bounce")
    assert [line.split(":")[0] for line in simulation.faults(golden, now)] == ["scenario bounce", "scenario snow"]


@pytest.mark.thorough
def test_the_simulators_version_stands_for_all(golden, measured):
    now = measured | {"simulator": SIMULATOR_VERSION + 1}
    (line,) = simulation.faults(golden, now)
    assert line.startswith(f"SIMULATOR_VERSION is {SIMULATOR_VERSION + 1}")


@pytest.mark.thorough
def test_golden_values_are_not_written_over_a_change_without_a_version(golden, measured, tmp_path, monkeypatch):
    changed = copy.deepcopy(golden)
    changed["scenarios"]["uniform"]["values"]["id"][0][0] += 1.0
    path = tmp_path / "simulation.json"
    path.write_text(json.dumps(changed))
    monkeypatch.setattr(simulation, "PATH", path)
    monkeypatch.setattr(simulation, "measured", lambda: measured)
    with pytest.raises(SystemExit, match="scenario uniform: its clips changed and its version did not"):
        simulation.main()
    path.unlink()
    simulation.main()
    assert path.read_text() == simulation.as_text(measured)


def test_what_lies_apart_has_no_weight():
    assert [name for name in APART if SCENARIOS[name].weight] == []
