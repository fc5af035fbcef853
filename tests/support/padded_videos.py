"""Videos whose content, and with it their split, is chosen: with bytes at their end that no player reads."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

from vidworld.video.source import Source, content_of, split_of


def pad_until(path: Path, fits: Callable[[], bool]) -> Path:
    """The same video with the first padding that fits."""
    content = path.read_bytes()
    for number in count():
        if fits():
            return path
        padding = number.to_bytes(8, "big")
        if path.suffix == ".avi":
            path.write_bytes(content + b"JUNK" + len(padding).to_bytes(4, "little") + padding)
        else:
            path.write_bytes(content + (8 + len(padding)).to_bytes(4, "big") + b"free" + padding)
    raise AssertionError


def of_split(split: str, path: Path) -> Path:
    """The video, padded such that it falls to this split."""

    def fits() -> bool:
        content = content_of(Source(path))
        return content is not None and split_of(content) == split

    return pad_until(path, fits)
