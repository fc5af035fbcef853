"""Tokens that are the frames themselves: for models that are measured without any tokenizer of ours."""

import torch

from vidworld.core.shapes import Frames, Tokens
from vidworld.models.tokenizers.patches import PatchSize, grid_shape, patchify, unpatchify


class FrameTokenizer:
    """One token a chunk: all of its bytes, as numbers in [-1, 1]. Nothing is lost, and nothing is learnt."""

    remembers = False
    unseen_frames = 0

    def __init__(self, frames_per_chunk: int, height_px: int, width_px: int) -> None:
        self.patch_size: PatchSize = (frames_per_chunk, height_px, width_px)
        self.channels = 3 * frames_per_chunk * height_px * width_px

    def grid_of(self, num_frames: int, height_px: int, width_px: int) -> tuple[int, int, int]:
        """The number of chunks, and 1, 1."""
        return grid_shape(num_frames, height_px, width_px, self.patch_size)

    def encode(self, frames: Frames) -> Tokens:
        """The frames as tokens."""
        return patchify(frames, self.patch_size).float().div_(127.5).sub_(1)

    def decode(self, tokens: Tokens) -> Frames:
        """The frames that these tokens are."""
        levels = (tokens.float() + 1).mul_(127.5).clamp_(0, 255).round_()
        return unpatchify(levels.to(torch.uint8), self.patch_size)

    def fingerprint(self) -> str:
        """Its name: it has no weights."""
        return "frames"
