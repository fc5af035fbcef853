"""A folder becomes a data set: what can be used is in it once, and the rest is listed with its reason."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import made_videos
import numpy as np
import pytest
import torch
from padded_videos import of_split

from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import ArgumentParser, UserError
from vidworld.core.records import fingerprint
from vidworld.evaluation.physics import held_out
from vidworld.models.schema import DataConfig
from vidworld.training.data import Mixture
from vidworld.video import content_fingerprint, training_fingerprint
from vidworld.video.clips import ClipOptions
from vidworld.video.folder import NO_VIDEO
from vidworld.video.ingest import INGEST, Ingested, SetAside, ingest, summary
from vidworld.video.real import RealClips

OPTIONS = ClipOptions(size_px=32, num_frames=8, stride=4)
SECONDS = np.arange(60) / 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good videos, one a split, one of them within a folder and slowed down, and six that are none."""
    path = tmp_path_factory.mktemp("folder")
    of_split("train", made_videos.write(path / "first.mp4", made_videos.recording(SECONDS)))
    of_split("val", made_videos.write(path / "second.avi", made_videos.recording(SECONDS, seed=1), codec="mpeg4"))
    slow = made_videos.recording(np.arange(60) / 120, lambda t: 20 + 160 * t, seed=2)
    of_split("real", made_videos.write(path / "within" / "slow.MP4", slow))
    (path / "same.mp4").write_bytes((path / "first.mp4").read_bytes())
    (path / "text.mp4").write_text("this is no video")
    made_videos.cut_short(made_videos.write(path / "cut.mp4", made_videos.recording(SECONDS)))
    made_videos.write(path / "brief.mp4", made_videos.recording(SECONDS[:5]))
    made_videos.write(path / "still.mp4", made_videos.recording(SECONDS, lambda t: 30))
    made_videos.write(path / "black.mp4", np.zeros((20, made_videos.HEIGHT, made_videos.WIDTH, 3), np.uint8))
    (path / "notes.txt").write_text("no video")
    lines = [
        {"file": "within/slow.MP4", "true_fps": 120, "gravity": "right", "px_per_m": 96.0, "note": "by hand"},
        {"file": "gone.mp4"},
    ]
    (path / "clips.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.fixture(scope="module")
def ingested(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    return ingest(folder, tmp_path_factory.mktemp("out") / "clips", OPTIONS)


def test_every_file_is_used_or_set_aside_with_its_reason(ingested: Ingested) -> None:
    assert {record.file for record in ingested.files} == {"first.mp4", "second.avi", "within/slow.MP4"}
    reasons = {one.file: one.reason for one in ingested.set_aside}
    for file, reason in {
        "same.mp4": "is the same as first.mp4",
        "text.mp4": "is no video that can be decoded",
        "cut.mp4": "is cut short",
        "brief.mp4": "is too short: 5 frames at 30 a second, 8 make a clip",
        "still.mp4": "shows nothing that moves",
        "black.mp4": "is black throughout",
        "gone.mp4": "is in the sidecar but not in the folder",
        "notes.txt": "is no video",
    }.items():
        assert reasons.pop(file).startswith(reason)
    assert not reasons
    stored = json.loads((ingested.out / "set_aside.json").read_text())
    assert [SetAside(**one) for one in stored] == list(ingested.set_aside)


def test_clips_load_back_as_clips_of_their_rate(ingested: Ingested) -> None:
    of_file = {}
    for split in ("train", "val", "real"):
        source = RealClips(ingested.out, split)
        (file,) = set(source.rows["file"])  # three files, three splits
        of_file[file] = source
        clips = source.clips(range(len(source)))
        assert clips.frames.shape == (len(source), 8, 3, 32, 32)
        assert clips.identity == tuple(f"real/{file}/{i}" for i in range(len(source)))
    assert of_file["first.mp4"].clips([0]).fps == 10.0
    slow = of_file["within/slow.MP4"]  # 60 frames at a true 120 a second: half a second
    assert slow.clips([0]).fps == 20.0
    x_px = [made_videos.center_x(frame) for frame in slow.clips([0]).frames[0].permute(0, 2, 3, 1).numpy()]
    np.testing.assert_allclose(np.diff(x_px), 160 / 20 / 3, atol=0.4)  # 160 px a second, a third as large


def test_a_row_says_how_its_clip_was_made(ingested: Ingested) -> None:
    split = {record.file: record.split for record in ingested.files}["within/slow.MP4"]
    row = RealClips(ingested.out, split).rows[0]
    assert (row["file"], row["shot"], row["start_frame"], row["time_base"]) == ("within/slow.MP4", 0, 0, "sidecar")
    assert (row["gravity"], row["gravity_direction"], row["px_per_m"]) == ("right", [1.0, 0.0], 32.0)
    assert row["scale"] == pytest.approx(1 / 3)
    assert row["static_camera"] and row["in_event"]
    assert row["motion_in_view"] > 0.5
    assert 0 <= row["crop_left_px"] <= made_videos.WIDTH - made_videos.HEIGHT
    assert json.loads(row["sidecar"])["note"] == "by hand"


def test_the_same_is_not_made_twice_and_other_options_replace_it(folder: Path, ingested: Ingested) -> None:
    def made() -> int:
        return (ingested.out / "ingest.json").stat().st_mtime_ns

    before = made()
    again = ingest(folder, ingested.out, OPTIONS)
    assert (again.reused, again.files, again.set_aside) == (True, ingested.files, ingested.set_aside)
    assert made() == before
    larger = ingest(folder, ingested.out, ClipOptions(size_px=16, num_frames=8, stride=4))
    assert not larger.reused
    (ingested.out / "set_aside.json").write_text("{")
    with pytest.raises(UserError, match="its records are damaged"):
        ingest(folder, ingested.out, ClipOptions(size_px=16, num_frames=8, stride=4))
    (ingested.out / "set_aside.json").write_text('[{"odd": 1}]')
    with pytest.raises(UserError, match="its records are damaged; remove it, or name another folder"):
        ingest(folder, ingested.out, ClipOptions(size_px=16, num_frames=8, stride=4))
    assert RealClips(ingested.out, "train").size_px == 16
    assert [path.name for path in ingested.out.parent.iterdir()] == [ingested.out.name]
    ingest(folder, ingested.out, OPTIONS)


def test_what_was_there_stays_where_making_fails(
    folder: Path, ingested: Ingested, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(path.relative_to(ingested.out) for path in ingested.out.rglob("*"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vidworld.video.joined.join", full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        ingest(folder, ingested.out, ClipOptions(size_px=24, num_frames=8))
    assert sorted(path.relative_to(ingested.out) for path in ingested.out.rglob("*")) == before
    assert [path.name for path in ingested.out.parent.iterdir()] == [ingested.out.name]


def test_a_record_that_the_disk_refuses_leaves_no_data_set(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record is on the disk before the data set has its name: one that was cut off would be none."""

    def refused(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", refused)
    with pytest.raises(UserError, match=r"cannot be written \(Input/output error\)"):
        ingest(folder, tmp_path / "out", OPTIONS)
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_done_is_said_in_a_line(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("keep me")

    def fails(of: Path, out: Path, said: str, options: ClipOptions = OPTIONS) -> None:
        with pytest.raises(UserError, match=said) as error:
            ingest(of, out, options)
        assert "\n" not in str(error.value)

    fails(tmp_path / "none", tmp_path / "out", "there is no such folder")
    fails(tmp_path / "file", tmp_path / "out", "is not a folder")
    fails(bad, tmp_path / "out", "there is no video file, LeRobot data set or WebDataset shard in it")
    (bad / "a.mp4").write_text("text")
    fails(bad, tmp_path / "out", "no video in it can be used: a.mp4 is no video that can be decoded")
    (bad / "collected.json").write_text("[1]")
    fails(bad, tmp_path / "out", r"collected\.json: is no record of collected episodes")
    fails(folder, tmp_path / "file" / "out", "cannot be written")
    fails(folder, tmp_path / "other", "is there already and is no ingested data set")
    fails(folder, tmp_path / "out", "--fps: 0 is no number above zero", ClipOptions(fps=0.0))
    fails(folder, tmp_path / "out", "--fps: inf is no number above zero", ClipOptions(fps=float("inf")))
    assert (tmp_path / "other" / "thesis.txt").read_text() == "keep me"
    assert not (tmp_path / "out").exists()


def test_an_event_that_ends_after_its_video_sets_that_aside(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    for name in ("a", "b"):
        made_videos.write(folder / f"{name}.mp4", made_videos.recording(SECONDS[:40], seed=ord(name)))
    (folder / "clips.jsonl").write_text(
        '{"file": "a.mp4", "event_frames": [3, 39]}\n{"file": "b.mp4", "event_frames": [3, 40]}\n'
    )
    made = ingest(folder, tmp_path / "out", OPTIONS)
    assert [one.file for one in made.files] == ["a.mp4"]
    assert [(one.file, one.reason) for one in made.set_aside] == [
        ("b.mp4", "has frames 0 to 39, and event_frames 3 to 40")
    ]


def test_a_data_set_is_known_by_what_it_holds(tmp_path: Path) -> None:
    """Training by the frames that it reads, evaluation by every word of the rows: wherever the data set lies."""
    folder, out = tmp_path / "videos", tmp_path / "out"
    for i, split in enumerate(("train", "train", "real")):
        of_split(split, made_videos.write(folder / f"{i}.mp4", made_videos.recording(SECONDS[:40], seed=i)))

    def known(at: Path = out, **options: int) -> dict[str, str | None]:
        ingest(folder, at, replace(OPTIONS, **options))
        splits = {split: content_fingerprint(at, split) for split in ("train", "val", "real")}
        return splits | {"all": fingerprint(splits), "training": training_fingerprint(at)}

    def differing(one: dict[str, str | None], other: dict[str, str | None]) -> set[str]:
        return {name for name in one if one[name] != other[name]}

    first = known()
    assert known() == known(tmp_path / "elsewhere") == first and len(set(first.values())) == 5
    sidecar = folder / "clips.jsonl"
    sidecar.write_text('{"file": "2.mp4", "event": "fall", "gravity": "down", "px_per_m": 30}')
    assert differing(first, known()) == {"real", "all"}
    sidecar.write_text('{"file": "0.mp4", "event": "fall"}')
    assert differing(first, known()) == {"train", "all"}  # and no training is another for it
    sidecar.unlink()
    (folder / "2.mp4").rename(folder / "3.mp4")
    assert differing(first, known()) == {"real", "all"}
    (folder / "3.mp4").rename(folder / "2.mp4")
    assert known() == first
    (folder / "1.mp4").unlink()
    assert differing(first, known()) == {"train", "all", "training"}
    assert differing(known(), known(size_px=16)) == {"train", "real", "all", "training"}
    assert training_fingerprint(None) is None


def test_a_data_set_without_fingerprints_says_what_to_do(ingested: Ingested, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no data set of real clips: make one"):
        content_fingerprint(tmp_path, "real")
    record = json.loads((ingested.out / "ingest.json").read_text())
    del record["content"]
    (tmp_path / "ingest.json").write_text(json.dumps(record))
    for ask in (partial(content_fingerprint, split="real"), training_fingerprint):
        with pytest.raises(UserError, match=r"older version.*: ingest its videos again") as error:
            ask(tmp_path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("split", "means"), [("train", "evaluation leaves"), ("real", "simulated clips only")])
def test_a_split_without_clips_is_said_and_nothing_stops(
    split: str, means: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_split(split, made_videos.write(tmp_path / "videos" / "a.mp4", made_videos.recording(SECONDS)))
    made = ingest(tmp_path / "videos", tmp_path / "out", OPTIONS)
    (line,) = [line for line in summary(made).splitlines() if "no clip in split" in line]
    assert means in line and "no clip in split val" in line and line.endswith("add videos to fill these")
    shape = ClipShape(num_frames=8, height_px=32, width_px=32)
    simulated = DataConfig(shape=shape, clips=12, scenarios={"uniform": 1.0})
    mixed = Mixture(replace(simulated, real=made.out, real_share=1.0))
    said = capsys.readouterr().out
    frames, without = mixed.frames(range(12)), Mixture(simulated).frames(range(12))
    if split == "train":
        assert said == "" and torch.equal(frames[:1], RealClips(made.out, "train").clips([0]).frames)
        assert held_out(made.out, shape) is None
    else:
        assert said == f"{made.out}: has no clips in split 'train'; simulated clips only\n"
        assert torch.equal(frames, without)
        assert len(held_out(made.out, shape) or ()) == made.files[0].clips


def test_the_command_prints_what_became_of_every_file(
    folder: Path, ingested: Ingested, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = ArgumentParser()
    INGEST.add_arguments(parser)
    assert vars(parser.parse_args([str(folder), "--out", "x"])) == {
        **{"folder": folder, "out": Path("x"), "fps": 10.0, "one_rate": False, "size": 64},
        **{"num_frames": 16, "stride": 8, "workers": None, "sidecar": None, "no_actions": False},
    }
    line = [str(folder), "--out", str(ingested.out), "--size", "32", "--num-frames", "8", "--stride", "4"]
    INGEST.run(parser.parse_args(line))
    lines = capsys.readouterr().out.splitlines()
    for one in (*ingested.files, *ingested.set_aside):
        assert sum(line.startswith(f"{one.file} ") for line in lines) == 1
    assert f"{sum(record.clips for record in ingested.files)} clips of 3 files, 8 set aside" in lines[-1]
    with pytest.raises(UserError, match="--fps"):
        parser.parse_args([*line, "--fps", "fast"])


@made_videos.needs_real_video
def test_sample_videos_become_clips_at_their_true_rates(tmp_path: Path) -> None:
    """A few of them: linked, since the folder itself is not written to."""
    names = ("jbart_toss_bounce.avi", "puck_oblique.mp4", "puck_inertia.avi", "osp_ball_toss_15fps.mp4")
    (tmp_path / "videos").mkdir()
    for name in names:
        (tmp_path / "videos" / name).symlink_to(made_videos.REAL_VIDEO / name)
    ingested = ingest(tmp_path / "videos", tmp_path / "out", ClipOptions(), made_videos.REAL_VIDEO / "clips.jsonl")
    by_file = {record.file: record for record in ingested.files}
    toss, puck, inertia = (by_file[name] for name in names[:3])
    assert (toss.time_base, toss.fps, toss.clips) == ("presentation", (10.0,), 1)
    # 110 frames at 240 a second must fill 16: 40 a second. At the container's 29.97 they would last 3.7 s.
    assert (puck.time_base, puck.fps) == ("sidecar", (40.0,))
    assert inertia.without_clip == ("is too short: 2 frames at 25 a second, 16 make a clip",)  # its title card
    reasons = {one.file: one.reason for one in ingested.set_aside}
    assert reasons["osp_ball_toss_15fps.mp4"].startswith("is too short: 13 frames")
    assert len(by_file) + len(reasons) == 34
    clips = RealClips(ingested.out, puck.split)
    rows = clips.rows.filter(lambda row: row["file"] == puck.file)
    assert all(row["start_s"] + 15 / 40 <= 604 / 240 for row in rows)


@made_videos.needs_real_video
@pytest.mark.slow
def test_all_sample_videos_are_used_or_set_aside(tmp_path: Path) -> None:
    ingested = ingest(made_videos.REAL_VIDEO, tmp_path / "out", ClipOptions())
    assert len(ingested.files) == 33
    videos, others = (
        [one for one in ingested.set_aside if (one.reason == NO_VIDEO) == other] for other in (False, True)
    )
    assert [one.file for one in videos] == ["osp_ball_toss_15fps.mp4"]
    assert "README.md" in [one.file for one in others]  # what is no video is named, too
    assert all(record.fps for record in ingested.files)
