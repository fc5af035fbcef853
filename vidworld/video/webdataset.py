"""The videos of WebDataset shards.

Source: WebDataset's documentation: POSIX tar files, numbered without a gap; the video of a sample is .mp4.
"""

import tarfile
from collections import defaultdict
from pathlib import Path, PurePosixPath

from vidworld.core.errors import UserError
from vidworld.video.source import Source


def shards(folder: Path) -> list[Path]:
    """The tar files, and of those that are numbered alike also the ones left out between the first and the last."""
    series: dict[str, dict[int, Path]] = defaultdict(dict)
    found = []
    for path in sorted(folder.glob("*.tar")):
        if digits := _digits(path):
            series[path.stem.removesuffix(digits)][int(digits)] = path
        else:
            found.append(path)
    for prefix, numbered in series.items():
        width = len(_digits(next(iter(numbered.values()))))
        numbers = range(min(numbered), max(numbered) + 1)
        found += [numbered.get(number, folder / f"{prefix}{number:0{width}d}.tar") for number in numbers]
    return found


def videos_in_shard(shard: Path) -> list[str]:
    """The names of a shard's videos; UserError where it cannot be read, or holds none."""
    try:
        with tarfile.open(shard) as archive:
            names = [member.name for member in archive if member.isfile()]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{shard}: is no tar file that can be read ({error})") from error
    found = [name for name in names if PurePosixPath(name).suffix == ".mp4"]
    if not found:
        raise UserError(f"{shard}: holds no .mp4")
    return found


def webdataset_sources(folder: Path) -> dict[str, Source]:
    """The videos by shard and name; UserError where a shard is missing or cannot be read, or there is none."""
    found = shards(folder)
    if not found:
        raise UserError(f"{folder}: holds no .tar")
    if missing := [shard for shard in found if not shard.exists()]:
        raise UserError(f"{missing[0]}: is missing ({len(missing)} of the shards between the first and the last)")
    return {f"{shard.stem}/{name}": Source(shard, name) for shard in found for name in videos_in_shard(shard)}


def _digits(path: Path) -> str:
    """The number at the end of its name, as it is written."""
    return path.stem[len(path.stem.rstrip("0123456789")) :]
