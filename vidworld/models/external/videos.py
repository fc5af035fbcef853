"""A folder of clips that were made elsewhere, matched by name: rollouts only."""

from collections.abc import Sequence
from pathlib import Path

import av
import torch
import torch.nn.functional as F
from torch import Tensor

from vidworld.core.clip import Clips
from vidworld.core.errors import UserError
from vidworld.core.shapes import Frames

NAMED = 5  # missing files that a message names


def file_name(identity: str) -> str:
    """The file that continues the clip of this identity: `uniform/id/0/17` is uniform_id_0_17.mp4."""
    return f"{identity.replace('/', '_')}.mp4"


class Videos:
    """Each file holds the whole clip (context and future, or more) or exactly the future, which its length tells.

    A file of another rate is read at the times of the clip's frames, one of another size is scaled.
    """

    samples = 1
    """One file a clip: how much the samples of its maker would differ cannot be seen."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError: there is no such folder, or no MP4 in it."""
        if not folder.is_dir():
            raise UserError(
                f"{folder}: there is no such folder; `vidworld data contexts` writes what is to be continued"
            )
        if not any(folder.glob("*.mp4")):
            raise UserError(f"{folder}: holds no .mp4 file; a clip's is named as in {file_name('uniform/id/0/17')}")
        self.folder = folder

    def check_clips(self, identities: Sequence[str]) -> None:
        """Raise UserError if files of clips are missing, and name the first of them."""
        missing = [name for name in map(file_name, identities) if not (self.folder / name).is_file()]
        if missing:
            more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
            raise UserError(
                f"{self.folder}: lacks {len(missing)} of {len(identities)} clips: {', '.join(missing[:NAMED])}{more}"
            )

    def predict(self, context: Clips, num_frames: int, seeds: Sequence[int]) -> Frames:
        """The end of each clip's file. Raises UserError: one is missing, cannot be read, or is too short."""
        self.check_clips(context.identity)
        seen, size = context.frames.shape[1], context.frames.shape[-2:]
        paths = [self.folder / file_name(identity) for identity in context.identity]
        return torch.stack([_scaled(self._read(path, seen, num_frames, context.fps), size) for path in paths])

    def _read(self, path: Path, seen: int, num_frames: int, fps: float) -> Tensor:
        try:
            with av.open(str(path)) as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                rate = float(stream.average_rate or fps)
                frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        except (av.FFmpegError, OSError, IndexError) as error:
            raise UserError(f"{path}: cannot be read as a video ({str(error) or type(error).__name__})") from error
        step = rate / fps if fps > 0 else 1.0  # a batch of several rates has none (NaN): then frame for frame
        whole, future = ([round((first + i) * step) for i in range(num_frames)] for first in (seen, 0))
        if whole[-1] < len(frames):
            numbers = whole
        elif future[-1] < len(frames) <= round(num_frames * step):
            numbers = future
        else:
            raise UserError(
                f"{path}: {len(frames)} frames at {rate:g} a second are neither the whole clip, "
                f"{seen + num_frames} frames at {fps:g}, nor its future, {num_frames}"
            )
        return torch.stack([torch.from_numpy(frames[number]) for number in numbers]).permute(0, 3, 1, 2)


def _scaled(frames: Tensor, size: Sequence[int]) -> Tensor:
    if frames.shape[-2:] == tuple(size):
        return frames.contiguous()
    scaled = F.interpolate(frames.float(), tuple(size), mode="bilinear", antialias=True, align_corners=False)
    return scaled.round().clamp(0, 255).to(torch.uint8)


def load_videos(path: str, device: torch.device, steps: int) -> Videos:
    return Videos(Path(path))
