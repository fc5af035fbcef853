"""Measure how fast it all is: python eval/run_bench.py [--out runs/bench]. Needs no trained model.

Everything is measured in one run on one core (or `--cores`), ours and what a user would take instead in turn. About
six minutes.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from speed import cases
from speed.bench import measure, measure_growth
from speed.cases import BASE, DEMO, Case
from speed.page import write_page
from speed.timing import memory_copy, rates, square_product
from vidworld.core.errors import ArgumentParser, UserError, run_script
from vidworld.core.records import prepare_folder, provenance, write_json
from vidworld.training.run import why_not_compile

CLIPS = 8
"""Of a training step, as in configs/demo."""
BASE_CLIPS = 16
"""Of a step at the size of configs/base, which has 256 for all processes."""
CASES = 15
"""For the progress bar."""


def main() -> None:
    arguments = parse()
    out = prepare_folder(arguments.out)
    keep_to(arguments.cores)
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    torch.manual_seed(0)

    compiled = not arguments.eager and why_not_compile(device) is None
    best = rates({"square product": square_product(device), "copy": memory_copy(device)}, arguments.seconds)
    limits = {name: round(rate / 1e9, 1) for name, rate in best.items()}
    with tempfile.TemporaryDirectory() as folder:
        made = tqdm(all_cases(device, compiled, Path(folder)), "bench", CASES, disable=None)
        rows = list(measure(made, arguments.seconds))
    growth = [] if arguments.no_growth else measure_growth(device, arguments.seconds)

    record = provenance(0)
    settings = {"cores": arguments.cores, "compiled": compiled, "limits_g_per_s": limits}
    found = {"rows": [asdict(row) for row in rows], "growth": [asdict(curve) for curve in growth]}
    write_json(out / "bench.json", {"schema": 1, "provenance": record, **settings, **found})
    machine = f"{record['cpu']}, {arguments.cores} core{'s' * (arguments.cores > 1)}, {device.type}"
    page = write_page(out / "bench.html", rows, growth, machine)
    for row in rows:
        beside = "" if row.ratio is None else f", {row.ratio:.2f} x {row.peer_name}"
        share = "" if row.share_of_limit is None else f", {row.share_of_limit:.0%} of the limit"
        print(f"{row.name}: {row.ours:.4g} {row.unit}{beside}{share}")
    print(f"{out / 'bench.json'}: {len(rows)} rows; {page}")


def all_cases(device: torch.device, compiled: bool, folder: Path) -> Iterator[Case]:
    """Each case, made when its turn comes."""
    yield from cases.clip_cases(64)
    yield from cases.reading_cases(folder)
    yield from cases.tokenizer_cases(CLIPS, device)
    yield from cases.world_cases(DEMO, 4, device)
    yield from cases.planning_cases(DEMO, device)
    yield from cases.training_cases(DEMO, CLIPS, device, compiled)
    yield from cases.training_cases(BASE, BASE_CLIPS, device, compiled)


def keep_to(cores: int) -> None:
    """Keep the process and torch to so many cores from here on. Raises UserError: there are not so many."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores > there:
        raise UserError(f"--cores {cores}: there are {there} cores; choose no more")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    torch.set_num_threads(cores)


def parse() -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--out", type=Path, default=Path("runs/bench"))
    add("--cores", type=int, default=1, help="cores that everything keeps to (default: %(default)s)")
    add("--seconds", type=float, default=8.0, help="about how long a case is measured (default: %(default)g)")
    add("--eager", action="store_true", help="without compiled blocks")
    add("--no-growth", action="store_true", help="without the curves of growth")
    arguments = parser.parse_args()
    if arguments.cores < 1 or not arguments.seconds > 0:
        raise UserError("--cores and --seconds: both must be above 0")
    return arguments


if __name__ == "__main__":
    run_script(main)
