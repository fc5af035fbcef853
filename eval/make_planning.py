"""Make the page of planning from its results: python eval/make_planning.py [runs/plan/planning ...] [--out FILE].

The page is of the first folder; the checkpoints of all of them count where offline checks are compared with success.
"""

from pathlib import Path

from vidworld.analysis.planning import read_planning
from vidworld.core.errors import ArgumentParser, UserError, run_script
from vidworld.report.planning_page import correlation_lines, lost_videos, write_planning_page


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    usual = Path("runs/plan/planning")
    parser.add_argument("results", type=Path, nargs="*", default=[usual], help="folders of results")
    parser.add_argument("--out", type=Path, help="the page to write (default: planning.html in the first folder)")
    arguments = parser.parse_args()
    first, *others = arguments.results or [usual]
    for folder in (first, *others):
        if not (folder / "planning.json").exists():
            said = f"{folder}: holds no planning.json, which a run of eval/run_planning.py writes at its end"
            raise UserError(f"{said}; begun again, a run that was stopped goes on where it was")
    every = [read_planning(folder / "planning.json") for folder in (first, *others)]
    for line in (*correlation_lines(every), *lost_videos(every[0], first)):
        print(line)
    if others:
        print(f"the page is of {first}; of the other {len(others)} the checkpoints count where checks are compared")
    print(write_planning_page(first, arguments.out or first / "planning.html", others))


if __name__ == "__main__":
    run_script(main)
