"""Map where world models are surprised, and where they look from what is hidden: to maps.json.

python eval/run_maps.py --config configs/inside/probes.yaml [models.NAME=SPEC ...]
"""

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.inside.schema import InsideConfig


def main() -> None:
    config, _ = parse_command_line(InsideConfig, description=__doc__)
    # Imported now: a wrong key or name was said without waiting for torch.
    from vidworld.inside.mapping import map_models
    from vidworld.report.inside_page import write_inside_page

    results = map_models(config)
    print(f"{config.out / 'maps.json'}: {len(results.rows)} rows; {write_inside_page(config.out)}")


if __name__ == "__main__":
    run_script(main)
