"""WebDataset shards of films to train on.

Source: WebDataset's documentation: POSIX tar files, numbered without a gap; the files of a sample have one name and
follow one another, the film's is .mp4.
"""

import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from vidworld.benchmarks.benchmark import Benchmark, Entry, Film, Reading, film_of, numbered
from vidworld.data.decode import Unreadable
from vidworld.errors import UserError

LAYOUT = """\
FOLDER/
  NAME-000000.tar NAME-000001.tar ...    in each: KEY.mp4, and KEY.json, KEY.txt ... that go with it"""


def entries(folder: Path) -> list[Entry]:
    """Every film of every shard; a number that is left out between two shards is one entry."""
    shards = numbered(folder, "*.tar")
    found = []
    for number in range(min(shards, default=0), max(shards, default=-1) + 1):
        shard = shards.get(number)
        if shard is None:
            like = next(iter(shards.values()))
            digits = len(like.stem) - len(like.stem.rstrip("0123456789"))
            shard = like.with_name(f"{like.stem[: len(like.stem) - digits]}{number:0{digits}d}.tar")
            found.append(Entry(shard.stem, "shard", shard.stem, True, shard))
            continue
        try:
            with tarfile.open(shard) as archive:
                names = [member.name for member in archive if member.isfile()]
        except (tarfile.TarError, EOFError) as error:
            raise UserError(f"{shard}: is no tar file that can be read ({error})") from error
        films = [name for name in names if PurePosixPath(name).suffix == ".mp4"]
        if not films:
            raise UserError(f"{shard}: holds no .mp4")
        for name in films:
            key = str(PurePosixPath(name).with_suffix(""))
            found.append(Entry(f"{shard.stem}/{key}", shard.stem, key, True, shard, member=name))
    return found


def film(entry: Entry) -> tuple[Film, float]:
    """The film's frames and rate."""
    with tarfile.open(entry.video) as archive, tempfile.NamedTemporaryFile(suffix=".mp4") as place:
        content = archive.extractfile(entry.member)
        if content is None:
            raise Unreadable(f"has no {entry.member}")
        place.write(content.read())
        place.flush()
        return film_of(Path(place.name))


BENCHMARK = Benchmark(
    name="webdataset",
    source="WebDataset's documentation",
    layout=LAYOUT,
    reading=Reading(size_px=64, square="cropped"),
    entries=entries,
    film=film,
)
