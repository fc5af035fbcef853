"""WebDataset shards of videos to train on."""

from pathlib import Path, PurePosixPath

from vidworld.core.shapes import Film
from vidworld.evaluation.benchmarks.benchmark import Benchmark, Entry, Reading, Unscored
from vidworld.evaluation.benchmarks.reading import video_of
from vidworld.video.source import Source
from vidworld.video.webdataset import films, shards

LAYOUT = """\
FOLDER/
  NAME-000000.tar NAME-000001.tar ...    in each: KEY.mp4, and KEY.json, KEY.txt ... that go with it"""


def entries(folder: Path) -> list[Entry]:
    """Every video of every shard; a number that is left out between two shards is one entry."""
    found = []
    for shard in shards(folder):
        if not shard.exists():
            found.append(Entry(shard.stem, "shard", shard.stem, True, shard))
            continue
        for name in films(shard):
            key = str(PurePosixPath(name).with_suffix(""))
            found.append(Entry(f"{shard.stem}/{key}", shard.stem, key, True, shard, member=name))
    return found


def decode(entry: Entry) -> tuple[Film, float]:
    """The video's frames and rate."""
    return video_of(Source(entry.video, entry.member))


BENCHMARK = Benchmark(
    name="webdataset",
    label="WebDataset",
    source="WebDataset's documentation",
    layout=LAYOUT,
    reading=Reading(size_px=64, square="cropped"),
    entries=entries,
    score=Unscored("is a source of videos to train on (vidworld data ingest), and has no score"),
    decode=decode,
)
