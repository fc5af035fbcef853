"""IntPhys 2: videos from game engines in groups of two possible and two impossible ones.

Source: Bordes et al. 2025 (arXiv 2506.09849); reading as in its prediction evaluation: every tenth frame, windows of 48
of them, two apart, at 256 px.
"""

from pathlib import Path

from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, Reading, SurpriseScore, read_csv

_COLUMNS = ("name", "file_name", "type", "condition", "SceneIndex")
_LAYOUT = """\
FOLDER/                  Main or Debug of the data set
  metadata.csv           name, file_name, type (1_Possible, 1_Impossible, 2_...), condition, SceneIndex, ...
  Videos/*.mp4           as file_name says"""


def _entries(folder: Path) -> list[Entry]:
    found = []
    for number, row in enumerate(read_csv(folder / "metadata.csv", _COLUMNS), start=2):
        kind = row["type"].rpartition("_")[2].strip().lower()
        if kind not in ("possible", "impossible"):
            raise UserError(f"{folder / 'metadata.csv'}: line {number}: type {row['type']!r} is neither")
        video = folder / row["file_name"]
        group = f"{row['condition']}/{row['SceneIndex']}"
        found.append(Entry(row["name"], row["condition"], group, kind == "possible", video))
    return found


_READING = Reading(256, 10, window_frames=48, window_stride=2, context_frames=(12, 18, 24, 30, 36, 42))
INTPHYS2 = Benchmark("intphys2", "IntPhys 2", "arXiv 2506.09849", _LAYOUT, _READING, _entries, SurpriseScore())
