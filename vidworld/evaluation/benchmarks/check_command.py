"""`vidworld data check KIND FOLDER`: whether a benchmark's folder is complete, and what is missing."""

import argparse
from collections import Counter
from pathlib import Path

from vidworld.core.command import Command
from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks import BENCHMARKS
from vidworld.evaluation.benchmarks.benchmark import check


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", help=", ".join(BENCHMARKS))
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the benchmark was unpacked")
    parser.add_argument("--layout", action="store_true", help="only say how the folder should look")


def _run(arguments: argparse.Namespace) -> None:
    benchmark = BENCHMARKS[arguments.kind]
    if arguments.layout:
        print(f"{benchmark.label} ({benchmark.source})\n{benchmark.layout}")
        return
    if missing := check(benchmark, arguments.folder):
        raise UserError("\n".join(missing))
    counts = Counter(entry.property for entry in benchmark.entries(arguments.folder))
    parts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    print(f"{arguments.folder}: complete, {sum(counts.values())} videos ({parts})")


CHECK = Command(_add_arguments, _run)
