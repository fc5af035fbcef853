"""Measure how sure models say they are, beside what is true: chance of known form, a band of speeds never seen.

python eval/run_uncertainty.py --config configs/sure/uncertainty.yaml [key=value ...]

A run that was stopped goes on where it was. Writes uncertainty.json and the page, uncertainty.html.
"""

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.evaluation.uncertainty_schema import UncertaintyConfig


def main() -> None:
    config, _ = parse_command_line(UncertaintyConfig, description=__doc__)
    # Imported now: a wrong key or name was said without waiting for torch.
    from vidworld.evaluation.uncertainty import measure_uncertainty
    from vidworld.report.uncertainty_page import uncertainty_summary, write_uncertainty_page

    results = measure_uncertainty(config)
    if results is not None:
        print(uncertainty_summary(results))
        print(write_uncertainty_page(config.out / "uncertainty.json", config.out / "uncertainty.html"))


if __name__ == "__main__":
    run_script(main)
