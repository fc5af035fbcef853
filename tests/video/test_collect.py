"""Episodes are collected as videos with their actions, which come back when the folder is ingested."""

import builtins
import re
from pathlib import Path

import gym_worlds
import numpy as np
import pytest
import torch

from vidworld import cli
from vidworld.core.errors import UserError
from vidworld.simulation.environments.clips import EnvironmentClips
from vidworld.video import collect as collecting
from vidworld.video import read_record
from vidworld.video.action_tables import read_actions
from vidworld.video.actions import VideoActions
from vidworld.video.clips import ClipOptions
from vidworld.video.collect import Play, collect_episodes, played
from vidworld.video.ingest import ingest
from vidworld.video.real import RealClips


def values(folder: Path) -> dict[str, np.ndarray]:
    recordings = read_actions(folder / "actions.csv").by_file
    return {file: recording.values for file, recording in recordings.items() if isinstance(recording, VideoActions)}


@pytest.mark.thorough
@pytest.mark.parametrize("policy", ["random", "scripted"])
def test_what_was_done_comes_back_from_ingest(policy: str, tmp_path: Path) -> None:
    """Of one of ours, at its own rate: exactly what led to each frame of its clips, but for the data set's scale."""
    made = collect_episodes(Play("two_room", policy, seed=3, size_px=32), 4, tmp_path / "videos", workers=2)
    assert (made.made, made.there, made.died) == (4, 0, {})
    done = values(tmp_path / "videos")
    shape = played(Play("two_room", policy, 3, 32), 0).frames.shape
    assert sorted(done) == [f"episode_{i:06d}.mp4" for i in range(4)]
    assert all(recording.shape == (shape[0] - 1, 2) for recording in done.values())
    data = ingest(tmp_path / "videos", tmp_path / "clips", ClipOptions(size_px=32))
    assert [one.file for one in data.set_aside] == ["collected.json"]
    assert len(data.files) == 4
    record = read_record(data.out)
    assert record is not None and record["actions"]["channels"] == ["action_0", "action_1"]
    low, high = (np.array(record["actions"][end]) for end in ("low", "high"))
    assert (low >= -1).all() and (high <= 1).all() and (high - low > 1).all()
    for split in {one.split for one in data.files}:
        source = RealClips(data.out, split)
        clips = source.clips(range(len(source)))
        for row, frames, actions in zip(source.rows, clips.frames, clips.actions, strict=True):
            start, number = round(row["start_s"] * 10), int(row["file"][8:14])
            taken = done[row["file"]][start : start + 15]
            scaled = (2 * (taken - low) / (high - low) - 1).clip(-1, 1)
            np.testing.assert_allclose(actions[1:].numpy(), scaled, atol=1e-5)
            true = played(Play("two_room", policy, 3, 32), number).frames[start : start + 16]
            assert (true.float() - frames.float()).abs().mean() < 6  # of 255: what compression costs


def test_an_episode_is_a_clip_of_the_environment() -> None:
    episode = played(Play("puck", "scripted", seed=1, size_px=16, most_frames=10), 2)
    clips = EnvironmentClips("puck", "train", 1, 3, policy="scripted").clips([2])
    assert clips.actions is not None and episode.frames.shape == (10, 3, 16, 16)
    np.testing.assert_array_equal(episode.actions, clips.actions[0, 1:10].numpy())


@pytest.mark.slow
def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    """A stopped run left a video without its name and rows of it: both are made anew, and the rest stays."""
    play = Play("gym_worlds:Square-v0", seed=2, size_px=16)
    collect_episodes(play, 4, tmp_path / "whole", workers=2)
    collect_episodes(play, 3, tmp_path / "some", workers=2)
    table = tmp_path / "some" / "actions.csv"
    first = tmp_path / "some" / "episode_000000.mp4"
    (tmp_path / "some" / "episode_000001.mp4").rename(tmp_path / "some" / ".episode_000001.mp4.part.mp4")
    table.write_text(table.read_text() + "episode_000003.mp4,0,0.5")
    before = first.stat().st_mtime_ns
    again = collect_episodes(play, 4, tmp_path / "some", workers=2)
    assert (again.made, again.there) == (2, 2) and first.stat().st_mtime_ns == before
    whole, some = values(tmp_path / "whole"), values(tmp_path / "some")
    assert whole.keys() == some.keys() and all(np.array_equal(whole[file], some[file]) for file in whole)
    for file in whole:
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "some" / file).read_bytes()
    assert not list((tmp_path / "some").glob(".episode*"))
    with pytest.raises(UserError, match=r"holds episodes of others \(seed 2, now 3\): name another folder"):
        collect_episodes(Play("gym_worlds:Square-v0", seed=3, size_px=16), 4, tmp_path / "some")
    (tmp_path / "some" / "collected.json").unlink()
    with pytest.raises(UserError, match="holds no collected episodes"):
        collect_episodes(play, 4, tmp_path / "some")


def test_an_episode_without_its_actions_or_pictures_is_made_again(tmp_path: Path) -> None:
    play = Play("two_room", size_px=32, most_frames=6)
    collect_episodes(play, 3, tmp_path / "whole", workers=1)
    collect_episodes(play, 3, tmp_path / "some", workers=1)
    table = tmp_path / "some" / "actions.csv"
    (tmp_path / "some" / "episode_000001.mp4").write_bytes(b"")
    again = collect_episodes(play, 3, tmp_path / "some", workers=1)
    assert (again.made, again.there) == (1, 2)
    table.unlink()
    assert collect_episodes(play, 3, tmp_path / "some", workers=1).made == 3
    assert table.read_text() == (tmp_path / "whole" / "actions.csv").read_text()
    table.write_bytes(b"file,\xff\xfe")
    with pytest.raises(UserError, match=r"actions\.csv: is no table of actions; remove it"):
        collect_episodes(play, 3, tmp_path / "some", workers=1)
    (tmp_path / "some" / "collected.json").write_text("[1]")
    with pytest.raises(UserError, match=r"collected\.json: is no record of collected episodes"):
        collect_episodes(play, 3, tmp_path / "some", workers=1)


def test_actions_of_gymnasium_are_scaled_by_their_bounds() -> None:
    """The square goes where the actions, scaled back, lead it; a clip has 61 frames at the world's own rate."""
    episode = played(Play("gym_worlds:Square-v0", size_px=40), 0)
    assert episode.frames.shape == (61, 3, 40, 80) and episode.fps == 20
    assert episode.actions.shape == (60, 2) and np.abs(episode.actions).max() <= 1
    left = (episode.frames[:, 0].float() > 150).float().mean(1).argmax(1)
    inside = (left > 6) & (left < 66)
    both = (inside[1:] & inside[:-1]).numpy()
    np.testing.assert_allclose(left.diff().numpy()[both], (2 * 2 * episode.actions[:, 0])[both], atol=1.01)
    assert torch.equal(played(Play("gym_worlds:Square-v0", size_px=40), 0).frames, episode.frames)
    assert not np.array_equal(played(Play("gym_worlds:Square-v0", size_px=40), 1).actions, episode.actions)
    held = [len(run) for run in np.split(episode.actions, np.flatnonzero(np.diff(episode.actions[:, 0])) + 1)]
    assert min(held) >= 1 and 2 <= max(held) <= 8


def test_discrete_actions_are_one_of_several(tmp_path: Path) -> None:
    episode = played(Play("gym_worlds:Steps-v0", size_px=40), 1)
    assert episode.actions.shape == (60, 3) and set(np.unique(episode.actions)) == {0.0, 1.0}
    assert (episode.actions.sum(1) == 1).all() and episode.actions.any(0).all()
    left = (episode.frames[:, 0].float() > 150).float().mean(1).argmax(1)
    moved, free = left.diff().numpy(), ((left > 6) & (left < 66)).numpy()[:-1]
    np.testing.assert_array_equal(moved[free], (2 * (episode.actions.argmax(1) - 1))[free])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "reason"),
    [
        ("gym_worlds:Unstable-v0", "died (RuntimeError: the simulation is unstable)"),
        ("gym_worlds:Fatal-v0", "ends the process that plays it"),
    ],
)
def test_an_environment_that_dies_costs_its_episode(world: str, reason: str, tmp_path: Path) -> None:
    made = collect_episodes(Play(world, size_px=16, most_frames=20), 6, tmp_path / "videos", workers=2)
    assert made.made == 6 - len(made.died) and 0 < made.made < 6
    assert set(made.died.values()) == {reason}
    kept = {f"episode_{number:06d}.mp4" for number in range(6) if number not in made.died}
    assert {path.name for path in (tmp_path / "videos").iterdir()} == kept | {"actions.csv", "collected.json"}
    assert values(tmp_path / "videos").keys() == kept
    last = collecting._summary(made)[-1]
    assert last.endswith(
        f"{made.made} episodes are written, 0 were there, {len(made.died)} died, which a rerun tries again"
    )


@pytest.mark.parametrize(
    ("play", "said"),
    [
        (Play("two_rom"), "there is no environment 'two_rom'; did you mean two_room?"),
        (Play("CartPol-v1"), "there is no environment 'CartPol-v1'; did you mean CartPole-v1?"),
        (Play("no_such_module:World-v0"), "there is no module 'no_such_module'"),
        (Play("puck", "clever"), "there is no policy 'clever'"),
        (Play("gym_worlds:Square-v0", "scripted"), "has no scripted policy .*--policy random would do"),
        (Play("gym_worlds:Unbounded-v0"), "its actions have no bounds"),
        (Play("gym_worlds:Many-v0"), "its actions are MultiBinary; those of Box and Discrete would do"),
        (Play("gym_worlds:Unseen-v0"), "renders no pictures"),
        (Play("gym_worlds:Lacking-v0"), 'pygame is not installed, run `pip install "gymnasium'),
        (Play("puck", size_px=8), "--size: 8 is below 16"),
    ],
)
def test_what_cannot_be_collected_is_said_in_a_line(play: Play, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said) as error:
        collect_episodes(play, 2, tmp_path / "videos", workers=1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("said", [float("nan"), float("inf"), 0, -5, 1e-9, "fast", [20]])
def test_a_rate_that_is_none_is_said_in_a_line(said: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gym_worlds.Square, "metadata", {"render_modes": ["rgb_array"], "render_fps": said})
    with pytest.raises(UserError, match=f"render_fps is {re.escape(repr(said))}; 0.001 to 10000 frames a second would"):
        played(Play("gym_worlds:Square-v0", size_px=16), 0)


def test_a_rate_that_is_not_said_is_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gym_worlds.Square, "metadata", {"render_modes": ["rgb_array"]})
    assert played(Play("gym_worlds:Square-v0", size_px=16, most_frames=2), 0).fps == 10


def test_ours_need_no_gymnasium_and_others_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == "gymnasium":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"gymnasium is not installed; pip install 'vidworld\[environments\]' would do"):
        collect_episodes(Play("Reacher-v5"), 1, tmp_path / "videos")
    assert played(Play("puck", size_px=16, most_frames=3), 0).actions.shape == (2, 2)


def test_the_command_collects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["data", "collect", "puck", "--episodes", "2", "--size", "16", "--frames", "5", "--workers", "1"]
    cli.run([*line, "--out", str(tmp_path / "videos")])
    assert capsys.readouterr().out == f"{tmp_path / 'videos'}: 2 episodes are written, 0 were there\n"
    cli.run([*line, "--out", str(tmp_path / "videos")])
    assert "0 episodes are written, 2 were there" in capsys.readouterr().out
