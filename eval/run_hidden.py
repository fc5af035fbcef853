"""Measure whether models learn, from one event, the mass or restitution that nothing shows, and act on it in the next.

python eval/run_hidden.py --config configs/hidden/hidden.yaml [key=value ...]

A run that was stopped goes on where it was. Results are hidden.json and the page hidden.html beside it.
"""

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.evaluation.paired_schema import HiddenConfig


def main() -> None:
    config, _ = parse_command_line(HiddenConfig, description=__doc__)
    # Imported now: a wrong key or name was said without waiting for torch.
    from vidworld.evaluation.evaluator import evaluation_accelerator
    from vidworld.evaluation.hidden import measure_hidden
    from vidworld.report.hidden_page import hidden_summary, write_hidden_page

    results = measure_hidden(config, evaluation_accelerator(config.mixed_precision))
    if results is not None:
        print(hidden_summary(results))
        print(write_hidden_page(config.out))


if __name__ == "__main__":
    run_script(main)
