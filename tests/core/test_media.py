"""Files that people look at."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from vidworld.core.clip_shape import ClipShape
from vidworld.core.media import enlarged, filmstrip, write_mp4, write_png
from vidworld.simulation.simulated import SimulatedClips


@pytest.mark.parametrize(("size", "scale"), [((64, 64), 1), ((64, 64), 3), ((31, 45), 1)])
def test_an_mp4_reads_back(tmp_path: Path, size: tuple[int, int], scale: int) -> None:
    frames = SimulatedClips("uniform", "id", shape=ClipShape(height_px=size[0], width_px=size[1])).clips([3]).frames[0]
    path = write_mp4(tmp_path / "clip.mp4", frames, 10.0, scale)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 10
        read = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
    expected = enlarged(frames, scale).permute(0, 2, 3, 1).numpy()
    assert read.shape[:3] == (16, *(side + side % 2 for side in expected.shape[1:3]))
    difference = np.abs(read[:, : expected.shape[1], : expected.shape[2]].astype(int) - expected)
    assert difference.mean() < 4


def test_a_png_is_the_frame(tmp_path: Path) -> None:
    frame = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8)
    path = write_png(tmp_path / "frame.png", frame, scale=2)
    read = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)
    assert torch.equal(read, frame.repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_a_strip_is_the_frames_in_a_row() -> None:
    frames = torch.randint(0, 256, (4, 3, 5, 6), dtype=torch.uint8)
    strip = filmstrip(frames, gap_px=2)
    assert strip.shape == (3, 5, 4 * 6 + 3 * 2)
    for i, frame in enumerate(frames):
        assert torch.equal(strip[:, :, 8 * i : 8 * i + 6], frame)
