"""Videos with actions become clips with actions: what led to each frame, and what cannot be used is said."""

import json
from pathlib import Path

import acted_videos
import made_videos
import numpy as np
import pytest
import samples
import torch
from padded_videos import of_split

from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.models.schema import DataConfig
from vidworld.training.data import Mixture, action_channels
from vidworld.video import real_action_channels, training_fingerprint
from vidworld.video.action_tables import actions_of, read_actions
from vidworld.video.actions import VideoActions
from vidworld.video.clips import ClipOptions
from vidworld.video.ingest import Ingested, ingest, summary
from vidworld.video.real import Mirrored, RealClips

OPTIONS = ClipOptions(size_px=32, num_frames=8, stride=4)
FRAMES = 61


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos at 30 frames a second, two of which train and one is held out; one has no actions."""
    path = tmp_path_factory.mktemp("acted")
    done = {}
    for number, split in enumerate(("train", "train", "real")):
        actions = 5.0 + 2.0 * acted_videos.actions_of(number, FRAMES - 1, held=5)
        recording = acted_videos.recording((actions - 5.0) / 2.0, number)
        of_split(split, made_videos.write(path / f"{number}.mp4", recording))
        done[f"{number}.mp4"] = actions
    of_split("train", made_videos.write(path / "nobody.mp4", made_videos.recording(np.arange(60) / 30, seed=7)))
    acted_videos.write(path, done | {"1.mpeg": np.zeros((3, 2))})
    return path


@pytest.fixture(scope="module")
def ingested(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    return ingest(folder, tmp_path_factory.mktemp("out") / "clips", OPTIONS)


def test_a_clip_has_what_led_to_each_frame(folder: Path, ingested: Ingested) -> None:
    """At 10 frames a second of 30 the mean of three, put between -1 and 1 by the data set's least and greatest."""
    table = actions_of(folder)
    record = json.loads((ingested.out / "ingest.json").read_text())["actions"]
    assert table is not None and record["channels"] == ["dx", "idle"] == list(table.channels)
    trained = np.concatenate([acted_videos_values(table, f"{i}.mp4") for i in (0, 1)])
    np.testing.assert_allclose([record["low"], record["high"]], [trained.min(0), trained.max(0)])
    for split in ("train", "real"):
        source = RealClips(ingested.out, split)
        clips = source.clips(range(len(source)))
        assert clips.actions is not None and clips.actions.shape == (len(source), 8, 2)
        assert clips.actions.dtype == torch.float32 and not clips.actions[:, 0].any()
        for number, row in enumerate(source.rows):
            values = acted_videos_values(table, row["file"])
            start = round(row["start_s"] * 30)
            led = np.stack([values[start + 3 * k - 3 : start + 3 * k].mean(0) for k in range(1, 8)])
            low, high = (np.asarray(record[end]) for end in ("low", "high"))
            expected = (2 * (led - low) / (high - low) - 1).clip(-1, 1)
            np.testing.assert_allclose(clips.actions[number, 1:].numpy(), expected, atol=1e-5)
    fewer = RealClips(ingested.out, "train", ClipShape(num_frames=4, height_px=32, width_px=32)).clips([1, 0])
    assert fewer.actions is not None
    assert torch.equal(fewer.actions, RealClips(ingested.out, "train").clips([1, 0]).actions[:, :4])


def acted_videos_values(table, file: str) -> np.ndarray:
    recording = table.of(file)
    assert isinstance(recording, VideoActions)
    return recording.values


def test_the_disc_moves_by_the_actions_of_its_clip(ingested: Ingested) -> None:
    """The frames and the actions are of the same moments: across moves follow what is said to have led to them."""
    source = RealClips(ingested.out, "train")
    clips = source.clips(range(len(source)))
    x_px = np.array(
        [[made_videos.center_x(frame) for frame in clip] for clip in clips.frames.permute(0, 1, 3, 4, 2).numpy()]
    )
    moved, told = np.abs(np.diff(x_px)), np.abs(clips.actions[:, 1:, 0].numpy())
    seen = np.isfinite(moved)
    assert np.corrcoef(moved[seen], told[seen])[0, 1] > 0.85  # but for where it turns round
    assert np.corrcoef(moved[:, 1:][seen[:, 1:]], told[:, :-1][seen[:, 1:]])[0, 1] < 0.6  # and not a frame late


def test_the_summary_says_which_actions_there_are(ingested: Ingested) -> None:
    (line,) = [line for line in summary(ingested).splitlines() if "with actions" in line]
    record = json.loads((ingested.out / "ingest.json").read_text())["actions"]
    assert f"dx from {record['low'][0]:.4g} to {record['high'][0]:.4g}, idle from" in line


def test_what_has_no_actions_is_set_aside_with_its_reason(folder: Path, ingested: Ingested, tmp_path: Path) -> None:
    reasons = {one.file: one.reason for one in ingested.set_aside}
    assert set(reasons) == {"nobody.mp4", "1.mpeg"}
    assert reasons["nobody.mp4"].startswith("has no actions, and other videos of the folder have some")
    assert reasons["1.mpeg"] == "is in actions.csv but not in the folder (did you mean 1.mp4?)"
    without = ingest(folder, tmp_path / "out", OPTIONS, use_actions=False)
    assert {one.file for one in without.files} == {"0.mp4", "1.mp4", "2.mp4", "nobody.mp4"}
    assert RealClips(without.out, "train").clips([0]).actions is None


def test_a_data_set_without_actions_is_as_it_was(folder: Path, tmp_path: Path) -> None:
    made = ingest(folder, tmp_path / "out", OPTIONS, use_actions=False)
    record = json.loads((made.out / "ingest.json").read_text())
    assert record.keys() == {"version", "made_of", "options", "content", "files"}
    assert all(content.keys() == {"frames", "rows"} for content in record["content"].values())
    assert training_fingerprint(made.out) == record["content"]["train"]["frames"]
    assert "actions" not in RealClips(made.out, "train").rows.column_names
    assert real_action_channels(made.out) == 0


def test_other_actions_are_another_data_set(tmp_path: Path) -> None:
    """Of the same pictures: it is made again, and a training knows it; those of held-out videos change no training."""
    folder, done = tmp_path / "videos", {}
    for number, split in enumerate(("train", "real")):
        done[f"{number}.mp4"] = acted_videos.actions_of(number, 40)
        of_split(
            split, made_videos.write(folder / f"{number}.mp4", acted_videos.recording(done[f"{number}.mp4"], number))
        )

    def known(by_file: dict[str, np.ndarray]) -> str | None:
        acted_videos.write(folder, by_file)
        made = ingest(folder, tmp_path / "out", OPTIONS)
        assert ingest(folder, tmp_path / "out", OPTIONS).reused and not made.reused
        return training_fingerprint(tmp_path / "out")

    first = known(done)
    assert known(done | {"1.mp4": 3 * done["1.mp4"]}) == first
    assert known(done | {"0.mp4": done["0.mp4"][::-1].copy()}) != first
    assert known(done | {"0.mp4": 3 * done["0.mp4"]}) != first  # the range is part of it


def test_actions_by_time_hold_until_the_next() -> None:
    times_s = np.arange(31) / 30
    by_frame = VideoActions(np.arange(30.0)[:, None])
    by_time = VideoActions(np.arange(30.0)[:, None], times_s[:30])
    clip_s = 0.1 + np.arange(8) / 10
    np.testing.assert_allclose(by_time.led_to(times_s, clip_s), by_frame.led_to(times_s, clip_s), atol=1e-5)
    np.testing.assert_allclose(by_frame.led_to(times_s, clip_s)[:3, 0], [0.0, 4.0, 7.0])
    held = VideoActions(np.array([[1.0], [3.0]]), np.array([0.0, 0.25]))
    np.testing.assert_allclose(held.led_to(times_s, np.arange(5) / 10)[:, 0], [0, 1, 1, 2, 3], atol=0.07)
    often = VideoActions(np.repeat([[1.0], [2.0]], 50, axis=0), np.arange(100) / 100)
    np.testing.assert_allclose(often.led_to(times_s, np.array([0.4, 0.6]))[:, 0], [0, 1.5], atol=1e-6)


def test_a_clip_that_is_faster_than_its_video_has_the_action_that_held() -> None:
    led = VideoActions(np.array([[1.0], [2.0]])).led_to(
        np.array([0.0, 0.1, 0.2]), np.array([0.0, 0.04, 0.1, 0.14, 0.2])
    )
    np.testing.assert_allclose(led[:, 0], [0, 1, 1, 2, 2])


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["a.mp4,0,1", "a.mp4,2,1"], "has no action of frame 1 in actions.csv"),
        (["a.mp4,0,1", "a.mp4,0,1"], "has an action that cannot be used: actions.csv:3: frame 0 has a row already"),
        (["a.mp4,0,1", "a.mp4,1,left"], "has an action that cannot be used: actions.csv:3: dx: 'left' is no number"),
        (
            ["a.mp4,0,1", "a.mp4,1,1e39"],
            "has an action that cannot be used: actions.csv:3: dx: '1e39' is too large a number (at most 1e+12)",
        ),
        (
            ["a.mp4,0,1", "a.mp4,1,-3e38"],
            "has an action that cannot be used: actions.csv:3: dx: '-3e38' is too large a number (at most 1e+12)",
        ),
        (['a.mp4,0,"1,5"'], "has an action that cannot be used: actions.csv:2: dx: '1,5' is no number"),
        (["a.mp4,0,1", "a.mp4,1,nan"], "has an action that cannot be used: actions.csv:3: dx: 'nan' is no number"),
        (["a.mp4,0,1", "a.mp4,1"], "has an action that cannot be used: actions.csv:3 has 2 cells, and its header 3"),
        (
            ["a.mp4,0.5,1"],
            "has an action that cannot be used: actions.csv:2: frame 0.5 is none; they are counted 0, 1, 2",
        ),
        ([f"a.mp4,{i},1" for i in range(50)], "has actions of 50 frames, and only 41 frames"),
        ([f"a.mp4,{i},1" for i in range(20)], "has no action of frame 20 (it has 41 frames)"),
    ],
)
def test_a_broken_row_costs_its_video(lines: list[str], reason: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        made_videos.write(tmp_path / f"{name}.mp4", made_videos.recording(np.arange(41) / 30, seed=ord(name)))
    good = [f"b.mp4,{i},{i % 3}" for i in range(40)]
    (tmp_path / "actions.csv").write_text("\n".join(["file,frame,dx", *lines, *good]) + "\n")
    made = ingest(tmp_path, tmp_path / "out", OPTIONS)
    assert [one.file for one in made.files] == ["b.mp4"]
    assert [(one.file, one.reason) for one in made.set_aside] == [("a.mp4", reason)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,frme,dx\n", "has no column frame or time_s; did you mean frame"),
        ("video,frame,dx\n", "has no column file; it has video, frame, dx"),
        ("file,frame\n", "has no channel of an action"),
        ("file,frame,time_s,dx\n", "has both columns frame and time_s; leave one out"),
        ("file,frame,dx,dx\n", "has several columns 'dx'"),
        ("", "has no column file; it has none"),
        ("file,frame,dx\n", "has no row"),
        ('file,frame,dx\na.mp4,0,1\n"a.mp4,1,1\na.mp4,2,1\n', r"actions\.csv:3: a quotation mark is not closed"),
        ('file,frame,dx\na.mp4,0,"1\nb.mp4,0,1"\n', r"actions\.csv:2: a quotation mark is not closed"),
        ('"file,frame,dx\na.mp4,0,1\n', r"actions\.csv:1: a quotation mark is not closed"),
        ("file;frame;dx\na.mp4;0;0,5\n", r"actions\.csv:1: separates its cells by semicolons; commas are wanted"),
        ("file,frame,dx\na.mp4\t0\t1\n", r"actions\.csv:2: separates its cells by tabs; commas are wanted"),
        ('file,frame,dx\na.mp4,0,"1', r"actions\.csv:2: a quotation mark is not closed"),
    ],
)
def test_a_table_that_is_none_is_said_in_a_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "actions.csv").write_text(text)
    with pytest.raises(UserError, match=said) as error:
        read_actions(tmp_path / "actions.csv")
    assert all(line.startswith(str(tmp_path / "actions.csv")) for line in str(error.value).splitlines())


def test_odd_lines_cost_no_more_than_themselves(tmp_path: Path) -> None:
    lines = ["file,frame,dx", '"a.mp4" ,0,1', "\t", "# made by me; 2026", "", "a.mp4,1,2 "]
    (tmp_path / "actions.csv").write_text("\n".join(lines))
    found = read_actions(tmp_path / "actions.csv")
    assert found.by_file["a.mp4"].values.ravel().tolist() == [1.0, 2.0] and len(found.by_file) == 2


@pytest.mark.parametrize("kind", ["lerobot", "lerobot_v3"])
def test_the_actions_of_lerobot_are_read(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow
    from pyarrow import parquet

    getattr(samples, kind)(tmp_path)
    assert actions_of(tmp_path) is None  # the samples' tables are text
    assert "is used without its actions: data/chunk-000" in capsys.readouterr().out
    lengths = (12, 12) if kind == "lerobot" else (12, 8)
    rows = [
        [{"episode_index": e, "frame_index": f, "action": [100.0 * e + f, 1.0]} for f in range(length)]
        for e, length in enumerate(lengths)
    ]
    tables = sorted((tmp_path / "data").rglob("*.parquet"))
    for table, of in zip(tables, rows if kind == "lerobot" else [rows[0] + rows[1]], strict=True):
        parquet.write_table(pyarrow.Table.from_pylist(of[::-1]), table)
    made = ingest(tmp_path, tmp_path / "out", ClipOptions(fps=10.0, size_px=16, num_frames=2, stride=2))
    assert made.set_aside == () and len(made.files) == 2
    for split in {one.split for one in made.files}:
        clips = RealClips(made.out, split)
        rows_there = clips._actions[:]["actions"]
        for row, actions in zip(clips.rows, rows_there, strict=True):
            episode = int(row["file"][-1])
            frame = round(row["start_s"] * 30) - (12 if kind == "lerobot_v3" and episode else 0)
            np.testing.assert_allclose(actions[1], [100 * episode + frame + 1, 1.0])
    if kind == "lerobot":
        parquet.write_table(pyarrow.Table.from_pylist(rows[1][1:]), tables[1])
        made = ingest(tmp_path, tmp_path / "out", ClipOptions(fps=10.0, size_px=16, num_frames=2, stride=2))
        (aside,) = made.set_aside
        assert aside.reason == "has actions of frames that are not counted 0, 1, 2 in episode_000001.parquet"


def test_a_mixture_has_the_channels_of_its_real_clips(ingested: Ingested) -> None:
    shape = ClipShape(num_frames=8, height_px=32, width_px=32)
    config = DataConfig(shape=shape, clips=12, scenarios={"uniform": 1.0}, real=ingested.out, real_share=0.5)
    assert action_channels(config) == 2
    mixture = Mixture(config)
    _, actions = mixture.clips(range(12))
    of_real = mixture.source_of == len(mixture.sources) - 1
    assert actions[of_real].any() and not actions[~of_real].any()
    acting = DataConfig(shape=shape, clips=12, scenarios={"puck": 1.0}, real=ingested.out)
    assert action_channels(acting) == 2


def test_other_numbers_of_channels_are_refused(tmp_path: Path) -> None:
    done = acted_videos.actions_of(0, 40)
    of_split("train", made_videos.write(tmp_path / "a.mp4", acted_videos.recording(done)))
    acted_videos.write(tmp_path, {"a.mp4": done[:, :1]}, columns=("file", "frame", "dx"))
    made = ingest(tmp_path, tmp_path / "out", OPTIONS)
    shape = ClipShape(num_frames=8, height_px=32, width_px=32)
    config = DataConfig(shape=shape, scenarios={"puck": 1.0}, real=made.out)
    with pytest.raises(UserError, match=r"different numbers of channels \(puck 2, .*out 1\); train one model each"):
        action_channels(config)


def test_clips_with_actions_are_not_mirrored(ingested: Ingested) -> None:
    with pytest.raises(UserError, match="real_mirrored=false"):
        Mirrored(RealClips(ingested.out, "train"))


def test_actions_that_all_end_before_the_video_are_a_fault():
    frames_s = np.arange(4) / 10
    values = np.ones((3, 1))
    assert "time_s is in seconds from there" in VideoActions(values, np.array([-3.0, -2.0, -1.0])).fault(frames_s)
    assert VideoActions(values, np.array([-1.0, 0.0, 0.2])).fault(frames_s) == ""


def test_times_far_beyond_the_video_are_a_fault():
    """As in milliseconds, or since 1970; a log that goes on for a while after the video is none."""
    frames_s, values = np.arange(41) / 10, np.ones((40, 1))
    stamps_s = np.arange(40) / 10
    for other in (1000 * stamps_s, 10 * stamps_s, 1.7e9 + stamps_s):
        said = f"has an action at {other[-1]:g} s, and lasts 4 s; time_s is in seconds from its first frame"
        assert VideoActions(values, other).fault(frames_s).startswith(said)
    assert VideoActions(values, 3 * stamps_s).fault(frames_s) == ""
