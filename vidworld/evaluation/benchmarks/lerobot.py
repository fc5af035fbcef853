"""A LeRobot data set (format v2.0, v2.1 or v3.0) as videos to train on: each episode of each camera."""

from pathlib import Path

from vidworld.core.shapes import Film
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, Reading, Unscored
from vidworld.evaluation.benchmarks.reading import video_of
from vidworld.video.lerobot import episodes
from vidworld.video.source import Source

LAYOUT = """\
FOLDER/
  meta/info.json         codebase_version, fps, features, data_path, video_path
  v2: meta/episodes.jsonl, data/chunk-000/episode_000000.parquet, videos/chunk-000/CAMERA/episode_000000.mp4
  v3: meta/episodes/chunk-000/file-000.parquet, data/chunk-000/file-000.parquet,
      videos/CAMERA/chunk-000/file-000.mp4"""


def entries(folder: Path) -> list[Entry]:
    """Every episode of every camera that meta/ lists."""
    found = []
    for one in episodes(folder):
        member = ":".join(f"{time:.9f}" for time in one.video.span_s or ())
        number, path, needs = str(one.number), one.video.path, (one.data,)
        found.append(Entry(f"{one.camera}/{number}", one.camera, number, True, path, needs, member=member))
    return found


def decode(entry: Entry) -> tuple[Film, float]:
    """The episode's frames and rate."""
    start, _, stop = entry.member.partition(":")
    return video_of(Source(entry.video, span_s=(float(start), float(stop)) if stop else None))


BENCHMARK = Benchmark(
    name="lerobot",
    label="LeRobot",
    source="LeRobot data set format v2.0 to v3.0",
    layout=LAYOUT,
    reading=Reading(size_px=64, square="cropped"),
    entries=entries,
    score=Unscored("is a source of videos to train on (vidworld data ingest), and has no score"),
    decode=decode,
)
