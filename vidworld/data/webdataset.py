"""The films of WebDataset shards.

Source: WebDataset's documentation: POSIX tar files, numbered without a gap; the files of a sample have one name and
follow one another, the film's is .mp4.
"""

import tarfile
from pathlib import Path, PurePosixPath

from vidworld.data.source import Source
from vidworld.errors import UserError


def shards(folder: Path) -> list[Path]:
    """The tar files from the first number to the last, also those that are left out between them."""
    numbered = {int(d): path for path in sorted(folder.glob("*.tar")) if (d := _digits(path))}
    found = []
    for number in range(min(numbered, default=0), max(numbered, default=-1) + 1):
        like = next(iter(numbered.values()))
        name = f"{like.stem.removesuffix(_digits(like))}{number:0{len(_digits(like))}d}.tar"
        found.append(numbered.get(number, like.with_name(name)))
    return found


def films(shard: Path) -> list[str]:
    """The names of a shard's films.

    Raises:
        UserError: it cannot be read, or holds none.
    """
    try:
        with tarfile.open(shard) as archive:
            names = [member.name for member in archive if member.isfile()]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{shard}: is no tar file that can be read ({error})") from error
    found = [name for name in names if PurePosixPath(name).suffix == ".mp4"]
    if not found:
        raise UserError(f"{shard}: holds no .mp4")
    return found


def sources(folder: Path) -> dict[str, Source]:
    """The films by shard and name.

    Raises:
        UserError: a shard is missing or cannot be read.
    """
    if missing := [shard for shard in shards(folder) if not shard.exists()]:
        raise UserError(
            f"{missing[0]}: is missing ({len(missing)} of the shards between the first and the last)"
        )
    return {f"{shard.stem}/{name}": Source(shard, name) for shard in shards(folder) for name in films(shard)}


def _digits(path: Path) -> str:
    """The number at the end of its name, as it is written."""
    return path.stem[len(path.stem.rstrip("0123456789")) :]
