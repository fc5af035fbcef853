"""Folders as people have them: spaces, strangers, broken files: read rightly, or one line says what is wrong."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import samples

from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks import BENCHMARKS
from vidworld.evaluation.benchmarks.benchmark import check
from vidworld.evaluation.benchmarks.continuation import clip_of


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_strangers_in_a_folder_change_nothing(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "a folder with spaces"
    samples.SAMPLES[name](folder)
    before = BENCHMARKS[name].entries(folder)
    for place in {folder, *(path.parent for path in folder.rglob("*") if path.is_file())}:
        (place / ".DS_Store").write_bytes(b"x")
        (place / "readme.txt").write_text("hello")
        cv2.imwrite(str(place / "thumbnail.png"), np.zeros((7, 9, 3), np.uint8))
    if name == "intphys":
        (folder / "O1" / "preview").mkdir()
    after = BENCHMARKS[name].entries(folder)
    assert after == before and check(BENCHMARKS[name], folder) == []
    if not isinstance(BENCHMARKS[name].score, str):
        assert clip_of(BENCHMARKS[name], after[0], 16).frames.shape[3] == 16


@pytest.mark.parametrize("name", ["grasp", "inflevel", "intphys2", "morpheus", "physics_iq", "physion"])
def test_a_video_cut_short_is_one_line_with_its_name(name: str, tmp_path: Path) -> None:
    samples.SAMPLES[name](tmp_path)
    entry = BENCHMARKS[name].entries(tmp_path)[0]
    content = entry.video.read_bytes()
    entry.video.write_bytes(content[: len(content) // 3])
    with pytest.raises(UserError) as said:
        clip_of(BENCHMARKS[name], entry)
    assert entry.video.name in str(said.value) and len(str(said.value).splitlines()) == 1


def test_grey_videos_of_odd_sizes_and_single_frames_are_read(tmp_path: Path) -> None:
    samples.grasp(tmp_path)
    entry = BENCHMARKS["grasp"].entries(tmp_path)[0]
    for count in (1, 12):
        grey = cv2.VideoWriter(str(entry.video), cv2.VideoWriter.fourcc(*"mp4v"), 30, (45, 37), isColor=False)
        for k in range(count):
            grey.write(np.full((37, 45), 20 * k, np.uint8))
        grey.release()
        clip = clip_of(BENCHMARKS["grasp"], entry, 16)
        assert clip.frames.shape == (1, -(-count // 10), 3, 16, 16)


def test_pictures_of_two_sizes_are_said(tmp_path: Path) -> None:
    taken = samples.intphys(tmp_path)
    cv2.imwrite(str(taken), np.zeros((7, 9, 3), np.uint8))
    benchmark = BENCHMARKS["intphys"]
    entry = next(e for e in benchmark.entries(tmp_path) if e.video == taken.parent)
    with pytest.raises(UserError, match=r"scene_005\.png is of another size"):
        clip_of(benchmark, entry)
    shutil.copy(tmp_path / "O1" / "0001" / "1" / "status.json", taken)
    with pytest.raises(UserError, match=r"scene_005\.png is no picture"):
        clip_of(benchmark, entry)


@pytest.mark.parametrize(
    ("name", "table", "line", "says"),
    [
        ("intphys2", "metadata.csv", "a9,Videos/a9.mp4", "line 6 has fewer columns"),
        ("intphys2", "metadata.csv", "a9,Videos/a9.mp4,odd,c,7,x", "type 'odd' is neither"),
        ("inflevel", "continuity.csv", "continuity/a.mp4,continuity/b.mp4,possible,x,4", "could not convert"),
        ("physion", "labels.csv", "pilot_9999,maybe", "is no stimulus and whether they touch"),
    ],
)
def test_a_wrong_line_of_a_table_is_said(name: str, table: str, line: str, says: str, tmp_path: Path) -> None:
    samples.SAMPLES[name](tmp_path)
    with (tmp_path / table).open("a") as file:
        file.write(line + "\n")
    (said,) = check(BENCHMARKS[name], tmp_path)
    assert table in said and says in said
