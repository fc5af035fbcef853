"""LeRobot data sets and WebDataset shards become data sets of clips as a folder of videos does."""

import errno
import json
from pathlib import Path

import pytest
import samples
import torch
from padded_videos import pad_until

from vidworld import cli
from vidworld.core.errors import UserError
from vidworld.video import source, webdataset
from vidworld.video.clips import ClipOptions
from vidworld.video.decode import Unreadable
from vidworld.video.folder import collection_of, sources_of
from vidworld.video.ingest import ingest
from vidworld.video.real import RealClips
from vidworld.video.source import Source, content_of, splits_by_content

OPTIONS = ClipOptions(fps=10.0, size_px=16, num_frames=2, stride=2)
NAMES = {
    "lerobot": {"observation.images.top/000000", "observation.images.top/000001"},
    "lerobot_v3": {"observation.images.top/000000", "observation.images.top/000001"},
    "webdataset": {f"clips-00000{s}/{s}{k}.mp4" for s in range(3) for k in range(2)},
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_data_set_of_others_is_ingested(kind: str, tmp_path: Path) -> None:
    getattr(samples, kind)(tmp_path / "theirs")
    made = ingest(tmp_path / "theirs", tmp_path / "ours", OPTIONS)
    assert {one.file for one in made.files} == NAMES[kind]
    assert made.set_aside == ()
    clips = RealClips(tmp_path / "ours", made.files[0].split).clips([0])
    assert clips.frames.shape[2:] == (3, 16, 16) and clips.fps == pytest.approx(10)
    assert ingest(tmp_path / "theirs", tmp_path / "ours", OPTIONS).reused


def test_an_episode_of_a_longer_file_is_its_own_stretch(tmp_path: Path) -> None:
    """Episodes of 12 and of 8 frames in one file: what comes after an episode is in no clip of it."""
    samples.lerobot_v3(tmp_path / "theirs")
    first, second = ingest(tmp_path / "theirs", tmp_path / "ours", OPTIONS).files
    assert (first.frames, second.frames) == (12, 8)
    seen = set()
    for split in {first.split, second.split}:
        clips = RealClips(tmp_path / "ours", split)
        for number in range(len(clips)):
            seen.add(clips.rows[number]["file"])
            first_frame, last = (0, 12) if clips.rows[number]["file"].endswith("0") else (12, 20)
            start = clips.rows[number]["start_s"] * 30
            assert first_frame - 0.01 <= start < last
            frame = clips.clips([number]).frames[0, 0].float()
            red = (frame[0] - frame[1]).clamp(0)
            across = float((red.sum(0) * (torch.arange(16) + 0.5)).sum() / red.sum()) * samples.SIZE / 16
            assert across == pytest.approx(5.5 + start, abs=1.5)
    assert seen == {first.file, second.file}


def test_series_of_shards_are_told_apart(tmp_path: Path) -> None:
    """Two with the same numbers, one of them with a gap, and a file without a number."""
    for name in ("train-000000", "train-000002", "val-000000", "extra"):
        samples.write_shard(tmp_path / f"{name}.tar", [name])
    names = ["extra.tar", "train-000000.tar", "train-000001.tar", "train-000002.tar", "val-000000.tar"]
    assert [path.name for path in webdataset.shards(tmp_path)] == names
    found = collection_of(tmp_path)
    assert len(found.sources) == 4
    assert found.others == {"train-000001.tar": "is missing between other shards of its series"}
    samples.write_shard(tmp_path / "train-000001.tar", ["train-000001"])
    assert len(sources_of(tmp_path)) == 5 and collection_of(tmp_path).others == {}


def test_dates_and_digests_are_no_numbers_of_shards(tmp_path: Path) -> None:
    names = ("20240105", "20240401", "day-2024-01-05", "0a9b-00000000-4e21", "0a9b-00000000-9980", "7f-120", "7f-480")
    for name in names:
        samples.write_shard(tmp_path / f"{name}.tar", [name])
    assert sorted(path.stem for path in webdataset.shards(tmp_path)) == sorted(names)


def test_a_shard_that_is_cut_short_or_none_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "within").mkdir()
    whole = samples.write_shard(tmp_path / "within" / "a.tar", ["one", "two"])
    short = samples.write_shard(tmp_path / "b.tar", ["three", "four"])
    place = webdataset.members_of(short)["four.mp4"]
    short.write_bytes(short.read_bytes()[: place.start + 100])
    (tmp_path / "c.tar").write_bytes(b"no tar")
    samples.recording(tmp_path / "d.mp4", 3)
    found = collection_of(tmp_path)
    assert sorted(found.sources) == ["b/three.mp4", "d.mp4", "within/a/one.mp4", "within/a/two.mp4"]
    assert list(found.others) == ["c.tar"] and "is no tar file" in found.others["c.tar"]
    assert content_of(found.sources["within/a/one.mp4"]) == content_of(Source(whole, "one.mp4"))


def test_a_tar_file_is_blamed_for_its_own_faults_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = samples.write_shard(tmp_path / "a.tar", ["video"])
    with pytest.raises(KeyError, match="mine"), Source(shard, "video.mp4").opened():
        raise KeyError("mine")
    with pytest.raises(Unreadable, match=r"cannot be read from a\.tar"), Source(shard, "none.mp4").opened():
        pass

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(source.shutil, "copyfileobj", full)
    with pytest.raises(UserError, match=r"has no room for a video of a\.tar"), Source(shard, "video.mp4").opened():
        pass


def test_the_cameras_of_an_episode_are_held_out_together(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    samples.lerobot(folder)
    info = json.loads((folder / "meta" / "info.json").read_text())
    info["features"]["observation.images.side"] = {"dtype": "video"}
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    rows = [json.dumps({"episode_index": k}) for k in range(5)]
    (folder / "meta" / "episodes.jsonl").write_text("\n".join(rows))
    for camera in ("top", "side"):
        for k in range(5):
            place = folder / f"videos/chunk-000/observation.images.{camera}/episode_{k:06d}.mp4"
            samples.recording(place, k, 12 + (camera == "side"))
    for k, split in enumerate(("train", "val", "real")):  # an episode's split is that of one of its cameras
        names = [f"observation.images.{camera}/{k:06d}" for camera in ("top", "side")]

        def fits(names: list[str] = names, split: str = split) -> bool:
            sources = {name: sources_of(folder)[name] for name in names}
            return splits_by_content(sources, {n: content_of(s) for n, s in sources.items()})[names[0]] == split

        pad_until(sources_of(folder)[names[0]].path, fits)
    made = ingest(folder, tmp_path / "ours", OPTIONS)
    assert made.set_aside == ()
    splits = {one.file: one.split for one in made.files}
    assert len(splits) == 10 and set(splits.values()) == {"train", "val", "real"}
    for k in range(5):
        assert len({split for file, split in splits.items() if file.endswith(f"{k:06d}")}) == 1


def test_what_cannot_be_read_is_set_aside_or_one_line(tmp_path: Path) -> None:
    theirs = tmp_path / "a folder"
    taken = samples.lerobot(theirs)
    taken.unlink()
    (aside,) = ingest(theirs, tmp_path / "ours", OPTIONS).set_aside
    assert aside.file.endswith("000001") and "cannot be read" in aside.reason
    info = theirs / "meta" / "info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"codebase_version": "v9"}))
    with pytest.raises(UserError, match="format v9 is not known"):
        ingest(theirs, tmp_path / "other", OPTIONS)
    (theirs / "meta" / "episodes.jsonl").write_text('{"length": 3}\n')
    info.write_text(json.dumps(json.loads(info.read_text()) | {"codebase_version": "v2.1"}))
    with pytest.raises(UserError, match="an episode has no usable 'episode_index'"):
        ingest(theirs, tmp_path / "other", OPTIONS)
    (theirs / "meta" / "episodes.jsonl").write_text('{"length": 3, "episode_index": 1e400}\n')
    with pytest.raises(UserError, match="an episode has no usable cannot convert float infinity"):
        ingest(theirs, tmp_path / "other", OPTIONS)
    (theirs / "meta" / "episodes.jsonl").write_text('{"length": 3, "episode_index": 0}\n')
    usual = json.loads(info.read_text())
    info.write_text(json.dumps(usual | {"video_path": "{episode_index.real.x}.mp4"}))
    with pytest.raises(UserError, match="an episode has no usable"):
        ingest(theirs, tmp_path / "other", OPTIONS)
    info.write_text(json.dumps(usual | {"video_path": 4}))
    with pytest.raises(UserError, match=r"info\.json: data_path and video_path are to be texts"):
        ingest(theirs, tmp_path / "other", OPTIONS)
    info.write_text("{}")
    with pytest.raises(UserError, match="has no 'codebase_version'"):
        ingest(theirs, tmp_path / "other", OPTIONS)
    shards = tmp_path / "shards"
    taken = samples.webdataset(shards)
    taken.write_bytes(b"no tar")
    (aside,) = ingest(shards, tmp_path / "other", OPTIONS).set_aside
    assert (aside.file, "is no tar file" in aside.reason) == ("clips-000001.tar", True)
    taken.unlink()
    (aside,) = ingest(shards, tmp_path / "other", OPTIONS).set_aside
    assert (aside.file, aside.reason[:10]) == ("clips-000001.tar", "is missing")


def test_a_bad_line_or_table_of_episodes_costs_no_other(tmp_path: Path) -> None:
    samples.lerobot(tmp_path / "v2")
    lines = tmp_path / "v2" / "meta" / "episodes.jsonl"
    lines.write_bytes(b"\xef\xbb\xbf" + lines.read_bytes() + b'{"length": 3}\nhalf a li')
    found = collection_of(tmp_path / "v2")
    assert set(found.sources) == NAMES["lerobot"]
    assert found.others == {
        "meta/episodes.jsonl:3": "an episode has no usable 'episode_index'",
        "meta/episodes.jsonl:4": "is not a JSON object",
    }
    samples.lerobot_v3(tmp_path / "v3")
    (tmp_path / "v3" / "meta" / "episodes" / "chunk-000" / "file-001.parquet").write_bytes(b"no table")
    found = collection_of(tmp_path / "v3")
    assert set(found.sources) == NAMES["lerobot_v3"]
    assert list(found.others) == ["meta/episodes/chunk-000/file-001.parquet"]


def test_the_command_takes_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples.webdataset(tmp_path / "shards")
    options = ["--size", "16", "--num-frames", "2"]
    cli.run(["data", "ingest", str(tmp_path / "shards"), "--out", str(tmp_path / "ours"), *options])
    assert "clips of 6 files" in capsys.readouterr().out
