"""Clips that other people's models continued elsewhere, as videos: a world model that is a folder."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import av
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from vidworld.core.clip import Clips, Frames
from vidworld.core.errors import UserError

DECODER_THREADS = 2  # each holds frames of its own
NAMED = 5  # missing files that a message names
Begins = Literal["context", "last frame", "future"]
"""What a video begins with: all frames that were shown, the last of them, or the first that is predicted."""
_SAY = "videos_from_context: (all that was shown), videos_from_last_frame: or videos_from_future: in place of videos:"


class Videos:
    """Clips that were made elsewhere, each in a file that is named after the clip which it continues: rollouts only.

    What a file begins with is said by whoever names the folder, and never taken from its length. Where nobody says it
    a file holds the future that is asked for and nothing else. A file of another rate is read at the times of the
    clip's frames, one of another size is scaled, and what comes after these times is left.
    """

    samples = 1
    """One file a clip: how much the samples of its maker would differ cannot be seen."""
    called: Mapping[str, str] = MappingProxyType({})
    """Files that are not named after their clips, by the clip."""

    def __init__(
        self, folder: str | Path, device: torch.device | None = None, steps: int = 0, begins: Begins | None = None
    ) -> None:
        """Raises UserError: there is no such folder, or no MP4 in it. Device and steps are a network's."""
        self.folder, self.begins = Path(folder), begins
        if not self.folder.is_dir():
            raise UserError(
                f"{folder}: there is no such folder; `vidworld data contexts` writes what is to be continued"
            )
        if not any(self.folder.glob("*.mp4")):
            raise UserError(f"{folder}: holds no .mp4 file; a clip's is named as in {file_name('uniform/id/0/17')}")

    def call(self, patterns: Mapping[str, str]) -> None:
        """Finds the files of clips by the patterns that a benchmark's authors name them by, where none has our name.

        Where nothing was said of them they hold the future, as long as these authors have it.
        """
        called = {}
        for identity, pattern in patterns.items():
            if not (self.folder / file_name(identity)).is_file():
                found = sorted(path.name for path in self.folder.glob(pattern))
                called[identity] = found[0] if found else pattern
        self.called = called

    def path_of(self, identity: str) -> Path:
        """The file that continues the clip of this identity, whether it is there or not."""
        return self.folder / self.called.get(identity, file_name(identity))

    def check_clips(self, identities: Sequence[str]) -> None:
        """Raise UserError if files of clips are missing, and name the first of them."""
        missing = [path.name for path in map(self.path_of, identities) if not path.is_file()]
        if missing:
            more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
            raise UserError(
                f"{self.folder}: lacks {len(missing)} of {len(identities)} clips: {', '.join(missing[:NAMED])}{more}"
            )

    def predict(self, context: Clips, num_frames: int, seeds: Sequence[int]) -> Frames:
        """The future in each clip's file. Raises UserError: one is missing, cannot be read, or is too short or long."""
        self.check_clips(context.identity)
        seen, size = context.frames.shape[1], context.frames.shape[-2:]
        paths = map(self.path_of, context.identity)
        return torch.stack([self._read(path, seen, num_frames, context.fps, size) for path in paths])

    def _read(
        self, path: Path, seen: int, num_frames: int, fps: float, size: Sequence[int] | None = None
    ) -> UInt8[Tensor, "time 3 height width"]:
        """The frames that are asked for, each scaled as it is read: fifty of 3840 x 2160 px are 1.2 GB."""
        frames, count = {}, 0
        try:
            with av.open(str(path)) as container:
                stream = container.streams.video[0]
                stream.thread_type, stream.codec_context.thread_count = "AUTO", DECODER_THREADS
                rate = float(stream.average_rate or fps)
                step = rate / fps if fps > 0 else 1.0  # a batch of several rates has none (NaN): then frame for frame
                before = {"context": seen, "last frame": 1}.get(self.begins or "future", 0)  # frames of the clip
                numbers = [round((before + i) * step) for i in range(num_frames)]
                for count, frame in enumerate(container.decode(stream), start=1):
                    if count - 1 in numbers:
                        picture = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)[None]
                        frames[count - 1] = picture if size is None else _scaled(picture, size)
        except (av.FFmpegError, OSError, IndexError) as error:
            raise UserError(f"{path}: cannot be read as a video ({str(error) or type(error).__name__})") from error
        held = f"{path}: {count} frames at {rate:g} a second"
        asked = f"{num_frames} frames at {fps:g}"
        if numbers[-1] >= count:
            after = f" that begin with the {self.begins}" if self.begins else ""
            raise UserError(f"{held}{after} end before the future that is asked for, {asked}")
        if self.begins is None and count > round(num_frames * step) and path.name not in self.called.values():
            raise UserError(f"{held} are more than the future, {asked}: say what they begin with, {_SAY}")
        return torch.cat([frames[number] for number in numbers])


FROM_CONTEXT = partial(Videos, begins="context")
FROM_LAST_FRAME = partial(Videos, begins="last frame")
FROM_FUTURE = partial(Videos, begins="future")


def file_name(identity: str) -> str:
    """The file that continues the clip of this identity: `uniform/id/0/17` is uniform_id_0_17.mp4."""
    return f"{identity.replace('/', '_')}.mp4"


def _scaled(frames: Tensor, size: Sequence[int]) -> Tensor:
    if frames.shape[-2:] == tuple(size):
        return frames
    how = dict(mode="bilinear", antialias=True, align_corners=False)
    scaled = [F.interpolate(colour.float(), tuple(size), **how) for colour in frames.split(1, dim=1)]  # type: ignore[arg-type]
    return torch.cat(scaled, dim=1).round().clamp(0, 255).to(torch.uint8)
