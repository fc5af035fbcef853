"""Real clips are a clip source: by number, of their rate, and strict about what they are asked for."""

import math
from pathlib import Path

import made_videos
import numpy as np
import pytest
import torch
from padded_videos import of_split

from vidworld.core.clip import ClipSource
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.evaluation.physics import held_out
from vidworld.models.schema import DataConfig
from vidworld.training.data import Mixture
from vidworld.video.clips import ClipOptions
from vidworld.video.ingest import ingest
from vidworld.video.real import Mirrored, RealClips


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long videos and short ones, which are read faster; one of each trains, one validates and one is held out."""
    folder = tmp_path_factory.mktemp("videos")
    for i, splits in enumerate((("train", "train"), ("val", "real"))):
        long = made_videos.recording(np.arange(90) / 30, lambda t: 64 + 40 * np.sin(2 * t), seed=2 * i)
        short = made_videos.recording(np.arange(60) / 60, seed=2 * i + 1)
        of_split(splits[0], made_videos.write(folder / f"long{i}.mp4", long))
        of_split(splits[1], made_videos.write(folder / f"short{i}.mp4", short, fps=60))
    return ingest(folder, folder / "clips", ClipOptions(size_px=16)).out


def test_clips_are_a_function_of_their_numbers(path: Path) -> None:
    source: ClipSource = RealClips(path, "train")
    whole = source.clips(range(len(source)))
    some = source.clips([1, 0, 1])
    assert torch.equal(some.frames, whole.frames[[1, 0, 1]])
    assert some.identity == tuple(whole.identity[i] for i in (1, 0, 1))
    assert some.tracks is None


def test_clips_of_one_rate_have_it_and_others_none(path: Path) -> None:
    source = RealClips(path, "train")
    assert set(source.fps) == {10.0, 20.0}
    for fps in set(source.fps):
        assert source.clips([i for i, each in enumerate(source.fps) if each == fps]).fps == fps
    assert math.isnan(source.clips(range(len(source))).fps)


def test_fewer_frames_may_be_asked_for_but_not_more(path: Path) -> None:
    short = RealClips(path, "train", ClipShape(num_frames=12, height_px=16, width_px=16))
    assert torch.equal(short.clips([0]).frames, RealClips(path, "train").clips([0]).frames[:, :12])
    with pytest.raises(UserError, match=r"have 16 frames, not 24"):
        RealClips(path, "train", ClipShape(num_frames=24, height_px=16, width_px=16))
    with pytest.raises(UserError, match=r"16 px wide, not 64"):
        RealClips(path, "train", ClipShape())


def test_training_on_clips_of_another_size_is_refused_in_a_line(path: Path) -> None:
    """In a batch with simulated ones they would not fit together."""
    fits = ClipShape(height_px=16, width_px=16)
    usual = DataConfig(clips=8, real=path, shape=fits, scenarios={"uniform": 1.0})
    assert Mixture(usual).frames(range(8)).shape[-2:] == (16, 16)
    with pytest.raises(UserError, match=r"16 px wide, not 64: ingest with --size 64"):
        Mixture(DataConfig(clips=8, real=path))
    for source in (
        lambda: Mixture(DataConfig(clips=8, real=path, shape=ClipShape(height_px=24, width_px=16))),
        lambda: held_out(path, ClipShape(height_px=24, width_px=16)),
    ):
        with pytest.raises(UserError, match=r"square, and shape has 24 x 16 px"):
            source()


def test_later_clips_of_a_shot_are_known_by_their_frames(path: Path) -> None:
    for split in ("train", "val", "real"):
        source = RealClips(path, split)
        for i, other in source.later(8).items():
            first, second = source.clips([i]), source.clips([other])
            assert torch.equal(first.frames[:, 8:], second.frames[:, :8])
            assert other in source.same_shot(i)
        assert source.later(3) == {}


def test_what_is_not_there_is_said(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="vidworld data ingest"):
        RealClips(tmp_path, "train")
    with pytest.raises(UserError, match=r"'test'.*there are train, val, real"):
        RealClips(path, "test")


def test_every_clip_comes_as_it_is_and_mirrored_and_soon(path: Path) -> None:
    source = RealClips(path, "train")
    both, count = Mirrored(source), len(source)
    assert len(both) == 2 * count
    plain, found = source.clips(range(count)).frames, both.clips(range(2 * count)).frames
    for number in range(count):
        pair = [found[number], found[number + count]]
        as_it_is, turned = pair if number % 2 == 0 else pair[::-1]
        assert torch.equal(as_it_is, plain[number]) and torch.equal(turned, plain[number].flip(-1))
    assert torch.equal(both.clips([1]).frames[0], plain[1].flip(-1))


def test_training_draws_mirrored_clips_where_it_is_asked_to(path: Path) -> None:
    alone = {"real": path, "real_share": 1.0, "clips": 40, "shape": ClipShape(height_px=16, width_px=16)}
    plain, mirrored = (Mixture(DataConfig(**alone, real_mirrored=flag)).frames(range(40)) for flag in (False, True))
    as_they_are = {frames.numpy().tobytes() for frames in plain}
    seen = [frames.numpy().tobytes() in as_they_are for frames in mirrored]
    assert any(seen) and not all(seen)
