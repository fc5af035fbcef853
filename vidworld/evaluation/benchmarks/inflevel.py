"""InfLevel-lab: pairs of filmed trials of continuity, solidity and gravity, one possible and one not.

Source: Weihs et al. 2022 (TMLR, "Benchmarking progress to infant-level physical reasoning in AI"); the tables of pairs
and the reading are those of Garrido et al. 2025 (arXiv 2502.11831): without the priming before the trial, the longer
video of a pair without its first frames, every fifth frame, squeezed to a square.
"""

from pathlib import Path

from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, SurpriseScore, read_csv, windowed
from vidworld.video.decode import Unreadable, open_video

PROPERTIES = ("continuity", "solidity", "gravity")
_COLUMNS = ("vid1_path", "vid2_path", "vid1_label", "vid1_end_priming_2", "vid2_end_priming_2")
_LAYOUT = """\
FOLDER/
  continuity.csv         pairs: vid1_path, vid2_path, vid1_label, vid1_end_priming_2, vid2_end_priming_2
  solidity.csv gravity.csv
  ...mp4                 as the paths in the tables say"""


def _entries(folder: Path) -> list[Entry]:
    """Both videos of every pair in the tables that are there."""
    tables = [name for name in PROPERTIES if (folder / f"{name}.csv").exists()]
    if not tables:
        raise UserError(f"{folder / 'continuity.csv'}: is missing, and so are the other properties' tables")
    found = []
    for name in tables:
        for number, row in enumerate(read_csv(folder / f"{name}.csv", _COLUMNS)):
            videos = [folder / row[f"vid{k}_path"] for k in (1, 2)]
            try:
                primed = [int(float(row[f"vid{k}_end_priming_2"])) + 1 for k in (1, 2)]
            except ValueError as error:
                raise UserError(f"{folder / name}.csv: line {number + 2}: {error}") from error
            starts = _starts(videos, primed)
            first_is_possible = row["vid1_label"].strip().lower() == "possible"
            for k, (video, start) in enumerate(zip(videos, starts, strict=True)):
                group, possible = f"{name}/{number}", first_is_possible == (k == 0)
                found.append(Entry(f"{group}/{k + 1}", name, group, possible, video, first_frame=start))
    return found


def _starts(videos: list[Path], primed: list[int]) -> list[int]:
    """The first frames that are shown: after the priming, and so that both videos are equally long."""
    try:
        left = [len(open_video(video).times_s) - start for video, start in zip(videos, primed, strict=True)]
    except (OSError, Unreadable):
        return primed  # the checker names what is missing
    return [start + there - min(left) for start, there in zip(primed, left, strict=True)]


_READING = windowed(frame_step=5)
INFLEVEL = Benchmark("inflevel", "InfLevel-lab", "TMLR 2022, 9NjqD9i48M", _LAYOUT, _READING, _entries, SurpriseScore())
