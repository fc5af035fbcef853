"""Videos of any container come out as the ffmpeg command shows them: the same frames, at the same times, as upright."""

from pathlib import Path
from tempfile import TemporaryDirectory

import av
import containers
import numpy as np
import pytest
from containers import Recipe, needs_ffmpeg, recipes
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from vidworld.video.decode import Unreadable, open_video, pictures, read

SAME_LEVELS = 2.5  # of 255, on average: what differs where chroma is interpolated in another way


def agrees_with_ffmpeg(recipe: Recipe, share: float) -> None:
    with TemporaryDirectory() as folder:
        path = containers.make(recipe, Path(folder))
        if (known := containers.shown(path)) is None:  # as MPEG-TS of two frames
            event("ffmpeg refuses it")
            return
        frames, times_s = known
        if not len(frames):
            with pytest.raises(Unreadable):
                open_video(path)
            event("nothing is shown")
            return
        video = open_video(path)
        event(f"{recipe.kind} by {video.decoder}")
        assert len(video.times_s) == len(frames)
        if video.time_base == "presentation":
            np.testing.assert_allclose(video.times_s, times_s, atol=2e-3)
        else:
            event(video.time_base)
        ours = np.stack([*pictures(video)])
        same(ours, frames)
        start = int(share * (len(frames) - 1))
        stretch = range(start, min(len(frames), start + 5))
        again = range(max(0, start - 3), start + 1)
        for numbers in (stretch, again):
            (piece,) = read(video, min(frames.shape[1:3]), numbers)
            np.testing.assert_array_equal(piece.frames, ours[numbers.start : numbers.stop])


def same(ours: np.ndarray, frames: np.ndarray) -> None:
    assert ours.shape == frames.shape
    off = np.abs(ours.astype(np.int16) - frames).mean(axis=(1, 2, 3))
    assert off.max() < SAME_LEVELS, f"frames {np.flatnonzero(off >= SAME_LEVELS)} differ by {off.max():.1f} levels"


@pytest.mark.parametrize("fps", [10, 30])
def test_a_bare_stream_without_times_has_its_codecs_rate(fps: int, tmp_path: Path) -> None:
    path = tmp_path / "bare.h264"
    with av.open(str(path), "w", format="h264") as out:
        stream = out.add_stream("libx264", rate=fps)
        stream.width = stream.height = 64
        pictures = [
            av.VideoFrame.from_ndarray(np.full((64, 64, 3), 8 * i, np.uint8), format="rgb24") for i in range(12)
        ]
        for picture in [*pictures, None]:
            out.mux(stream.encode(picture))
    video = open_video(path)
    assert video.time_base == "average rate"
    np.testing.assert_allclose(video.times_s, np.arange(12) / fps, atol=1e-6)


WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
common = dict(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    phases=WITHOUT_SHRINKING,
    report_multiple_bugs=False,
)


@needs_ffmpeg
@settings(max_examples=12, derandomize=True, **common)
@given(recipes(), st.floats(0, 1))
def test_a_few_videos_of_any_kind_are_shown_as_ffmpeg_shows_them(recipe: Recipe, share: float) -> None:
    agrees_with_ffmpeg(recipe, share)


@needs_ffmpeg
@pytest.mark.slow
@settings(max_examples=300, **common)
@given(recipes(), st.floats(0, 1))
def test_videos_of_any_kind_are_shown_as_ffmpeg_shows_them(recipe: Recipe, share: float) -> None:
    agrees_with_ffmpeg(recipe, share)
