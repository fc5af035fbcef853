"""Folders of possible and impossible videos: IntPhys, IntPhys 2, GRASP, InfLevel-lab.

Sources: Riochet et al. 2018 (arXiv 1803.07616) and its challenge's pages; Bordes et al. 2025 (arXiv 2506.09849); Jassim
et al. 2023 (arXiv 2311.09048); Weihs et al. 2022 (TMLR, "Benchmarking progress to infant-level physical reasoning in
AI"). All but IntPhys 2 are read as in Garrido et al. 2025 (arXiv 2502.11831): every so many-th frame, squeezed to a
square, in windows of 16 of them, two apart.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

from vidworld.core.errors import UserError
from vidworld.core.records import prepare_folder, read_json, writing
from vidworld.evaluation.benchmarks.benchmark import (
    Benchmark,
    Entry,
    Reading,
    SurpriseScore,
    beside,
    numbered,
    rows_of,
    text_of,
)
from vidworld.video.decode import Unreadable, open_video


def _windowed(frame_step: int, fps: float | None = None) -> Reading:
    return Reading(224, frame_step, fps, window_frames=16, window_stride=2, context_frames=(2, 4, 6, 8, 10, 12))


# --- IntPhys (dev and test): quadruplets of rendered videos, two possible and two impossible, in three blocks ---

BLOCKS = {"O1": "permanence", "O2": "constancy", "O3": "continuity"}
_INTPHYS_LAYOUT = """\
FOLDER/                  what dev.tar.gz or the test.*.tar.gz give
  O1/ O2/ O3/
    0001/ 0002/ ...
      1/ 2/ 3/ 4/        the videos of a quadruplet
        scene/scene_001.png ... scene_100.png
        status.json      dev only; header.is_possible
  task.txt               test only, optional: the order of the submission"""


def _quadruplets(folder: Path) -> list[Entry]:
    """Every video of every quadruplet; a video has as many frames as the longest of its quadruplet."""
    labelled = next(folder.glob("O?/*/?/status.json"), None) is not None
    found = []
    for block, law in BLOCKS.items():
        for group in sorted(path for path in (folder / block).glob("[0-9]*") if path.is_dir()):
            videos, name = [group / number for number in "1234"], f"{block}/{group.name}"
            longest = max(max(numbered(video / "scene", "scene_*.png"), default=0) for video in videos)
            for video in videos:
                scene, status = video / "scene", video / "status.json"
                pictures = [scene / f"scene_{number:03d}.png" for number in range(1, longest + 1)]
                needs = (*pictures, status) if labelled else tuple(pictures)
                possible = _is_possible(status) if labelled and status.exists() else None
                found.append(Entry(f"{name}/{video.name}", law, name, possible, scene, needs))
    return found


def _is_possible(status: Path) -> bool:
    try:
        return bool(read_json(status)["header"]["is_possible"])
    except (KeyError, TypeError, UserError) as error:
        raise UserError(f"{status}: does not say header.is_possible ({type(error).__name__})") from error


def write_submission(folder: Path, surprise: Mapping[str, float], out: Path) -> Path:
    """The zip with `answer.txt` in it: a plausibility in [0, 1] for each video, 1 / (1 + surprise).

    folder: the benchmark's; its task.txt gives the order, the entries do where there is none. Raises UserError where a
    video has no surprise from 0 up, or `out` cannot be written.
    """
    task = folder / "task.txt"
    videos = text_of(task).split() if task.exists() else [entry.identity for entry in _quadruplets(folder)]
    lacking = [video for video in videos if not 0.0 <= surprise.get(video, -1.0) < float("inf")]
    if lacking:
        raise UserError(f"{lacking[0]}: has no surprise; a submission needs that of all {len(videos)} videos")
    lines = [f"{video} {1.0 / (1.0 + surprise[video]):.17g}\n" for video in videos]
    prepare_folder(out.parent)
    with writing(out), zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("answer.txt", "".join(lines))
    return out


INTPHYS = Benchmark(
    "intphys", "IntPhys", "arXiv 1803.07616", _INTPHYS_LAYOUT, _windowed(5, 15.0), _quadruplets,
    SurpriseScore(write_submission),
)  # fmt: skip


# --- IntPhys 2: videos from game engines in groups of two possible and two impossible ones ---

_INTPHYS2_COLUMNS = ("name", "file_name", "type", "condition", "SceneIndex")
_INTPHYS2_LAYOUT = """\
FOLDER/                  Main or Debug of the data set
  metadata.csv           name, file_name, type (1_Possible, 1_Impossible, 2_...), condition, SceneIndex, ...
  Videos/*.mp4           as file_name says"""


def _listed(folder: Path) -> list[Entry]:
    """The videos in the table's order, which says nothing: 1_Possible goes with 1_Impossible, 2_ with 2_."""
    found = []
    for number, row in enumerate(rows_of(folder / "metadata.csv", _INTPHYS2_COLUMNS), start=2):
        pair, _, kind = row["type"].strip().rpartition("_")
        if kind.lower() not in ("possible", "impossible"):
            raise UserError(f"{folder / 'metadata.csv'}: line {number}: type {row['type']!r} is neither")
        group, possible = f"{row['condition']}/{row['SceneIndex']}", kind.lower() == "possible"
        found.append(Entry(row["name"], row["condition"], group, possible, folder / row["file_name"], pair=pair))
    return found


_AS_ITS_OWN = Reading(256, 10, window_frames=48, window_stride=2, context_frames=(12, 18, 24, 30, 36, 42))
INTPHYS2 = Benchmark(
    "intphys2", "IntPhys 2", "arXiv 2506.09849", _INTPHYS2_LAYOUT, _AS_ITS_OWN, _listed, SurpriseScore()
)


# --- GRASP, level 2: for each property, possible videos (P_) and impossible ones (IP_), compared by number ---

_GRASP_LAYOUT = """\
FOLDER/                  level2 of the videos
  P_Collision/*.mp4      possible, for each property
  IP_Collision/*.mp4     impossible, with the same numbers
  P_Continuity/ ..."""


def _by_property(folder: Path) -> list[Entry]:
    """Both videos of every number that either folder of a property has."""
    found = []
    for name in sorted({path.name.partition("_")[2] for path in folder.glob("*P_*") if path.is_dir()}):
        sides = {side: numbered(folder / side, "*.mp4") for side in (f"P_{name}", f"IP_{name}")}
        for number in sorted(set().union(*sides.values())):
            for side, other in zip(sides, reversed(sides), strict=True):
                video = sides[side].get(number) or beside(sides[other][number], other, side)
                found.append(Entry(f"{side}/{number}", name, f"{name}/{number}", side.startswith("P"), video))
    return found


GRASP = Benchmark("grasp", "GRASP", "arXiv 2311.09048", _GRASP_LAYOUT, _windowed(10), _by_property, SurpriseScore())


# --- InfLevel-lab: pairs of recorded trials of continuity, solidity and gravity, one possible and one not ---

PROPERTIES = ("continuity", "solidity", "gravity")
_INFLEVEL_COLUMNS = ("vid1_path", "vid2_path", "vid1_label", "vid1_end_priming_2", "vid2_end_priming_2")
_INFLEVEL_LAYOUT = """\
FOLDER/
  continuity.csv         pairs: vid1_path, vid2_path, vid1_label, vid1_end_priming_2, vid2_end_priming_2
  solidity.csv gravity.csv
  ...mp4                 as the paths in the tables say"""


def _pairs(folder: Path) -> list[Entry]:
    """Both videos of every pair in the tables that are there."""
    tables = {name: table for name in PROPERTIES if (table := folder / f"{name}.csv").exists()}
    if not tables:
        raise UserError(f"{folder / 'continuity.csv'}: is missing, and so are the other properties' tables")
    found = []
    for name, table in tables.items():
        for number, row in enumerate(rows_of(table, _INFLEVEL_COLUMNS)):
            videos, group = [folder / row[f"vid{k}_path"] for k in (1, 2)], f"{name}/{number}"
            try:
                primed = [int(float(row[f"vid{k}_end_priming_2"])) + 1 for k in (1, 2)]
            except ValueError as error:
                raise UserError(f"{table}: line {number + 2}: {error}") from error
            first_is_possible = row["vid1_label"].strip().lower() == "possible"
            for k, (video, start) in enumerate(zip(videos, _starts(videos, primed), strict=True)):
                possible = first_is_possible == (k == 0)
                found.append(Entry(f"{group}/{k + 1}", name, group, possible, video, first_frame=start))
    return found


def _starts(videos: list[Path], primed: list[int]) -> list[int]:
    """The first frames that are shown: after the priming, and so that both videos are equally long, as in Garrido."""
    try:
        left = [len(open_video(video).times_s) - start for video, start in zip(videos, primed, strict=True)]
    except (OSError, Unreadable):
        return primed  # the checker names what is missing
    return [start + there - min(left) for start, there in zip(primed, left, strict=True)]


INFLEVEL = Benchmark(
    "inflevel", "InfLevel-lab", "TMLR 2022, 9NjqD9i48M", _INFLEVEL_LAYOUT, _windowed(5), _pairs, SurpriseScore()
)
