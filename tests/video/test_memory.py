"""What reading a video takes of memory is bounded by a window of frames, whatever its length."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from vidworld.video.decode import PIECE_BYTES

HEIGHT, WIDTH, FRAMES = 128, 176, 4500  # 300 MB
READ_SLOWLY = """
import sys, time
from pathlib import Path
from vidworld.core.workers import GIVEN_BACK_BYTES, gives_memory_back
from vidworld.video.decode import open_video, read

def taken_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1000

gives_memory_back(GIVEN_BACK_BYTES)
before, most = taken_mb(), 0
for piece in read(open_video(Path(sys.argv[1])), int(sys.argv[2])):
    time.sleep(0.5)
    most = max(most, taken_mb())
    del piece
print(most - before)
"""


def test_what_reads_videos_waits_for_no_library_that_only_joins_them() -> None:
    """Each process that reads has what it imports once more: `datasets` is 100 MB, torch more."""
    asks = "import sys, vidworld.video.jobs; print({'datasets', 'pandas', 'torch'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", asks], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a process's memory is known on Linux only")
def test_nothing_is_decoded_far_ahead_of_what_is_asked_for(tmp_path: Path) -> None:
    """Clips are cut more slowly than a thread of decord decodes: it held all of a video that was still to come."""
    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt, stream.options = WIDTH, HEIGHT, "yuv420p", {"preset": "ultrafast"}
        for k in range(FRAMES):
            picture = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
            picture[40:60, k % 150 : k % 150 + 20] = (210, 40, 40)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    done = subprocess.run(
        [sys.executable, "-c", READ_SLOWLY, path, str(HEIGHT)], check=True, capture_output=True, text=True
    )
    assert float(done.stdout) < 1.5 * PIECE_BYTES / 1e6
