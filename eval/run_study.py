"""Run the study: families over training FLOPs, seeds and nuisance, each run's result a small file as it ends.

python eval/run_study.py --config configs/study.yaml [--list] [--cells 'jepa_*'] [--share 0/2] [--predict BUDGET]

What is done is not run again. A study is shared by several processes or jobs with --share I/N.
"""

import argparse
from pathlib import Path

from vidworld.core.config import load
from vidworld.core.errors import ArgumentParser, UserError, run_script
from vidworld.core.records import write_json
from vidworld.evaluation.study import Study, StudyConfig, run_study


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/study.yaml"), metavar="FILE")
    parser.add_argument("--list", action="store_true", help="say of each run what there is, and run nothing")
    parser.add_argument("--cells", default="*", metavar="PATTERN", help="only runs of these names")
    parser.add_argument("--share", type=_share, default=(0, 1), metavar="I/N", help="the I-th of N shares, from 0")
    parser.add_argument("--predict", type=float, metavar="BUDGET", help="write what its curves say of a larger budget")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")
    arguments = parser.parse_intermixed_args()
    config = load(StudyConfig, arguments.config, arguments.overrides)
    if arguments.list:
        study = Study(config)
        for cell in study.named(arguments.cells, arguments.share):
            print(f"{cell.name}: {study.state(cell)}")
    elif arguments.predict:
        print(predict(config, arguments.predict))
    else:
        run_study(config, arguments.share, arguments.cells)


def predict(config: StudyConfig, budget: float) -> Path:
    """Write the predictions for a budget of which there is no result yet."""
    from vidworld.analysis.study import predictions, read_study
    from vidworld.core.records import provenance

    results = read_study(config.results)
    if run := [result.family for result in results if result.budget >= budget]:
        raise UserError(f"{budget:g} FLOPs: {run[0]} has been run there already; predictions come before")
    found = [p._asdict() | {"place": p.place._asdict()} for p in predictions(results, budget)]
    path = config.results / f"predictions_{budget:.1e}.json".replace("+", "")
    write_json(path, {"budget": budget, "commit": provenance(0)["commit"], "predictions": found})
    return path


def _share(text: str) -> tuple[int, int]:
    try:
        number, of = (int(part) for part in text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N, for instance 0/2") from None
    if not 0 <= number < of:
        raise argparse.ArgumentTypeError(f"{text!r}: shares are numbered from 0 to N - 1")
    return number, of


if __name__ == "__main__":
    run_script(main)
