"""Measure the measures: python eval/calibrate.py [--out runs/calibration]. Needs no trained model.

Plants faults of known sizes in true tracks or their pictures, renders them again and reads them back; and measures
models that need no training. What cues tell of laws is read from vidworld/analysis/cues.json (eval/measure_cues.py).
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from vidworld.analysis.records import Calibration
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import ArgumentParser, run_script
from vidworld.core.records import prepare_folder, provenance, write_json
from vidworld.evaluation.calibration import INJECTED_ERRORS, calibrate, measure_baselines
from vidworld.evaluation.picture_errors import PICTURE_ERRORS
from vidworld.report.calibration_page import write_page
from vidworld.simulation import SCENARIOS

MIN_CLIPS = 10
"""Fewer have no interval worth the name."""
MIN_WIDTH_PX = 16
"""Discs are narrower than two pixels on smaller pictures."""


def main() -> None:
    arguments = parse()
    out = prepare_folder(arguments.out)
    setting = ClipShape(width_px=arguments.width, height_px=arguments.width)
    start = setting.num_frames // 2
    scenarios = [name for name in SCENARIOS if not name.startswith("phyworld")]

    errors = (*INJECTED_ERRORS, *PICTURE_ERRORS)
    curves = tqdm(calibrate(setting, start, arguments.clips, errors), "planted faults", len(errors), disable=None)
    rows = [row for found in curves for row in found]
    baselines = [
        row
        for scenario in tqdm(scenarios, "baselines", disable=None)
        for row in measure_baselines(setting, start, arguments.clips, scenario)
    ]
    calibration = Calibration(3, provenance(0), rows, baselines)
    write_json(out / "calibration.json", asdict(calibration))
    page = write_page(out / "calibration.html", calibration)
    print(f"{out / 'calibration.json'}: {len(rows)} rows of planted faults; {page}")


def parse() -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/calibration"))
    parser.add_argument("--clips", type=at_least(MIN_CLIPS), default=200, help="clips a fault")
    parser.add_argument("--width", type=at_least(MIN_WIDTH_PX), default=64, help="pixels of a picture's side")
    return parser.parse_args()


def at_least(least: int) -> Callable[[str], int]:
    """Reads a whole number that is no smaller."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of {least} or more")
        return int(text)

    return number


if __name__ == "__main__":
    run_script(main)
