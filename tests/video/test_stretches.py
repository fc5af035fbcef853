"""An episode of a longer video is read by itself: no frame of its neighbours, and nothing twice for many of them."""

from fractions import Fraction
from pathlib import Path

import av
import made_videos
import numpy as np
import pytest

from vidworld.video import decode
from vidworld.video.decode import open_video, pictures, read
from vidworld.video.source import Source

LENGTHS = (20, 13, 27, 16)
FPS = 30
OPTIONS = {
    "libx264": {"crf": "10", "preset": "veryfast"},
    "libx265": {"crf": "10", "preset": "ultrafast", "x265-params": "log-level=error:pools=1:open-gop=1"},
    "libsvtav1": {"crf": "20", "preset": "12", "svtav1-params": "lp=1"},
    "libvpx-vp9": {"crf": "15", "deadline": "realtime", "cpu-used": "8"},
}


def write(path: Path, codec: str, keys: int, between: int) -> list[np.ndarray]:
    """Episodes in one video, each before a wall of its own."""
    parts = [made_videos.recording(np.arange(n) / FPS, seed=k, height=64, width=96) for k, n in enumerate(LENGTHS)]
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=FPS, options=OPTIONS[codec])
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = 64, 96, "yuv420p", keys
        if codec in ("libx264", "libx265"):
            stream.max_b_frames = between
        for number, picture in enumerate(np.concatenate(parts)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return parts


def stretches() -> list[tuple[float, float]]:
    ends = np.cumsum((0, *LENGTHS)) / FPS
    return list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))


@pytest.mark.thorough
@pytest.mark.parametrize("codec", OPTIONS)
@pytest.mark.parametrize(("keys", "between"), [(2, 0), (2, 2), (3, 3), (10, 2), (250, 2)])
def test_each_episode_has_its_own_frames(codec: str, keys: int, between: int, tmp_path: Path) -> None:
    parts = write(tmp_path / "a.mp4", codec, keys, between)
    video = open_video(tmp_path / "a.mp4")
    whole = np.stack([*pictures(video)])
    for order in (range(4), (2, 0, 3, 1)):
        for k in order:
            numbers = Source(video.path, span_s=stretches()[k]).frames(video.times_s)
            (piece,) = read(video, 64, numbers)
            assert len(piece.frames) == LENGTHS[k]
            np.testing.assert_array_equal(piece.frames, whole[numbers.start : numbers.stop])
            assert np.abs(piece.frames.astype(int) - parts[k]).mean() < 6  # another wall differs by 40


@pytest.mark.parametrize("keys", [2, 250])
def test_all_episodes_cost_one_pass(keys: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.mp4", "libx264", keys, 2)
    decoded, whole = [], decode.frames
    monkeypatch.setattr(decode, "frames", lambda *of: (decoded.append(1) or one for one in whole(*of)))
    video = open_video(tmp_path / "a.mp4")
    for span in stretches():
        list(read(video, 64, Source(video.path, span_s=span).frames(video.times_s)))
    assert len(decoded) == sum(LENGTHS)


def test_a_video_is_read_within_a_window_whatever_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made_videos.write(tmp_path / "a.mp4", made_videos.recording(np.arange(30) / 30))
    monkeypatch.setattr(decode, "PIECE_BYTES", 4 * 3 * made_videos.HEIGHT * made_videos.WIDTH)
    pieces = list(read(open_video(path), made_videos.HEIGHT))
    assert [len(piece.frames) for piece in pieces] == [4] * 7 + [2]
    assert open_video(path).decoder == ("pyav" if decode.decord is None else "decord")
    monkeypatch.setattr(decode, "DECORD_BYTES", 30 * 3 * made_videos.HEIGHT * made_videos.WIDTH - 1)  # it may hold all
    assert open_video(path).decoder == "pyav"


def test_a_frame_that_cannot_be_decoded_leaves_the_others_their_places(tmp_path: Path) -> None:
    """Players show the frame before it again."""
    parts = np.concatenate(write(tmp_path / "a.mkv", "libx264", 1, 0))
    content = bytearray((tmp_path / "a.mkv").read_bytes())
    with av.open(str(tmp_path / "a.mkv")) as container:
        (packet,) = [one for i, one in enumerate(container.demux(video=0)) if i == 30]
        start = content.index(bytes(packet)[:64])
        content[start : start + packet.size] = bytes(packet.size)
    (tmp_path / "b.mkv").write_bytes(content)
    video = open_video(tmp_path / "b.mkv")
    assert len(video.times_s) == len(parts)
    (piece,) = read(video, 64)
    off = np.abs(piece.frames.astype(int) - parts).mean((1, 2, 3))
    assert (off[np.arange(len(parts)) != 30] < 6).all()
    np.testing.assert_array_equal(piece.frames[30], piece.frames[29])
