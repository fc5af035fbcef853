"""Makes the page of planning from its results: python eval/make_planning.py [runs/demo/planning] [--out FILE]."""

from pathlib import Path

from vidworld.core.errors import ArgumentParser, run_script
from vidworld.report.planning_page import write_planning_page


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=Path("runs/demo/planning"), help="a folder of results")
    parser.add_argument("--out", type=Path, help="the page to write (default: planning.html in that folder)")
    arguments = parser.parse_args()
    print(write_planning_page(arguments.results, arguments.out or arguments.results / "planning.html"))


if __name__ == "__main__":
    run_script(main)
