"""A data set of any number of clips, as an ingest writes it, without the videos: noise, four clips a video."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from vidworld.core.records import write_json
from vidworld.video import RECORD_NAME
from vidworld.video.clips import ClipOptions, RealClip, VideoClips
from vidworld.video.jobs import FileRecord
from vidworld.video.joined import join
from vidworld.video.rows import ClipRows
from vidworld.video.sidecar import SidecarEntry

OF_VIDEO = 4  # clips


def write(folder: Path, clips: int, options: ClipOptions) -> Path:
    """All of it trains."""
    rng, records, parts = np.random.default_rng(0), [], []
    size = (OF_VIDEO, options.num_frames, 3, options.size_px, options.size_px)
    for number in range(clips // OF_VIDEO):
        file = f"class_{number % 100:02d}/video_{number:06d}.mp4"
        made = [
            RealClip(frames, options.fps, 0.8 * k, 8 * k, True, True, 0.1, 1.0, 0.0, 0.0, 0.0)
            for k, frames in enumerate(rng.integers(0, 256, size, np.uint8))
        ]
        video = VideoClips("pyav", "presentation", 300, options.size_px, np.arange(300) / 30, OF_VIDEO)
        parts.append(folder / "parts" / f"{number:06d}")
        with ClipRows(parts[-1], SidecarEntry(file=file), options) as rows:
            rows.add(video, [(0, clip) for clip in made])
            rows.flush(video)
        rates = (options.fps,)
        records.append(FileRecord(file, "train", OF_VIDEO, rates, OF_VIDEO, 1, 300, 0, 0, "pyav", "presentation", ()))
    out = folder / "clips"
    content = join({"train": parts, "val": [], "real": []}, options, out)
    write_json(out / RECORD_NAME, {"content": content, "files": [asdict(one) for one in records]})
    return out
