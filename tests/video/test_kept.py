"""Frames in a temporary file are indexed as those of an array, and laws of a large video take little memory."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from vidworld.core.errors import UserError
from vidworld.video.kept import keep

FRAMES = np.random.default_rng(0).integers(0, 255, (7, 5, 6, 3)).astype(np.uint8)


def test_kept_frames_are_indexed_as_an_array() -> None:
    kept = keep([FRAMES[:3], FRAMES[3:]])
    assert kept.shape == FRAMES.shape and len(kept) == 7
    assert np.array_equal(kept[4], FRAMES[4]) and np.array_equal(kept[-1], FRAMES[-1])
    assert np.array_equal(np.stack(list(kept)), FRAMES)
    assert np.array_equal(kept[np.array([5, 0])], FRAMES[[5, 0]])
    part = kept[2:6][1:]
    assert len(part) == 3 and np.array_equal(part[0], FRAMES[3]) and part.shape == (3, 5, 6, 3)
    with pytest.raises(IndexError):
        kept[7]
    assert len(keep([])) == 0


def test_a_full_disk_is_one_line() -> None:
    def full():  # type: ignore[no-untyped-def]
        yield FRAMES
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match="no room for the frames of a video; free some, or name another place"):
        keep(full())


@pytest.mark.slow
def test_a_large_video_takes_little_memory(tmp_path: Path) -> None:
    """501 frames of 1080p: 1.3 GB in half their size."""
    with av.open(str(tmp_path / "large.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt, stream.options = 1920, 1080, "yuv420p", {"preset": "ultrafast"}
        for k in range(501):
            picture = np.full((1080, 1920, 3), 120, np.uint8)
            picture[400:490, 60 + 3 * k : 150 + 3 * k] = (210, 40, 40)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    (tmp_path / "clips.jsonl").write_text(json.dumps({"file": "large.mp4", "event": "uniform"}))
    watched = (
        "import resource, sys; from pathlib import Path; from vidworld.video_laws.fit import fit_videos\n"
        "(video,) = fit_videos(Path(sys.argv[1]), Path(sys.argv[1]) / 'out')\n"
        "print(video.tracked_well, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", watched, tmp_path], check=True, capture_output=True, text=True)
    well, peak_mb = done.stdout.split()
    assert float(well) > 0.9 and int(peak_mb) < 600
