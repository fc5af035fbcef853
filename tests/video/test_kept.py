"""Frames in a temporary file are indexed as those of an array, and laws of a large film take little memory."""

import errno
import json
import subprocess
import sys
from pathlib import Path

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
def test_a_large_film_takes_little_memory(tmp_path: Path) -> None:
    """501 frames of 1080p: 1.3 GB in half their size."""
    square = "color=red:s=90x90:r=30:d=16.7[box];[0][box]overlay=x=60+100*t:y=400:shortest=1,noise=alls=3:allf=t"
    source = ["-f", "lavfi", "-i", "color=gray:s=1920x1080:r=30:d=16.7", "-filter_complex", square]
    to = ["-frames:v", "501", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *to, tmp_path / "large.mp4"], check=True)
    (tmp_path / "clips.jsonl").write_text(json.dumps({"file": "large.mp4", "event": "uniform"}))
    watched = (
        "import resource, sys; from pathlib import Path; from vidworld.video_laws.fit import fit_videos\n"
        "(film,) = fit_videos(Path(sys.argv[1]), Path(sys.argv[1]) / 'out')\n"
        "print(film.tracked_well, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", watched, tmp_path], check=True, capture_output=True, text=True)
    well, peak_mb = done.stdout.split()
    assert float(well) > 0.9 and int(peak_mb) < 900
