"""Frames and their times come out of any video right, and what is no video says why."""

from fractions import Fraction
from pathlib import Path

import made_videos
import numpy as np
import pytest

from vidworld.video import decode
from vidworld.video.decode import Unreadable, open_video, read

UNEVEN_S = np.cumsum([0, 0.02, 0.05, 0.02, 0.1, 0.03, 0.02, 0.08, 0.02, 0.04])


@pytest.fixture(params=["decord", "pyav"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each decoder in turn: on Macs there is no decord."""
    if request.param == "pyav":
        monkeypatch.setattr(decode, "decord", None)
    return str(request.param)


def pictures(path: Path, short_side_px: int = made_videos.HEIGHT) -> np.ndarray:
    return np.concatenate([footage.frames for footage in read(open_video(path), short_side_px)])


def test_frames_come_with_the_times_they_are_shown_at(tmp_path: Path, decoder: str) -> None:
    frames = made_videos.recording(UNEVEN_S, lambda t: 20 + 200 * t)
    path = made_videos.write(tmp_path / "uneven.mp4", frames, UNEVEN_S)
    video = open_video(path)
    assert (video.decoder, video.time_base) == (decoder, "presentation")
    np.testing.assert_allclose(video.times_s, UNEVEN_S, atol=1e-4)
    shown = pictures(path)
    assert shown.shape == frames.shape
    x_px = [made_videos.center_x(frame) for frame in shown]
    np.testing.assert_allclose(x_px, 20 + 200 * UNEVEN_S, atol=0.3)


def test_frames_are_shrunk_with_their_aspect_and_without_a_shift(tmp_path: Path, decoder: str) -> None:
    frames = made_videos.recording([0.0] * 3, lambda t: 300.0, height=400, width=640)
    path = made_videos.write(tmp_path / "large.mp4", frames)
    shown = pictures(path, 100)
    assert shown.shape == (3, 100, 160, 3)
    assert made_videos.center_x(shown[0]) == pytest.approx((300.5 / 4) - 0.5, abs=0.05)


def test_avi_lists_empty_places_as_frames(tmp_path: Path, decoder: str) -> None:
    path = made_videos.write(tmp_path / "a.avi", made_videos.recording(UNEVEN_S), UNEVEN_S, codec="mpeg4")
    np.testing.assert_allclose(open_video(path).times_s, UNEVEN_S, atol=2e-3)
    with pytest.raises(Unreadable, match="is cut short"):
        open_video(made_videos.cut_short(path))


def test_oblong_pixels_and_turned_pictures_are_shown_as_players_show_them(tmp_path: Path, decoder: str) -> None:
    frames = made_videos.recording([0.0] * 3, lambda t: 20.0)
    oblong = open_video(made_videos.write(tmp_path / "oblong.mp4", frames, pixel_aspect=Fraction(3, 2)))
    assert (oblong.height_px, oblong.width_px) == (96, 192)
    turned = made_videos.turn(made_videos.write(tmp_path / "turned.mp4", frames), 90)
    video = open_video(turned)
    assert (video.height_px, video.width_px) == (128, 96)
    upright = pictures(turned)[0]  # clockwise: what was left is at the top
    assert upright.shape == (128, 96, 3)
    assert made_videos.center_x(upright.transpose(1, 0, 2)) == pytest.approx(20, abs=0.5)


def test_long_videos_come_in_pieces(tmp_path: Path) -> None:
    path = made_videos.write(tmp_path / "a.mp4", made_videos.recording(np.arange(25) / 30))
    whole, pieces = pictures(path), list(read(open_video(path), made_videos.HEIGHT, piece_frames=10))
    assert [(piece.first, len(piece.frames)) for piece in pieces] == [(0, 10), (10, 10), (20, 5)]
    np.testing.assert_array_equal(np.concatenate([piece.frames for piece in pieces]), whole)


def test_a_stretch_is_read_by_itself(tmp_path: Path, decoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made_videos.write(tmp_path / "a.mp4", made_videos.recording(np.arange(60) / 30))
    video, whole = open_video(path), pictures(path)
    shrunk = []
    shrink = decode._shrink
    monkeypatch.setattr(decode, "_shrink", lambda *given: shrunk.append(1) or shrink(*given))
    pieces = list(read(video, made_videos.HEIGHT, range(37, 49), piece_frames=10))
    assert [(piece.first, len(piece.frames)) for piece in pieces] == [(37, 10), (47, 2)]
    np.testing.assert_array_equal(np.concatenate([piece.frames for piece in pieces]), whole[37:49])
    assert len(shrunk) == 12


def test_pyav_goes_on_where_decord_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made_videos.write(tmp_path / "a.mp4", made_videos.recording(np.arange(40) / 30))
    video, whole = open_video(path), pictures(path)

    class Stops(decode.decord.VideoReader):  # type: ignore[misc]
        def get_batch(self, indices: range) -> object:
            if indices.start >= 20:
                raise decode.DECORDError("no more")
            return super().get_batch(indices)

    monkeypatch.setattr(decode.decord, "VideoReader", Stops)
    monkeypatch.setattr(decode, "BLOCK_BYTES", 10 * 3 * made_videos.HEIGHT * made_videos.WIDTH)
    footage = list(read(video, made_videos.HEIGHT))
    assert [piece.decoder for piece in footage] == ["pyav"]
    np.testing.assert_array_equal(footage[0].frames, whole)


def test_decoders_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made_videos.write(tmp_path / "a.mp4", made_videos.recording(np.arange(20) / 30))
    by_decord = pictures(path)
    monkeypatch.setattr(decode, "decord", None)
    np.testing.assert_array_equal(pictures(path), by_decord)


def test_what_cannot_be_read_says_why(tmp_path: Path, decoder: str) -> None:
    (tmp_path / "text.mp4").write_text("this is no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    made_videos.write_sound(tmp_path / "sound.mp4")
    frames = made_videos.recording(np.arange(60) / 30)
    made_videos.cut_short(made_videos.write(tmp_path / "short.mp4", frames))
    made_videos.cut_short(made_videos.write(tmp_path / "header.mp4", frames), 0.005)
    made_videos.cut_short(made_videos.write(tmp_path / "no_index.mp4", frames, index_first=False))
    for name, reason in {
        "text": "is no video that can be decoded",
        "empty": "is empty",
        "sound": "holds sound but no picture",
        "short": r"is cut short: \d+ of the 60 frames",
        "header": "may be cut short",
        "no_index": "is no video that can be decoded",
    }.items():
        with pytest.raises(Unreadable, match=reason):
            open_video(tmp_path / f"{name}.mp4")


@made_videos.needs_real_video
def test_sample_videos_are_read_whole() -> None:
    uneven = open_video(made_videos.REAL_VIDEO / "jbart_toss_bounce.avi")
    steps = np.diff(uneven.times_s)
    assert (len(uneven.times_s), uneven.time_base) == (295, "presentation")
    assert (steps.min(), steps.max()) == pytest.approx((0.00534, 0.03203), abs=1e-5)
    ogg = open_video(made_videos.REAL_VIDEO / "puck_magnetic_deflect.ogv")  # decord cannot open it
    assert (ogg.decoder, len(ogg.times_s)) == ("pyav", 34)
    tall = open_video(made_videos.REAL_VIDEO / "osp_ball_on_ramp.mp4")  # 720 x 480 of pixels 32:27
    assert (tall.height_px, tall.width_px) == (480, 853)
