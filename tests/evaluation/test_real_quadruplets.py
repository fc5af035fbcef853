"""Real quads are made of exactly the frames of two clips and show what is wrong."""

import made_videos
import numpy as np
import pytest
import torch
from padded_videos import of_split

from vidworld.evaluation.real import background_of_shot, differs_enough, emptied, held, real_quadruplets
from vidworld.video.clips import ClipOptions
from vidworld.video.ingest import ingest
from vidworld.video.real import RealClips

KINDS = ("jump", "freeze", "missing")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> RealClips:
    """Four seconds of a disc that goes back and forth before a static camera; it trains."""
    path = tmp_path_factory.mktemp("videos")
    times_s = np.arange(120) / 30
    of_split(
        "train", made_videos.write(path / "disc.mp4", made_videos.recording(times_s, lambda t: 64 + 50 * np.sin(2 * t)))
    )
    return RealClips(ingest(path, path / "clips", ClipOptions(size_px=48)).out, "train")


@pytest.mark.parametrize("kind", KINDS)
def test_impossible_clips_are_made_of_the_frames_of_possible_ones(source: RealClips, kind: str) -> None:
    quadruplets = real_quadruplets(source, kind)  # type: ignore[arg-type]
    assert quadruplets.law == kind and len(quadruplets) >= 2
    a, b, ab, ba = (
        clips.frames for clips in (quadruplets.a, quadruplets.b, quadruplets.a_then_b, quadruplets.b_then_a)
    )
    assert torch.equal(ab, torch.cat([a[:, :8], b[:, 8:]], 1))
    assert torch.equal(ba, torch.cat([b[:, :8], a[:, 8:]], 1))
    assert quadruplets.a.fps == 10.0
    assert len({*quadruplets.identity}) == len(quadruplets)
    assert all(name.startswith(f"{kind}/real/disc.mp4/") for name in quadruplets.identity)
    for i, name in enumerate(quadruplets.identity):
        original = source.clips([source.identity.index(name.removeprefix(f"{kind}/"))])
        assert torch.equal(a[i], original.frames[0])
        assert differs_enough(a[i].numpy(), b[i].numpy(), 8)


def test_a_jump_goes_to_the_clip_that_starts_later(source: RealClips) -> None:
    quadruplets = real_quadruplets(source, "jump")
    # The stride is 8: the future of A is the past of B.
    assert torch.equal(quadruplets.a.frames[:, 8:], quadruplets.b.frames[:, :8])


def test_a_freeze_holds_the_last_picture_before_the_splice(source: RealClips) -> None:
    quadruplets = real_quadruplets(source, "freeze")
    assert torch.equal(quadruplets.b.frames, quadruplets.a.frames[:, 7:8].expand_as(quadruplets.b.frames))


def test_without_the_disc_there_is_only_the_wall(source: RealClips) -> None:
    quadruplets = real_quadruplets(source, "missing")
    for clip in quadruplets.b.frames:
        assert np.isnan([made_videos.center_x(frame) for frame in clip.permute(0, 2, 3, 1).numpy()]).all()
        assert (clip.int() - clip[:1].int()).abs().max() < 25  # and it stands still


def test_what_moves_stays_where_its_background_is_not_known() -> None:
    """A large disc that hardly moves hides the wall behind its middle in all frames."""
    frames = made_videos.recording(np.arange(16) / 10, lambda t: 64 + 5 * t).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(emptied(frames, background_of_shot(frames)), frames)


def test_flicker_is_no_motion_and_stays() -> None:
    frames = made_videos.recording(np.arange(16) / 10, lambda t: 20 + 60 * t).astype(int)
    frames[::2] += 12
    clip = frames.clip(0, 255).astype(np.uint8).transpose(0, 3, 1, 2)
    empty = emptied(clip, background_of_shot(clip))
    wall = made_videos.wall().transpose(2, 0, 1).astype(int)
    np.testing.assert_allclose(empty[0] - wall, 12, atol=2)
    np.testing.assert_allclose(empty[1] - wall, 0, atol=2)


def test_a_quad_has_to_show_what_is_wrong() -> None:
    moving = made_videos.recording(np.arange(16) / 10).transpose(0, 3, 1, 2)
    still = held(moving, 8)
    assert differs_enough(moving, still, 8)
    assert not differs_enough(moving, moving, 8)  # nothing differs
    assert not differs_enough(still, moving, 8)  # nothing moves in the real clip
    late = np.concatenate([still[:8], moving[8:]])
    assert not differs_enough(late, still, 8)  # nothing moves before the splice


def test_the_choice_is_a_function_of_the_seed(source: RealClips) -> None:
    one, again = (real_quadruplets(source, "freeze", seed=3, per_file=2) for _ in range(2))
    assert one.identity == again.identity and len(one) == 2
    assert len({real_quadruplets(source, "freeze", seed=s, per_file=2).identity for s in range(8)}) > 1


def test_no_clip_of_a_moving_camera_is_used(source: RealClips, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "static_camera", (False,) * len(source))
    quadruplets = real_quadruplets(source, "freeze")
    assert len(quadruplets) == 0
    assert quadruplets.a_then_b.frames.shape == (0, 16, 3, 48, 48)
