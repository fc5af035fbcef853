"""Energy counters, as Linux shows them, and a machine that tells nothing."""

import pytest

from vidworld.core.energy import energy_counters, joules_between


def packages(root, *microjoules):
    for number, value in enumerate(microjoules):
        for name, file in (("package", f"intel-rapl:{number}"), ("core", f"intel-rapl:{number}:0")):
            (root / file).mkdir(exist_ok=True, parents=True)
            (root / file / "name").write_text(f"{name}-{number}\n")
            (root / file / "energy_uj").write_text(f"{value}\n")
            (root / file / "max_energy_range_uj").write_text("10000000\n")
    return energy_counters(root)


def test_packages_are_added_up_and_counters_begin_again(tmp_path):
    before = packages(tmp_path, 2_000_000, 9_000_000)
    after = packages(tmp_path, 3_500_000, 1_000_000)
    assert list(before) == ["intel-rapl:0", "intel-rapl:1"]
    assert joules_between(before, after) == pytest.approx(1.5 + 2.0)


def test_a_machine_that_does_not_tell(tmp_path):
    assert energy_counters(tmp_path) == energy_counters(tmp_path / "nowhere") == {}
    assert joules_between({}, {}) is None
    packages(tmp_path, 1)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert energy_counters(tmp_path) == {}
