"""Frames that are too many for memory: kept in a temporary file, and read from it as they are asked for."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, overload

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from vidworld.core.clip import VideoFrames
from vidworld.core.records import room_for


class KeptFrames:
    """Frames (time height width 3) of eight bits, which are indexed as those of an array; a slice copies nothing."""

    def __init__(self, place: IO[bytes], numbers: range, size: tuple[int, ...]) -> None:
        self._place, self._numbers = place, numbers  # the file is gone with the last that holds it
        self.shape = (len(numbers), *size)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, which: int) -> UInt8[ndarray, "height width 3"]: ...
    @overload
    def __getitem__(self, which: slice) -> "KeptFrames": ...
    @overload
    def __getitem__(self, which: Int[ndarray, " some"]) -> UInt8[ndarray, "some height width 3"]: ...

    def __getitem__(self, which):  # type: ignore[no-untyped-def]
        if isinstance(which, slice):
            return KeptFrames(self._place, self._numbers[which], self.shape[1:])
        if isinstance(which, ndarray):
            return np.stack([self[int(number)] for number in which])
        size = int(np.prod(self.shape[1:]))
        content = os.pread(self._place.fileno(), size, self._numbers[which] * size)
        return np.frombuffer(content, np.uint8).reshape(self.shape[1:])

    def __iter__(self) -> Iterator[UInt8[ndarray, "height width 3"]]:
        return (self[number] for number in range(len(self)))


IndexedFrames = VideoFrames | KeptFrames


def keep(pieces: Iterable[UInt8[ndarray, "_ _ _ 3"]]) -> KeptFrames:
    """The frames of successive pieces; UserError where there is no room for them."""
    place = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the frames)
    count, size = 0, (0, 0, 3)
    with room_for("the frames of a video"):
        for piece in pieces:
            place.write(np.ascontiguousarray(piece).data)
            count, size = count + len(piece), piece.shape[1:]
        place.flush()
    return KeptFrames(place, range(count), size)
