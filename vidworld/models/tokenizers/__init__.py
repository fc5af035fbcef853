"""Frames to tokens and back: what a tokenizer is to the bench, which there are, and frames as spacetime patches."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from jaxtyping import Shaped
from torch import Tensor

from vidworld.core.clip import Frames, Tokens
from vidworld.core.errors import UserError
from vidworld.core.registry import Registry
from vidworld.models.files import fingerprint_of, load_model, read_object

PatchSize = tuple[int, int, int]
"""Frames, rows and columns of one patch."""
Patches = Shaped[Tensor, "clip t h w values"]
"""Every patch's values in the order (frame, row, column, channel)."""


def grid_shape(num_frames: int, height_px: int, width_px: int, patch_size: PatchSize) -> tuple[int, int, int]:
    """The latent grid (t, h, w) of a clip of this shape. Raises UserError: it does not divide into whole patches."""
    sides = (num_frames, height_px, width_px)
    for name, side, patch in zip(("frames", "rows", "columns"), sides, patch_size, strict=True):
        if side % patch or side < patch:
            raise UserError(
                f"a clip of {num_frames} frames of {height_px} x {width_px} px does not divide into patches of "
                f"{patch_size}: {side} {name} is no multiple of {patch}"
            )
    return num_frames // patch_size[0], height_px // patch_size[1], width_px // patch_size[2]


def patchify(frames: Shaped[Tensor, "clip time channel height width"], patch_size: PatchSize) -> Patches:
    """The patches of each clip."""
    grid_shape(frames.shape[1], frames.shape[3], frames.shape[4], patch_size)
    p, q, r = patch_size
    return rearrange(frames, "b (t p) c (h q) (w r) -> b t h w (p q r c)", p=p, q=q, r=r)


def unpatchify(patches: Patches, patch_size: PatchSize) -> Shaped[Tensor, "clip time channel height width"]:
    """The frames that `patchify` cut into these patches."""
    p, q, r = patch_size
    return rearrange(patches, "b t h w (p q r c) -> b (t p) c (h q) (w r)", p=p, q=q, r=r, c=3)


@runtime_checkable
class Tokenizer(Protocol):
    """Anything that turns clips of whole chunks into tokens and back."""

    patch_size: PatchSize
    """Frames, rows and columns of a token; the frames are a chunk."""
    channels: int
    remembers: bool = False
    """Whether a chunk's tokens depend on the chunks before it (never on those after)."""
    unseen_frames: int = 0
    """Frames at the start of a clip that are not encoded, and come back as copies of the next."""

    def grid_of(self, num_frames: int, height_px: int, width_px: int) -> tuple[int, int, int]:
        """The latent grid (t, h, w) of a clip of this shape; UserError where there is none."""
        return grid_shape(num_frames, height_px, width_px, self.patch_size)

    def encode(self, frames: Frames) -> Tokens:
        """The clips' tokens, normalised per channel."""

    def decode(self, tokens: Tokens) -> Frames:
        """The clips that these tokens stand for."""

    def fingerprint(self) -> str:
        """What 'the same tokenizer' means."""


class FrameTokenizer(Tokenizer):
    """One token a chunk: all of its bytes, in [-1, 1]. For worlds that are measured without any tokenizer of ours."""

    def __init__(self, frames_per_chunk: int, height_px: int, width_px: int) -> None:
        self.patch_size: PatchSize = (frames_per_chunk, height_px, width_px)
        self.channels = 3 * frames_per_chunk * height_px * width_px

    def encode(self, frames: Frames) -> Tokens:
        return patchify(frames, self.patch_size).float().div_(127.5).sub_(1)

    def decode(self, tokens: Tokens) -> Frames:
        values = (tokens.float() + 1).mul_(127.5).clamp_(0, 255).round_()
        return unpatchify(values.to(torch.uint8), self.patch_size)

    def fingerprint(self) -> str:
        return "frames"


class LatentTokenizer(ModelMixin, ConfigMixin, Tokenizer):  # type: ignore[misc]
    """A network of diffusers' form: its `_latents` of frames, normalised by `latent_mean` and `latent_std`."""

    def __init__(self, patch_size: PatchSize, channels: int) -> None:
        super().__init__()
        self.patch_size, self.channels = patch_size, channels
        self.register_buffer("latent_mean", torch.zeros(channels))
        self.register_buffer("latent_std", torch.ones(channels))

    @torch.no_grad()
    def encode(self, frames: Frames) -> Tokens:
        tokens: Tokens = (self._latents(frames) - self.latent_mean) / self.latent_std
        return tokens

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that differ when any weight differs."""
        return fingerprint_of(self)


TOKENIZERS: Registry[type[Tokenizer]] = Registry(
    "tokenizer",
    "vidworld.tokenizers",
    {
        "Autoencoder": "vidworld.models.tokenizers.autoencoder:Autoencoder",
        "PretrainedAutoencoder": "vidworld.models.tokenizers.video_vae:PretrainedAutoencoder",
    },
)
"""What a tokenizer's run folder may hold, by the class that its model/config.json names: modules of diffusers."""


def load_tokenizer(run_folder: Path) -> Any:
    """The tokenizer of a run folder, our own or an adopted one, in evaluation mode. Raises UserError: there is none."""
    config = run_folder / "model" / "config.json"
    name = str(read_object(config).get("_class_name")) if config.exists() else ""
    kind: Any = TOKENIZERS[name if name in TOKENIZERS else "Autoencoder"]
    return load_model(kind, run_folder)
