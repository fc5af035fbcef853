"""Measure what cues tell of each law without physics, on thousands of quadruplets: vidworld/analysis/cues.json.

Laws that were measured at their present version are kept; about two minutes a law on one core.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from vidworld.analysis.cues import PATH, CueTable
from vidworld.analysis.records import read_as
from vidworld.core.errors import ArgumentParser, run_script
from vidworld.core.records import provenance, write_json
from vidworld.evaluation.cues import CUES_VERSION, measure_law
from vidworld.simulation import LAWS


def main() -> None:
    arguments = parse()
    LAWS.check(arguments.laws)
    kept = read_as(CueTable, arguments.out).laws if arguments.out.exists() else {}
    for law in tqdm(arguments.laws, "laws", disable=None):
        now = (LAWS.version(law), CUES_VERSION)
        if law in kept and (kept[law].law_version, kept[law].cues_version) == now:
            continue
        kept[law] = measure_law(law, arguments.val, arguments.quadruplets)
        record = provenance(0)
        short = {name: record[name] for name in ("command", "commit") if name in record}
        write_json(arguments.out, asdict(CueTable(short, kept)))


def parse() -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("laws", nargs="*", default=list(LAWS), metavar="LAW")
    parser.add_argument("--out", type=Path, default=PATH)
    parser.add_argument("--quadruplets", type=int, default=2000, help="of split id, on which cues are judged")
    parser.add_argument("--val", type=int, default=1000, help="of split val, on which the model of all is fitted")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
