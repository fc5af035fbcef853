"""Measure what agents reach that imagine what comes of their actions.

accelerate launch eval/run_planning.py [--config FILE] [key=value ...] [--budgets 4,8,16,32,64] [--steps 1,2,4]
    [--planners cem,mppi]

A run that was stopped goes on where it was. models.NAME=SPEC adds a model that takes actions; --budgets runs every
protocol at several numbers of candidates, and --steps plans with diffusion models at several numbers of sampling steps,
for success against compute; --planners cem,mppi runs every protocol with each of these; --episodes-for 0.05 says how
many episodes make every share certain to five points.
"""

import argparse
from pathlib import Path

from vidworld.core.config import load
from vidworld.core.errors import ArgumentParser, run_script
from vidworld.planning import PLANNERS
from vidworld.planning.schema import PlanningConfig


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/plan/planning.yaml"), metavar="FILE")
    parser.add_argument("--budgets", type=_counts, default=(), metavar="N,N,...", help="numbers of candidates")
    parser.add_argument("--steps", type=_counts, default=(), metavar="N,N,...", help="sampling steps of diffusion")
    parser.add_argument("--planners", type=_planners, default=(), metavar="NAME,NAME,...", help="in place of one")
    parser.add_argument("--episodes-for", type=float, metavar="MARGIN", help="say how many episodes a margin takes")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="replaces the file's value")
    arguments = parser.parse_intermixed_args()
    if arguments.episodes_for is not None:
        from vidworld.analysis.statistics import episodes_for

        margin = arguments.episodes_for
        print(f"{episodes_for(margin)} episodes: no share of successes is then uncertain by more than {margin:g}")
        return
    config = load(PlanningConfig, arguments.config, arguments.overrides)
    # Imported now: a wrong key or name was said without waiting for torch.
    from vidworld.planning.run import plan
    from vidworld.report.planning_page import planning_summary

    results = plan(config, arguments.budgets, arguments.steps, arguments.planners)
    if results.rows:
        print(planning_summary(results))
        print(f"{config.out / 'planning.json'}: {len(results.rows)} rows; eval/make_planning.py makes its page")


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: positive numbers, for instance 4,8,16,32,64, would do")
    return counts


def _planners(text: str) -> tuple[str, ...]:
    try:
        return tuple(PLANNERS.known(name.strip()) for name in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    run_script(main)
