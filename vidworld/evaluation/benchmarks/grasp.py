"""GRASP, level 2: for each property, possible videos (P_) and impossible ones (IP_), compared by number.

Source: Jassim et al. 2023 (arXiv 2311.09048); reading as in Garrido et al. 2025 (arXiv 2502.11831), who pair the sorted
videos of both folders.
"""

from pathlib import Path

from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, SurpriseScore, numbered, windowed

_LAYOUT = """\
FOLDER/                  level2 of the videos
  P_Collision/*.mp4      possible, for each property
  IP_Collision/*.mp4     impossible, with the same numbers
  P_Continuity/ ..."""


def _entries(folder: Path) -> list[Entry]:
    """Both videos of every number that either folder of a property has."""
    properties = {path.name.partition("_")[2] for path in folder.glob("*P_*") if path.is_dir()}
    found = []
    for name in sorted(properties):
        folders = {True: folder / f"P_{name}", False: folder / f"IP_{name}"}
        videos = {possible: numbered(path, "*.mp4") for possible, path in folders.items()}
        for number in sorted({*videos[True], *videos[False]}):
            for possible, path in folders.items():
                there = videos[not possible].get(number)
                video = videos[possible].get(number) or path / _as_in(there, path.name)
                found.append(Entry(f"{path.name}/{number}", name, f"{name}/{number}", possible, video))
    return found


def _as_in(other: Path | None, folder: str) -> str:
    """The name that a video has here whose counterpart has another's."""
    assert other is not None
    theirs = other.parent.name
    return folder + other.name.removeprefix(theirs) if other.name.startswith(theirs) else other.name


GRASP = Benchmark("grasp", "GRASP", "arXiv 2311.09048", _LAYOUT, windowed(frame_step=10), _entries, SurpriseScore())
