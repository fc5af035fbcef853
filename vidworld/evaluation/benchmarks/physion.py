"""Physion's test films: will the red thing touch the yellow one?

Source: Bear et al. 2021 (arXiv 2106.08261) and its repository: PhysionTest-Core, at 30 frames a second; a model is
shown the first 1.5 s.
"""

import csv
from pathlib import Path

from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, Reading

SHOWN_S = 1.5
TRUE, FALSE = ("1", "1.0", "true"), ("0", "0.0", "false")
LAYOUT = """\
FOLDER/                  PhysionTest-Core
  labels.csv             a line a stimulus: its name, and whether they touch
  Collide/ Contain/ Dominoes/ Drape/ Drop/ Link/ Roll/ Support/
    mp4s-redyellow/STIMULUS_img.mp4"""


def entries(folder: Path) -> list[Entry]:
    """The stimuli that labels.csv lists; its event is that they touch."""
    table = folder / "labels.csv"
    try:
        rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise UserError(f"{table}: is missing") from error
    films = {path.name: path for path in sorted(folder.glob("*/mp4s-redyellow/*.mp4"))}
    found = []
    for number, row in enumerate(rows, start=1):
        answer = row[1].strip().lower() if len(row) > 1 else ""
        if answer not in TRUE + FALSE:
            if number == 1:
                continue  # the names of the columns
            raise UserError(f"{table}: line {number}: {row} is no stimulus and whether they touch")
        stimulus = row[0].strip().removesuffix("_img")
        name = f"{stimulus}_img.mp4"
        touch = ((0, "touch"),) if answer in TRUE else ()
        video = films.get(name, folder / "*" / "mp4s-redyellow" / name)
        scenario = video.parent.parent.name if name in films else "unknown"
        found.append(Entry(stimulus, scenario, stimulus, True, video, events=touch))
    return found


BENCHMARK = Benchmark(
    name="physion",
    source="arXiv 2106.08261",
    layout=LAYOUT,
    reading=Reading(size_px=224, fps=30.0, context_frames=(45,)),
    entries=entries,
)
