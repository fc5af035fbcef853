"""Animated WebPs, which Pillow decodes, are videos; a list that names other files is none."""

from pathlib import Path

import made_videos
import numpy as np
import pytest
from PIL import Image

from vidworld.video.decode import open_video, pictures
from vidworld.video.probe import Unreadable
from vidworld.video.source import Source


def test_an_animated_webp_has_its_frames_at_its_times(tmp_path: Path) -> None:
    frames = [Image.fromarray(frame) for frame in made_videos.recording(np.arange(6) / 10)]
    durations = [100, 100, 50, 200, 100, 100]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=durations, lossless=True)
    with Source(tmp_path / "a.webp").opened() as path:
        video = open_video(path)
        assert np.allclose(video.times_s, np.cumsum([0, *durations[:-1]]) / 1000, atol=1e-3)
        read = np.stack(list(pictures(video)))
    assert np.array_equal(read, np.stack([np.asarray(frame) for frame in frames]))
    whole = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "cut.webp").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Unreadable, match="is no animation that can be decoded"), Source(tmp_path / "cut.webp").opened():
        pass


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile a.mp4\n", "#EXTM3U\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n"])
def test_a_list_of_other_files_is_no_video(text: str, tmp_path: Path) -> None:
    made_videos.write(tmp_path / "a.mp4", made_videos.recording(np.arange(20) / 30))
    (tmp_path / "list.mp4").write_text(text)
    with pytest.raises(Unreadable, match="is no video"):
        open_video(tmp_path / "list.mp4")
