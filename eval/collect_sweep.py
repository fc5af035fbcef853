"""Make one table of a sweep, and of several seeds one report: python eval/collect_sweep.py runs/seeds.

Comparisons that are not finished are listed with how far they are; run it again at any time.
"""

from pathlib import Path

from vidworld.core.errors import ArgumentParser, run_script
from vidworld.evaluation.sweep import collect
from vidworld.report.page import write_report


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("sweep", type=Path, help="a folder that slurm/sweep made: holds KEY_VALUE/")
    sweep = parser.parse_args().sweep
    table = collect(sweep)
    print(table.read_text(encoding="utf-8"), end="")
    if (sweep / "physics" / "results.json").exists():
        print(f"\n{write_report(sweep, None)}")


if __name__ == "__main__":
    run_script(main)
