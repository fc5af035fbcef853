"""What actions brought: written where episodes are collected, kept where they are ingested, given with clips."""

import csv
from pathlib import Path

import acted_videos
import numpy as np
import pytest
import samples
import torch

from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.models.head import rewards_of
from vidworld.models.schema import DataConfig
from vidworld.training.examples import logged_sources
from vidworld.video import read_record, real_environment
from vidworld.video.action_tables import actions_of, read_actions
from vidworld.video.actions import VideoActions
from vidworld.video.clips import ClipOptions
from vidworld.video.collect import Play, collect_episodes
from vidworld.video.ingest import ingest
from vidworld.video.real import RealClips

WORLD = "two_room"


@pytest.mark.thorough
def test_rewards_of_collected_episodes_come_back_with_their_clips(tmp_path: Path) -> None:
    collect_episodes(Play(WORLD, seed=3, size_px=32), 5, tmp_path / "videos", workers=1)
    table = read_actions(tmp_path / "videos" / "actions.csv")
    assert table.rewarded and table.channels == ("action_0", "action_1")
    data = ingest(tmp_path / "videos", tmp_path / "clips", ClipOptions(size_px=32, num_frames=8), workers=1)
    record = read_record(data.out)
    assert record is not None and real_environment(data.out) == WORLD
    mean, deviation = record["actions"]["rewards"]
    source = RealClips(data.out, "train")
    logged = source.logged(range(len(source)))
    assert logged.goal.shape == (len(source), 0) and logged.aimless.all() and logged.reward[:, 0].isnan().all()
    for row, brought in zip(source.rows, logged.reward, strict=True):
        video, start = table.by_file[row["file"]], round(row["start_s"] * 10)
        assert isinstance(video, VideoActions) and video.rewards is not None
        np.testing.assert_allclose(brought[1:] * deviation + mean, video.rewards[start : start + 7], atol=1e-4)
    told, answered = rewards_of(logged, 4)
    assert told.shape == (len(source), 2, 8) and answered.isfinite().all()
    assert torch.allclose(answered[:, 0, 0] * 10, logged.reward[:, 1:4].mean(dim=1).float(), atol=1e-5)
    shape = ClipShape(num_frames=8, height_px=32, width_px=32)
    ((name, (same, _)),) = logged_sources(DataConfig(scenarios={}, real=data.out, shape=shape)).items()
    assert name == WORLD and torch.equal(same.logged([1]).reward[:, 1:], logged.reward[1:2, 1:])
    options = ClipOptions(size_px=32)
    plain = ingest(tmp_path / "videos", tmp_path / "none", options, workers=1, use_actions=False)
    with pytest.raises(UserError, match="none: says nothing of rewards; a column reward of actions"):
        RealClips(plain.out, plain.files[0].split).logged([0])


def test_a_reward_is_a_number_and_no_channel(tmp_path: Path) -> None:
    acted_videos.write(tmp_path, {"a.mp4": np.array([[0.1, -1.0], [0.2, -2.0]])}, ("file", "frame", "dx", "reward"))
    table = read_actions(tmp_path / "actions.csv")
    video = table.by_file["a.mp4"]
    assert isinstance(video, VideoActions) and video.rewards is not None and table.channels == ("dx",)
    assert video.rewards.tolist() == [-1.0, -2.0] and video.values.tolist() == [[0.1], [0.2]]
    rows = list(csv.reader((tmp_path / "actions.csv").open()))
    rows[2][3] = "much"
    with (tmp_path / "actions.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    said = read_actions(tmp_path / "actions.csv").by_file["a.mp4"]
    assert said == "has an action that cannot be used: actions.csv:3: reward: 'much' is no number"


@pytest.mark.parametrize(("brought", "rewarded"), [([0.5, 1.5], True), ([0.5, None], False)])
def test_rewards_of_lerobot_are_read_where_all_have_them(
    brought: list[float | None], rewarded: bool, tmp_path: Path
) -> None:
    import pyarrow
    from pyarrow import parquet

    samples.lerobot(tmp_path)
    for episode, table in enumerate(sorted((tmp_path / "data").rglob("*.parquet"))):
        rows = [
            {"episode_index": episode, "frame_index": frame, "action": [0.0, 1.0], "next.reward": brought[episode]}
            for frame in range(12)
        ]
        parquet.write_table(pyarrow.Table.from_pylist(rows), table)
    found = actions_of(tmp_path)
    assert found is not None and found.rewarded == rewarded
    videos = [video for video in found.by_file.values() if isinstance(video, VideoActions)]
    assert len(videos) == 2 and all((video.rewards is not None) == rewarded for video in videos)
