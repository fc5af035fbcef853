"""Where a video lies: a file, one of many in a tar file, or a stretch of a longer one."""

import errno
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Float64

from vidworld.core.errors import UserError
from vidworld.video.decode import Unreadable


@dataclass(frozen=True)
class Source:
    """One video."""

    path: Path  # the file that holds it
    member: str = ""  # its name in a tar file
    span_s: tuple[float, float] | None = None  # from when to when it goes in a longer video, the end left out
    group: str = ""  # videos of one thing (an episode's cameras) share it: what is held out of one is held out of all

    @contextmanager
    def opened(self) -> Iterator[Path]:
        """A video file by itself; Unreadable where a tar file has none, UserError where there is no room for a copy."""
        if not self.member:
            yield self.path
            return
        with tempfile.NamedTemporaryFile(suffix=".mp4") as place:
            self._copy(place)
            yield Path(place.name)

    def _copy(self, place: IO[bytes]) -> None:
        try:
            with tarfile.open(self.path) as archive:
                content = archive.extractfile(self.member)
                if content is None:
                    raise Unreadable(f"is no file in {self.path.name}")
                shutil.copyfileobj(content, place)
                place.flush()
        except (tarfile.TarError, EOFError, KeyError) as error:
            raise Unreadable(f"cannot be read from {self.path.name} ({error})") from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            full = f"{tempfile.gettempdir()}: has no room for a film of {self.path.name}"
            raise UserError(f"{full}; free some, or name another place with TMPDIR") from error

    def frames(self, times_s: Float64[np.ndarray, " time"]) -> range:
        """The numbers of its frames among those of the file; Unreadable where nothing is in its stretch."""
        if self.span_s is None:
            return range(len(times_s))
        half = 0.5 * float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
        start, stop = self.span_s
        mine = np.flatnonzero((times_s > start - half) & (times_s < stop - half))
        if not len(mine):
            raise Unreadable(f"has nothing from {start:g} to {stop:g} s of {self.path.name}")
        return range(int(mine[0]), int(mine[-1]) + 1)
