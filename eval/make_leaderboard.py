"""Merge results of any number of runs: python eval/make_leaderboard.py runs/a runs/b [--out leaderboard.html]."""

from pathlib import Path

from vidworld.core.errors import ArgumentParser, run_script
from vidworld.report.leaderboard import write_leaderboard


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="+", help="results.json files, or folders that hold some")
    parser.add_argument("--out", type=Path, default="leaderboard.html", help="the page to write (default: %(default)s)")
    arguments = parser.parse_args()
    page, rows = write_leaderboard(arguments.results, arguments.out)
    print(f"{page}: {rows} rows ({page.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    run_script(main)
