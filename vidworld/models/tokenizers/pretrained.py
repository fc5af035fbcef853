"""A pretrained video autoencoder of diffusers behind the interface of our own tokenizer."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from vidworld.core.errors import UserError
from vidworld.core.shapes import Frames, Tokens
from vidworld.models.files import fingerprint_of
from vidworld.models.tokenizers.patches import PatchSize, grid_shape
from vidworld.models.tokenizers.video_vae import (
    AUTOENCODERS,
    as_frames,
    as_pictures,
    channels_of,
    decode_latents,
    encode_latents,
    load_vae,
    ratio_of,
)


class PretrainedAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Somebody else's video autoencoder, with statistics of our clips; it is not trained.

    These take 1 + n * frames frames, ours whole chunks of `frames`. So the first frames - 1 frames of a clip are left
    out: the first chunk's token stands for its last frame, and every other chunk's for the chunk, with the same borders
    as with our own tokenizer. On the way back the frames left out are copies of the next.

    Each chunk's tokens depend on the chunks before, as these autoencoders are causal and not chunk by chunk (in
    CogVideoX's group norms, the first chunk's also on the second).
    """

    remembers = True

    @register_to_config
    def __init__(self, kind: str = "AutoencoderKLWan", settings: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        if kind not in AUTOENCODERS:
            raise UserError(f"{kind}: no video autoencoder that is known here; known: {', '.join(AUTOENCODERS)}")
        self.vae = getattr(diffusers, kind).from_config(dict(settings or {}))
        ratio = ratio_of(self.vae)
        self.patch_size: PatchSize = (ratio.frames, ratio.rows, ratio.columns)
        self.unseen_frames = ratio.frames - 1
        self.channels = channels_of(self.vae)
        self.register_buffer("latent_mean", torch.zeros(self.channels))
        self.register_buffer("latent_std", torch.ones(self.channels))

    @staticmethod
    def adopt(folder: Path) -> "PretrainedAutoencoder":
        """The autoencoder of a local folder, without statistics yet.

        Raises UserError: there is none, or it is of an unknown kind.
        """
        vae: Any = load_vae(folder)
        tokenizer = PretrainedAutoencoder(
            type(vae).__name__, {k: v for k, v in vae.config.items() if not k.startswith("_")}
        )
        tokenizer.vae.load_state_dict(vae.state_dict())
        return tokenizer.eval().requires_grad_(False)  # type: ignore[no-any-return]

    def grid_of(self, num_frames: int, height_px: int, width_px: int) -> tuple[int, int, int]:
        """The latent grid (t, h, w) of a clip of this shape.

        Raises UserError: if the clip does not divide into whole chunks and cells.
        """
        return grid_shape(num_frames, height_px, width_px, self.patch_size)

    @torch.no_grad()
    def encode(self, frames: Frames) -> Tokens:
        """The clips' tokens, normalised per channel."""
        tokens: Tokens = (self._latents(frames) - self.latent_mean) / self.latent_std
        return tokens

    @torch.no_grad()
    def decode(self, tokens: Tokens) -> Frames:
        """The clips that these tokens stand for, the first chunk as so many copies of its frame."""
        latents = (tokens * self.latent_std + self.latent_mean).permute(0, 4, 1, 2, 3)
        frames = as_frames(decode_latents(self.vae, latents))
        return torch.cat((frames[:, :1].expand(-1, self.unseen_frames, -1, -1, -1), frames), dim=1)

    @torch.no_grad()
    def fit_statistics(self, batches: Iterable[Frames]) -> None:
        """Sets the per-channel mean and deviation that tokens are normalised with, from these batches of clips."""
        count = 0
        total, squares = torch.zeros(2, self.channels, dtype=torch.float64, device=self.latent_mean.device)
        for frames in batches:
            latents = self._latents(frames).flatten(0, 3).double()
            count += len(latents)
            total += latents.sum(dim=0)
            squares += latents.square().sum(dim=0)
        mean = total / count
        self.latent_mean.copy_(mean)
        self.latent_std.copy_((squares / count - mean**2).clamp_min(1e-12).sqrt())

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that differ when any weight differs."""
        return fingerprint_of(self)

    def _latents(self, frames: Frames) -> Tensor:
        """Latents (clip, t, h, w, channel), not normalised."""
        self.grid_of(frames.shape[1], frames.shape[3], frames.shape[4])
        pictures = as_pictures(frames[:, self.unseen_frames :].to(self.latent_mean.device))
        return encode_latents(self.vae, pictures).permute(0, 2, 3, 4, 1)
