"""Reading many videos survives what goes wrong with one of them, and goes on where it was stopped."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import made_videos
import numpy as np
import pytest
from datasets import load_from_disk

from vidworld.video import content_fingerprint, jobs
from vidworld.video.clips import ClipOptions
from vidworld.video.ingest import ingest

OPTIONS = ClipOptions(size_px=16, num_frames=4, stride=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for k in range(4):
        made_videos.write(tmp_path / "in" / f"{k}.mp4", made_videos.recording(np.arange(20 + k) / 30, seed=k))
    return tmp_path / "in"


def in_this_process(work: object, todo: Sequence[list[jobs.Job]], *_: object, **__: object) -> Iterator[tuple]:
    yield from ((number, work(job)) for number, job in enumerate(todo))  # type: ignore[operator]


def test_a_run_that_was_stopped_goes_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ingest(folder, tmp_path / "whole", OPTIONS, workers=1)
    read, cut = [], jobs.clips_of_video

    def stops(source: object, *more: object) -> object:
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(source)
        return cut(source, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "each_apart", in_this_process)
    monkeypatch.setattr(jobs, "clips_of_video", stops)
    with pytest.raises(KeyboardInterrupt):
        ingest(folder, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(jobs, "clips_of_video", lambda source, *more: read.append(source) or cut(source, *more))
    made = ingest(folder, tmp_path / "out", OPTIONS)
    assert made.files == whole.files and len(read) == 4
    for split in ("train", "val", "real"):
        assert content_fingerprint(tmp_path / "out", split) == content_fingerprint(tmp_path / "whole", split)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "whole"]


def test_a_decoder_that_crashes_costs_one_video(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(work: object, todo: Sequence[list[jobs.Job]], *_: object, **__: object) -> Iterator[tuple]:
        for number, job in enumerate(todo):
            yield number, None if job[0].file == "1.mp4" else work(job)  # type: ignore[operator]

    monkeypatch.setattr(jobs, "each_apart", dies)
    made = ingest(folder, tmp_path / "out", OPTIONS)
    assert [one.file for one in made.files] == ["0.mp4", "2.mp4", "3.mp4"]
    assert [(one.file, one.reason) for one in made.set_aside] == [("1.mp4", jobs.CRASHES)]


def test_whatever_a_library_says_of_a_file_is_its_reason(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = jobs.clips_of_video

    def fails(source: jobs.Source, *more: object) -> object:
        if source.path.name == "2.mp4":
            raise MemoryError("no room for a picture of 60000 x 60000 px")
        return cut(source, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "each_apart", in_this_process)
    monkeypatch.setattr(jobs, "clips_of_video", fails)
    (aside,) = ingest(folder, tmp_path / "out", OPTIONS).set_aside
    assert (aside.file, aside.reason) == ("2.mp4", "cannot be read (no room for a picture of 60000 x 60000 px)")


def test_rows_are_written_a_few_at_a_time(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One column of 2 GiB is more than Arrow takes, and the clips of a long video more than memory."""
    options = ClipOptions(fps=30.0, size_px=16, num_frames=4, stride=1)
    at_once = ingest(folder, tmp_path / "at_once", options, workers=1)
    monkeypatch.setattr(jobs, "each_apart", in_this_process)
    for module in ("rows", "joined"):
        monkeypatch.setattr(f"vidworld.video.{module}.BATCH_BYTES", 3 * 4 * 3 * 16 * 16)
    few = ingest(folder, tmp_path / "few", options)
    assert few.files == at_once.files and sum(one.clips for one in few.files) > 40
    for split in {one.split for one in few.files}:
        assert content_fingerprint(tmp_path / "few", split) == content_fingerprint(tmp_path / "at_once", split)
        column = load_from_disk(tmp_path / "few")[split].data.column("frames")
        assert max(len(chunk) for chunk in column.chunks) == 3


@pytest.mark.slow
def test_a_folder_of_a_thousand_damaged_files_gives_a_line_each(tmp_path: Path) -> None:
    """Bits that flip, ends that are missing, names that lie: the good ones are read and nothing else stops."""
    source = made_videos.write(tmp_path / "good.mp4", made_videos.recording(np.arange(20) / 30)).read_bytes()
    chance = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for k in range(1000):
        content = bytearray(source)
        if k % 3 == 0:
            content = content[: int(chance.integers(1, len(content)))]
        for place in chance.integers(0, len(content), size=[0, 1, 10, 100][k % 4]):
            content[place] = int(chance.integers(256))
        content += os.urandom(4)
        (tmp_path / "in" / f"{k:04d}{['.mp4', '.avi', '.mkv', '.unheard', ''][k % 5]}").write_bytes(content)
    made = ingest(tmp_path / "in", tmp_path / "out", OPTIONS)
    named = [*(one.file for one in made.files), *(one.file for one in made.set_aside)]
    assert sorted(named) == sorted(path.name for path in (tmp_path / "in").iterdir())
    assert len(made.files) > 200
