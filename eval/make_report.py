"""Make one self-contained report.html of a finished run: `python eval/make_report.py runs/demo`."""

import argparse
import sys
from pathlib import Path

from vidworld.errors import UserError
from vidworld.harness.report import write_report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_folder", type=Path, help="holds physics/ and, where there are any, the training runs")
    parser.add_argument("--out", type=Path, help="the page to write (default: report.html in the run folder)")
    arguments = parser.parse_args()
    try:
        page = write_report(arguments.run_folder, arguments.out)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
