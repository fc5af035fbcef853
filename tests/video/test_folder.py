"""Every file of a folder is a video, holds some, or is named with its reason: any name, anywhere."""

import os
from pathlib import Path

import made_videos
import numpy as np
import pytest

from vidworld.core.errors import UserError
from vidworld.video.clips import ClipOptions
from vidworld.video.folder import collection_of
from vidworld.video.ingest import MOST_ALIKE, ingest, summary
from vidworld.video.source import content_of

OPTIONS = ClipOptions(size_px=16, num_frames=4, stride=4)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_videos.write(tmp_path_factory.mktemp("video") / "a.mp4", made_videos.recording(np.arange(20) / 30))


def put(recording: Path, *places: Path) -> None:
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(recording.read_bytes())


def test_all_that_ffmpeg_reads_is_a_video_and_the_rest_is_named(recording: Path, tmp_path: Path) -> None:
    names = ["00001.MTS", "b.m2ts", "c.gif", "d.webp", "e.qt", "without", "f.unheard", ".hidden.mp4"]
    put(recording, *(tmp_path / name for name in names))
    for name in ("notes.txt", "x.json", "y.png", "z.unheard"):
        (tmp_path / name).write_text("no video")
    (tmp_path / "clips.jsonl").write_text("")
    found = collection_of(tmp_path)
    assert set(found.sources) == set(names[:-1])
    others = {"notes.txt", "x.json", "y.png", "z.unheard"}
    assert found.others == {**dict.fromkeys(others, "is no video"), ".hidden.mp4": "is hidden"}


def test_links_are_followed_but_not_in_circles(recording: Path, tmp_path: Path) -> None:
    folder, store = tmp_path / "in", tmp_path / "store"
    put(recording, folder / "b.mp4", store / "deep" / "a.mp4")
    (folder / "linked").symlink_to(store)
    (store / "back").symlink_to(folder)
    (store / "own").symlink_to(store / "deep")
    (folder / "up").symlink_to(tmp_path)
    (folder / "gone.mp4").symlink_to(tmp_path / "nothing.mp4")
    (folder / "round.mp4").symlink_to(folder / "round.mp4")
    os.mkfifo(folder / "pipe.mp4")
    found = collection_of(folder)
    assert set(found.sources) == {"b.mp4", "linked/deep/a.mp4"}
    assert set(found.others) == {"linked/back", "linked/own", "up", "gone.mp4", "round.mp4", "pipe.mp4"}


def test_names_of_any_bytes_are_read_and_shown_as_text(recording: Path, tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    (place / os.fsdecode(b"caf\xe9.mp4")).write_bytes(recording.read_bytes())
    (source,) = collection_of(place).sources.values()
    assert content_of(source) is not None
    made = ingest(place, tmp_path / "out", OPTIONS)
    assert [one.file for one in made.files] == ["caf\\xe9.mp4"]
    assert "caf\\xe9.mp4" in summary(made)


def test_what_steers_a_terminal_is_shown_as_text(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a\n\x1b[31m\u202fb.mp4").write_bytes(recording.read_bytes())
    assert [*collection_of(tmp_path / "in").sources] == ["a\\n\\x1b[31m\u202fb.mp4"]


def test_doubles_are_known_by_all_of_their_bytes(recording: Path, tmp_path: Path) -> None:
    put(recording, tmp_path / "in" / "a.mp4", tmp_path / "in" / "b.mp4")
    other = made_videos.recording(np.arange(20) / 30)
    other[9:11] = 100
    made_videos.write(tmp_path / "in" / "c.mp4", other)
    made = ingest(tmp_path / "in", tmp_path / "out", OPTIONS)
    assert [one.file for one in made.files] == ["a.mp4", "c.mp4"]
    assert [(one.file, one.reason) for one in made.set_aside] == [("b.mp4", "is the same as a.mp4")]


def test_many_files_of_a_kind_take_one_line(recording: Path, tmp_path: Path) -> None:
    put(recording, tmp_path / "in" / "a.mp4")
    for k in range(MOST_ALIKE + 3):
        (tmp_path / "in" / f"{k}.txt").write_text("no video")
    said = summary(ingest(tmp_path / "in", tmp_path / "out", OPTIONS))
    assert f"0.txt      is no video, like {MOST_ALIKE + 2} more .txt (all are in set_aside.json)" in said
    assert "1.txt" not in said


def test_a_folder_without_a_video_says_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(UserError, match=r"there is no video file.* in it: notes\.txt is no video"):
        collection_of(tmp_path)
