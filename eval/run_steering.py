"""Steer concepts inside world models and reads what comes of it in their futures: to steering.json.

python eval/run_steering.py --config configs/inside/probes.yaml [models.NAME=SPEC ...]
"""

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.inside.schema import InsideConfig


def main() -> None:
    config, _ = parse_command_line(InsideConfig, description=__doc__)
    # Imported now: a wrong key or name was said without waiting for torch.
    from vidworld.inside.steered import steer_models
    from vidworld.report.inside_page import write_inside_page

    results = steer_models(config)
    print(f"{config.out / 'steering.json'}: {len(results.rows)} rows; {write_inside_page(config.out)}")


if __name__ == "__main__":
    run_script(main)
