"""Morpheus: filmed experiments whose invariants are known, for its physical invariance score.

Source: Zhang et al. 2025 (arXiv 2504.02918), data set physics-from-video/morpheus-real-world: films of 1280 x 1024.
"""

from pathlib import Path

from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, Reading

LAYOUT = """\
FOLDER/
  real-world-cropped/EXPERIMENT/FILM/
    cropped_video.mp4
    info.json
    frames_for_tracking/*.jpg      not needed here"""


def entries(folder: Path) -> list[Entry]:
    """Every film of every experiment."""
    found = []
    for place in sorted(path for path in folder.glob("real-world-cropped/*/*") if path.is_dir()):
        experiment = place.parent.name
        identity = f"{experiment}/{place.name}"
        video, info = place / "cropped_video.mp4", place / "info.json"
        found.append(Entry(identity, experiment, experiment, True, video, (info,)))
    return found


BENCHMARK = Benchmark(
    name="morpheus",
    source="arXiv 2504.02918",
    layout=LAYOUT,
    reading=Reading(size_px=256, square="squeezed"),
    entries=entries,
)
