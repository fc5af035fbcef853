"""Sources of videos to train on, which have no score: LeRobot data sets (v2.0, v2.1 or v3.0) and WebDataset shards."""

from pathlib import Path, PurePosixPath

from vidworld.core.shapes import VideoFrames
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, Reading, Unscored
from vidworld.evaluation.benchmarks.reading import video_of
from vidworld.video.source import Source, episodes, shards, videos_in_shard

_LEROBOT_LAYOUT = """\
FOLDER/
  meta/info.json         codebase_version, fps, features, data_path, video_path
  v2: meta/episodes.jsonl, data/chunk-000/episode_000000.parquet, videos/chunk-000/CAMERA/episode_000000.mp4
  v3: meta/episodes/chunk-000/file-000.parquet, data/chunk-000/file-000.parquet,
      videos/CAMERA/chunk-000/file-000.mp4"""
_WEBDATASET_LAYOUT = """\
FOLDER/
  NAME-000000.tar NAME-000001.tar ...    in each: KEY.mp4, and KEY.json, KEY.txt ... that go with it"""
_READING = Reading(64, square="cropped")
_UNSCORED = Unscored("is a source of videos to train on (vidworld data ingest), and has no score")


def _episodes(folder: Path) -> list[Entry]:
    """Every episode of every camera that meta/ lists."""
    found = []
    for one in episodes(folder):
        member = ":".join(f"{time:.9f}" for time in one.video.span_s or ())
        number, path, needs = str(one.number), one.video.path, (one.data,)
        found.append(Entry(f"{one.camera}/{number}", one.camera, number, True, path, needs, member=member))
    return found


def _decode_episode(entry: Entry) -> tuple[VideoFrames, float]:
    start, _, stop = entry.member.partition(":")
    return video_of(Source(entry.video, span_s=(float(start), float(stop)) if stop else None))


def _videos_of_shards(folder: Path) -> list[Entry]:
    """Every video of every shard; a number that is left out between two shards is one entry."""
    found = []
    for shard in shards(folder):
        if not shard.exists():
            found.append(Entry(shard.stem, "shard", shard.stem, True, shard))
            continue
        for name in videos_in_shard(shard):
            key = str(PurePosixPath(name).with_suffix(""))
            found.append(Entry(f"{shard.stem}/{key}", shard.stem, key, True, shard, member=name))
    return found


def _decode_member(entry: Entry) -> tuple[VideoFrames, float]:
    return video_of(Source(entry.video, entry.member))


_FORMATS = "LeRobot data set format v2.0 to v3.0", "WebDataset's documentation"
LEROBOT = Benchmark("lerobot", "LeRobot", _FORMATS[0], _LEROBOT_LAYOUT, _READING, _episodes, _UNSCORED, _decode_episode)
WEBDATASET = Benchmark(
    "webdataset", "WebDataset", _FORMATS[1], _WEBDATASET_LAYOUT, _READING, _videos_of_shards, _UNSCORED, _decode_member
)
