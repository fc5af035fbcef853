"""IntPhys (dev and test): quadruplets of rendered videos, two possible and two impossible, in three blocks.

Source: Riochet et al. 2018 (arXiv 1803.07616) and its challenge's pages; reading as in Garrido et al. 2025
(arXiv 2502.11831), who show every so many-th of the 100 frames, squeezed to a square, in windows two apart.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, writing
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, SurpriseScore, numbered, windowed

BLOCKS = {"O1": "permanence", "O2": "constancy", "O3": "continuity"}
NUMBERS = ("1", "2", "3", "4")
TASK_NAME, ANSWER_NAME = "task.txt", "answer.txt"
_LAYOUT = """\
FOLDER/                  what dev.tar.gz or the test.*.tar.gz give
  O1/ O2/ O3/
    0001/ 0002/ ...
      1/ 2/ 3/ 4/        the videos of a quadruplet
        scene/scene_001.png ... scene_100.png
        status.json      dev only; header.is_possible
  task.txt               test only, optional: the order of the submission"""


def _entries(folder: Path) -> list[Entry]:
    """Every video of every quadruplet; a video has as many frames as the longest of its quadruplet."""
    labelled = next(folder.glob("O?/*/?/status.json"), None) is not None
    found = []
    for block, law in BLOCKS.items():
        for group in sorted(path for path in (folder / block).glob("[0-9]*") if path.is_dir()):
            frames = {name: numbered(group / name / "scene", "scene_*.png") for name in NUMBERS}
            longest = max((max(of, default=0) for of in frames.values()), default=0)
            for video in NUMBERS:
                scene, status, name = group / video / "scene", group / video / "status.json", f"{block}/{group.name}"
                pictures = (scene / f"scene_{number:03d}.png" for number in range(1, longest + 1))
                needs = (*pictures, status) if labelled else tuple(pictures)
                possible = _is_possible(status) if labelled and status.exists() else None
                found.append(Entry(f"{name}/{video}", law, name, possible, scene, needs))
    return found


def _is_possible(status: Path) -> bool:
    try:
        return bool(json.loads(status.read_text(encoding="utf-8"))["header"]["is_possible"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{status}: does not say header.is_possible ({type(error).__name__})") from error


def write_submission(folder: Path, surprise: Mapping[str, float], out: Path) -> Path:
    """The zip with `answer.txt` in it: a plausibility in [0, 1] for each video, 1 / (1 + surprise).

    folder: the benchmark's; its task.txt gives the order, the entries do where there is none. Raises UserError where a
    video has no surprise from 0 up, or `out` cannot be written.
    """
    task = folder / TASK_NAME
    videos = task.read_text().split() if task.exists() else [entry.identity for entry in _entries(folder)]
    lacking = [video for video in videos if not 0.0 <= surprise.get(video, -1.0) < float("inf")]
    if lacking:
        raise UserError(f"{lacking[0]}: has no surprise; a submission needs that of all {len(videos)} videos")
    lines = [f"{video} {1.0 / (1.0 + surprise[video]):.17g}\n" for video in videos]
    prepare_folder(out.parent)
    with writing(out), zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(ANSWER_NAME, "".join(lines))
    return out


_READING = windowed(frame_step=5, fps=15.0)
INTPHYS = Benchmark(
    "intphys", "IntPhys", "arXiv 1803.07616", _LAYOUT, _READING, _entries, SurpriseScore(write_submission)
)
