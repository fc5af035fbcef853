"""The shape of clips: frames, rate and size, said once for simulation, training and evaluation."""

from jaxtyping import UInt8
from numpy import ndarray

from vidworld.core.config import Positive, PositiveFloat, schema

WORLD_SIZE = 10.0
"""Width of the picture in world units, whatever its size in pixels (Source: phyworld's 10 x 10 world)."""

VideoFrames = UInt8[ndarray, "time height width 3"]
"""A video as files and trackers have it, its colours last."""


@schema
class ClipShape:
    """The shape of every clip."""

    num_frames: Positive = 16
    fps: PositiveFloat = 10.0
    height_px: Positive = 64
    width_px: Positive = 64

    @property
    def dt_s(self) -> float:
        """Seconds from one frame to the next."""
        return 1.0 / self.fps

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the last."""
        return (self.num_frames - 1) / self.fps

    @property
    def pixel(self) -> float:
        """World units a pixel."""
        return WORLD_SIZE / self.width_px

    @property
    def height(self) -> float:
        """The picture's height in world units (its width is `WORLD_SIZE`)."""
        return self.height_px * WORLD_SIZE / self.width_px
