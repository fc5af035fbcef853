"""A data set of many clips is opened and drawn from without being read into memory."""

import time
from pathlib import Path

import large_collection
import numpy as np
import pytest
import torch

from vidworld.core.clip_shape import ClipShape
from vidworld.training.data import batch_order
from vidworld.video.clips import ClipOptions
from vidworld.video.real import RealClips

CLIPS = 8  # of a batch


def taken_mb() -> float:
    """Memory of this process alone; pages of files that are mapped are the system's to take back."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e3


def test_short_videos_share_batches_of_rows(tmp_path: Path) -> None:
    """A batch takes time and memory to open: 2,500 of four rows each took 44 MB."""
    out = large_collection.write(tmp_path, 400, ClipOptions(size_px=16, num_frames=4))
    source = RealClips(out, "train", ClipShape(num_frames=4, height_px=16, width_px=16))
    assert len(source) == 400 and source.rows.data.table.column("identity").num_chunks == 1
    assert source.same_shot(401 % 400) == [0, 1, 2, 3] and source.same_shot(399) == [396, 397, 398, 399]
    whole = source.clips(range(400)).frames
    assert torch.equal(source.clips([399, 0, 200]).frames, whole[[399, 0, 200]])


def test_frames_of_a_shot_are_read_a_clip_at_a_time(tmp_path: Path) -> None:
    out = large_collection.write(tmp_path, 8, ClipOptions(size_px=16, num_frames=4))
    source = RealClips(out, "train")
    numbers = np.array([0, 3, 3, 4, 11, 15])
    some = source.frames_among([4, 5, 6, 7], numbers)
    assert torch.equal(some, source.clips([4, 5, 6, 7]).frames.flatten(0, 1)[torch.from_numpy(numbers)])


@pytest.mark.slow
def test_a_hundred_thousand_clips_are_drawn_as_a_thousand_do(tmp_path: Path) -> None:
    """1.6 GB on disk; the figures of docs/real_video.md are of clips of 32 px, four times as large."""
    options, found = ClipOptions(size_px=16), {}
    for count in (1_000, 100_000):
        out = large_collection.write(tmp_path / str(count), count, options)
        before, began = taken_mb(), time.perf_counter()
        source = RealClips(out, "train")
        source.clips(batch_order(0, CLIPS, count, 0))
        first_s, began = time.perf_counter() - began, time.perf_counter()
        for step in range(1, 201):
            source.clips(batch_order(step, CLIPS, count, 0))
        rate = 200 * CLIPS / (time.perf_counter() - began)
        found[count] = (first_s, taken_mb() - before, rate)
        print(f"{count} clips: first batch after {found[count][0]:.2f} s, {found[count][1]:.0f} MB, {rate:.0f} clips/s")
    assert found[100_000][0] < 5 and found[100_000][1] < 150 and found[100_000][2] > 0.2 * found[1_000][2]
