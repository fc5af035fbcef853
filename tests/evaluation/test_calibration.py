"""Calibration: the detection limit by hand, curves that rise, and the script as a user would run it."""

import json
import math

import pytest
import scripts

from vidworld.analysis.statistics import Interval
from vidworld.core.clip_shape import ClipShape
from vidworld.evaluation.calibration import INJECTED_ERRORS, calibrate, measure_baselines, smallest_seen
from vidworld.evaluation.picture_errors import PICTURE_ERRORS

SCRIPT = "eval/calibrate.py"
SIZES = (0.0, 1.0, 2.0, 4.0)
ERRORS = (*INJECTED_ERRORS, *PICTURE_ERRORS)


def intervals(*bounds):
    return [Interval((low + high) / 2, float(low), float(high), 10) for low, high in bounds]


@pytest.mark.parametrize(
    ("bounds", "higher_is_better", "limit"),
    [
        ([(0, 1), (0.5, 1.5), (1.1, 2), (3, 4)], False, 2.0),
        ([(0, 1), (1.1, 2), (0.9, 2), (3, 4)], False, 4.0),  # a size that falls back undoes those before it
        ([(0, 0), (0.1, 0.1), (0.2, 0.2), (0.4, 0.4)], False, 1.0),
        ([(0, 1), (0, 1), (0, 1), (0, 1)], False, None),
        ([(0, 1), (0.5, 1.5), (1.1, 2), (0.5, 4)], False, None),
        ([(0.9, 1), (0.85, 0.95), (0.5, 0.8), (0.1, 0.2)], True, 2.0),
        ([(0.9, 1), (1.1, 1.2), (1.1, 1.2), (1.1, 1.2)], True, None),  # better is no fault
        ([(0.9, 1.1), (0.95, 1.2), (1.2, 1.3), (0.5, 0.6)], None, 2.0),
        ([(math.nan, math.nan)] * 4, False, None),
    ],
)
def test_detection_limit_by_hand(bounds, higher_is_better, limit):
    found = smallest_seen(SIZES, intervals(*bounds), higher_is_better)
    assert math.isnan(found) if limit is None else found == limit


@pytest.mark.thorough
def test_a_speed_fault_reads_as_its_size_by_tracks():
    """The energy of a disc that is faster by a tenth is higher by 21%, and its momentum by 10%."""
    fault = next(fault for fault in INJECTED_ERRORS if fault.name == "speed")
    (rows,) = calibrate(ClipShape(), 8, 10, [fault])
    found = {(row.metric, row.size): row for row in rows if row.readout == "tracks"}
    assert found["momentum_drift", 10.0].value == pytest.approx(0.1, rel=1e-6)
    assert found["energy_drift", 10.0].value == pytest.approx(0.21, rel=1e-6)
    assert found["motion_ratio", 10.0].value == pytest.approx(1.1, rel=1e-6)
    # Three samples, two of them 10% too fast and one 10% too slow: each d from the truth, and 2 d from another.
    off = found["best_of_n_error", 10.0].value
    assert found["energy_score", 10.0].value == pytest.approx(off - 2 * off * 2 / 3 / 2, rel=1e-6)
    assert found["error_of_mean", 10.0].value == pytest.approx(off / 3, rel=1e-6)
    assert found["determinism_spread", 10.0].value == pytest.approx(off * (4 / 3) ** 0.5, rel=1e-6)
    assert all(row.monotone == 1 for row in found.values())
    assert all(row.noise_floor < 1e-6 or row.metric == "motion_ratio" for row in found.values())
    by_pixels = {(row.metric, row.size): row for row in rows if row.readout == "pixels"}
    assert by_pixels["velocity_error", 0.0].value == by_pixels["velocity_error", 20.0].noise_floor > 0.01
    assert by_pixels["velocity_error", 20.0].value == pytest.approx(found["velocity_error", 20.0].value, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ERRORS, ids=lambda fault: fault.name)
def test_every_curve_rises_and_every_fault_is_found(fault):
    """As `make calibrate` measures them."""
    (rows,) = calibrate(ClipShape(), 8, 200, [fault])
    for row in rows:
        assert row.monotone == pytest.approx(1.0), (row.metric, row.readout)
        assert row.detection_limit <= fault.sizes[-1], (row.metric, row.readout)
        if fault.name == "speed" and row.metric == "velocity_error":
            assert row.detection_limit <= 2.0


def test_baselines_lie_between_the_truth_and_standing_still():
    rows = {(r.model, r.metric): r for r in measure_baselines(ClipShape(), 8, 10, "uniform")}
    truth, frozen, inertia = (
        rows[model, "velocity_error"].value for model in ("truth", "copy_last", "constant_velocity")
    )
    assert truth < 0.1 and inertia < 0.3 and frozen > 1
    assert rows["truth", "motion_ratio"].value == pytest.approx(1, abs=0.05)
    assert rows["copy_last", "motion_ratio"].value == pytest.approx(0, abs=0.05)
    assert rows["truth", "object_integrity"].value > 0.99 and rows["copy_last", "object_integrity"].value > 0.99


def run(capsys, *arguments):
    """Exit code, what was printed, and what was complained of."""
    code = scripts.run(SCRIPT, *arguments)
    return code, *capsys.readouterr()


@pytest.mark.thorough
@pytest.mark.slow
def test_the_script_writes_rows_and_a_page(tmp_path, capsys):
    code, _, errors = run(capsys, "--out", tmp_path, "--clips", 10, "--width", 32)
    assert (code, errors) == (0, "")  # no bars where nobody watches
    content = json.loads((tmp_path / "calibration.json").read_text())
    assert content["schema"] == 3 and content["provenance"]["versions"]["vidworld"]
    assert {
        "law", "metric", "readout", "fault", "size", "value", "noise_floor", "detection_limit"
    } <= set(content["results"][0])  # fmt: skip
    named = {(row["fault"], row["metric"], row["readout"], row["size"]) for row in content["results"]}
    assert named == {
        (fault.name, metric, readout, float(size))
        for fault in ERRORS
        for metric in fault.metrics
        for readout in fault.readouts
        for size in (0, *fault.sizes)
    }
    assert {row["model"] for row in content["baselines"]} == {"truth", "copy_last", "constant_velocity"}
    page = (tmp_path / "calibration.html").read_text()
    assert page.count('class="plot lines"') == sum(len(fault.metrics) for fault in ERRORS)
    assert "Detection limits" in page and ">nan" not in page
    assert "motion energy, before" in page and "Legacy momentum" in page


@pytest.mark.parametrize("arguments", [["--clips", "3"], ["--clips", "many"], ["--width", "8"], ["--cips", "9"]])
def test_wrong_arguments_are_one_line(arguments, capsys):
    code, printed, errors = run(capsys, *arguments)
    assert code == 2 and printed == ""
    assert errors.startswith("error: ") and errors.count("\n") == 1 and arguments[0] in errors


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, _, errors = run(capsys, "--out", tmp_path / "file", "--clips", 10)
    assert code == 2 and errors.startswith("error: ") and errors.count("\n") == 1
