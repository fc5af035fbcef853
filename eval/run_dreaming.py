"""Dreaming and doing: rounds of collecting by the planner, training on all so far, and planning by learned reward.

python eval/run_dreaming.py --config configs/plan/dreaming.yaml [key=value ...]

Beside it goes as many episodes of random actions with the same trainings. What was stopped goes on where it was;
OUT/dreaming.json has a row for each round and arm.
"""

import argparse
from pathlib import Path

from vidworld.core.config import load
from vidworld.core.errors import ArgumentParser, run_script
from vidworld.planning.schema import DreamingConfig


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/plan/dreaming.yaml"), metavar="FILE")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="replaces the file's value")
    arguments = parser.parse_intermixed_args()
    config = load(DreamingConfig, arguments.config, arguments.overrides)
    from vidworld.evaluation.evaluator import evaluation_accelerator
    from vidworld.planning.dreaming import Dreaming

    for row in Dreaming(config, evaluation_accelerator(config.mixed_precision)).run():
        found = row.success
        reached = f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}] of the goals are reached"
        print(f"round {row.round}, {row.arm}: {row.episodes} episodes; {reached}, mean cost {row.cost:.2f}")


if __name__ == "__main__":
    run_script(main)
