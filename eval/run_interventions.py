"""Measure whether models predict what comes of a change: a disc removed, moved, kicked or of another mass.

python eval/run_interventions.py --config configs/interventions/physics.yaml [key=value ...]

A run that was stopped goes on where it was. Results are interventions.json and the page interventions.html beside it.
"""

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.evaluation.paired_schema import InterventionConfig


def main() -> None:
    config, _ = parse_command_line(InterventionConfig, description=__doc__)
    # Imported now: a wrong key or name was said without waiting for torch.
    from vidworld.evaluation.evaluator import evaluation_accelerator
    from vidworld.evaluation.interventions import measure_interventions
    from vidworld.report.interventions_page import interventions_summary, write_interventions_page

    results = measure_interventions(config, evaluation_accelerator(config.mixed_precision))
    if results is not None:
        print(interventions_summary(results))
        print(write_interventions_page(config.out))


if __name__ == "__main__":
    run_script(main)
