"""Read concepts out of every layer of world models, beside controls: to probes.json.

python eval/run_probes.py --config configs/inside/probes.yaml [models.NAME=SPEC ...]
"""

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.inside.schema import InsideConfig


def main() -> None:
    config, _ = parse_command_line(InsideConfig, description=__doc__)
    # Imported now: a wrong key or name was said without waiting for torch.
    from vidworld.inside.probing import probe_models
    from vidworld.report.inside_page import write_inside_page

    results = probe_models(config)
    print(f"{config.out / 'probes.json'}: {len(results.rows)} rows; {write_inside_page(config.out)}")


if __name__ == "__main__":
    run_script(main)
