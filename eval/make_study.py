"""Make the page of the study from its committed results: python eval/make_study.py [results/study] [--out FILE]."""

from pathlib import Path

from vidworld.analysis.records import Model
from vidworld.core.errors import ArgumentParser, run_script
from vidworld.evaluation.study import versions_of
from vidworld.models.families import FAMILIES
from vidworld.report.study_page import write_study_page


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=Path("results/study"), help="the folder of results")
    parser.add_argument("--out", type=Path, help="the page to write (default: study.html in that folder)")
    arguments = parser.parse_args()
    families = {name: Model(FAMILIES[name].label, name, "") for name in FAMILIES}
    versions = {name: versions_of(name) for name in FAMILIES}
    out = arguments.out or arguments.results / "study.html"
    print(write_study_page(arguments.results, out, versions, families))


if __name__ == "__main__":
    run_script(main)
