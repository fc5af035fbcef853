"""Make a dictionary of a layer of each world model, scored against concepts: to dictionary.json.

python eval/run_dictionary.py --config configs/inside/probes.yaml [models.NAME=SPEC ...]
"""

from vidworld.core.config import parse_command_line
from vidworld.core.errors import run_script
from vidworld.inside.schema import InsideConfig


def main() -> None:
    config, _ = parse_command_line(InsideConfig, description=__doc__)
    # Imported now: a wrong key or name was said without waiting for torch.
    from vidworld.inside.exciting import dictionaries_of
    from vidworld.report.inside_page import write_inside_page

    results = dictionaries_of(config)
    print(f"{config.out / 'dictionary.json'}: {len(results.rows)} rows; {write_inside_page(config.out)}")


if __name__ == "__main__":
    run_script(main)
