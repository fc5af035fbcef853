"""Make one self-contained page of a run: python eval/make_report.py runs/demo [--out report.html]."""

from pathlib import Path

from vidworld.core.errors import ArgumentParser, run_script
from vidworld.report.page import write_report


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("run_folder", type=Path, help="holds physics/ and, where there are any, the training runs")
    parser.add_argument("--out", type=Path, help="the page to write (default: report.html in the run folder)")
    arguments = parser.parse_args()
    page = write_report(arguments.run_folder, arguments.out)
    print(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    run_script(main)
