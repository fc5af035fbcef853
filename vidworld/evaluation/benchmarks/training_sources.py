"""Sources of videos to train on, which have no score: CLEVRER, LeRobot data sets, WebDataset shards."""

from pathlib import Path, PurePosixPath

from vidworld.core.errors import UserError
from vidworld.core.records import read_json
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, Reading, beside, numbered
from vidworld.video.lerobot import episodes
from vidworld.video.webdataset import shards, videos_in_shard

# --- CLEVRER (Source: Yi et al. 2020, arXiv 1910.01442): videos of 480 x 320 of things that collide ---

FIRST_OF_TEST = 15000  # videos are numbered through: 10,000 to train on, 5,000 to validate, 5,000 to test
_CLEVRER_LAYOUT = """\
FOLDER/                  one split (video_validation.zip and annotation_validation.zip unpacked side by side)
  video_10000-11000/video_10000.mp4
  annotation_10000-11000/annotation_10000.json    collision: [{object_ids, frame_id, location}], object_property, ...
The test split (from video_15000.mp4 on) has no annotations."""


def _annotated(folder: Path) -> list[Entry]:
    """Every number of which a video or an annotation is there; its events are the collisions.

    The authors keep the annotations of their test split, so that none of its videos needs one.
    """
    videos, notes = _by_number(folder, "video_*.mp4"), _by_number(folder, "annotation_*.json")
    found = []
    for number in sorted({*videos, *notes}):
        video = videos.get(number) or beside(notes[number], "annotation_", "video_").with_suffix(".mp4")
        identity = f"video_{number:05d}"
        note = notes.get(number) or beside(video, "video_", "annotation_").with_suffix(".json")
        if not note.exists() and number >= FIRST_OF_TEST:
            found.append(Entry(identity, "unlabelled", identity, True, video))
            continue
        events = _collisions(note) if note.exists() else ()
        found.append(Entry(identity, "collision", identity, True, video, (note,), events=events))
    return found


def _by_number(folder: Path, pattern: str) -> dict[int, Path]:
    folders = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    return {number: path for place in folders for number, path in numbered(place, pattern).items()}


def _collisions(note: Path) -> tuple[tuple[int, str], ...]:
    """(frame, the two objects) of every collision."""
    try:
        listed = read_json(note)["collision"]
        return tuple((int(one["frame_id"]), "-".join(map(str, one["object_ids"]))) for one in listed)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{note}: does not list its collisions ({type(error).__name__})") from error


_OF_WORDS = "its score is of answers to questions in words, which no model gives; its videos can be trained on"
CLEVRER = Benchmark("clevrer", "CLEVRER", "arXiv 1910.01442", _CLEVRER_LAYOUT, Reading(128), _annotated, _OF_WORDS)


# --- LeRobot and WebDataset ---

_LEROBOT_LAYOUT = """\
FOLDER/
  meta/info.json         codebase_version, fps, features, data_path, video_path
  v2: meta/episodes.jsonl, data/chunk-000/episode_000000.parquet, videos/chunk-000/CAMERA/episode_000000.mp4
  v3: meta/episodes/chunk-000/file-000.parquet, data/chunk-000/file-000.parquet,
      videos/CAMERA/chunk-000/file-000.mp4"""
_WEBDATASET_LAYOUT = """\
FOLDER/
  NAME-000000.tar NAME-000001.tar ...    in each: KEY.mp4, and KEY.json, KEY.txt ... that go with it"""
_TO_TRAIN_ON = "is a source of videos to train on (vidworld data ingest), and has no score"


def _episodes(folder: Path) -> list[Entry]:
    """Every episode of every camera that meta/ lists."""
    return [
        Entry(f"{one.camera}/{one.number}", one.camera, str(one.number), True, one.video.path, (one.data,))
        for one in episodes(folder)
    ]


def _videos_of_shards(folder: Path) -> list[Entry]:
    """Every video of every shard; a number that is left out between two shards is one entry."""
    found = []
    for shard in shards(folder):
        if not shard.exists():
            found.append(Entry(shard.stem, "shard", shard.stem, True, shard))
            continue
        keys = (str(PurePosixPath(name).with_suffix("")) for name in videos_in_shard(shard))
        found += [Entry(f"{shard.stem}/{key}", shard.stem, key, True, shard) for key in keys]
    return found


_FORMATS = "LeRobot data set format v2.0 to v3.0", "WebDataset's documentation"
LEROBOT = Benchmark("lerobot", "LeRobot", _FORMATS[0], _LEROBOT_LAYOUT, Reading(64), _episodes, _TO_TRAIN_ON)
WEBDATASET = Benchmark(
    "webdataset", "WebDataset", _FORMATS[1], _WEBDATASET_LAYOUT, Reading(64), _videos_of_shards, _TO_TRAIN_ON
)
