"""Pretrained video autoencoders of diffusers, by their frame convention and behind the interface of our tokenizers.

All of them give one latent to the first frame and one to every `frames` after it, so a clip has 1 + n * frames frames
and n + 1 latents, and all of them encode causally in time.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from vidworld.core.errors import UserError
from vidworld.core.records import read_json
from vidworld.core.shapes import Frames, Tokens
from vidworld.models.files import fingerprint_of
from vidworld.models.tokenizers.tokenizer import PatchSize, grid_shape

AUTOENCODERS = (
    "AutoencoderKLWan",
    "AutoencoderKLLTXVideo",
    "AutoencoderKLCosmos",
    "AutoencoderKLCogVideoX",
    "AutoencoderVidTok",
)

VideoTensor = Float[Tensor, "clip channel time height width"]
"""Frames in [-1, 1]."""
Latents = Float[Tensor, "clip latent t h w"]
"""As the autoencoder gives them, not normalised."""


class Ratio(NamedTuple):
    frames: int
    rows: int
    columns: int


def check_pretrained(folder: Path, kinds: tuple[str, ...], key: str = "_class_name") -> str:
    """The class that a folder's config.json names. Raises UserError: there is none, or it is none of `kinds`."""
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; name the local folder of a pretrained model")
    if not (folder / "config.json").exists():
        raise UserError(f"{folder}: holds no config.json; name the folder that save_pretrained wrote")
    content = read_json(folder / "config.json")
    found = content.get(key) if isinstance(content, dict) else None
    if found not in kinds:
        raise UserError(f"{folder}: holds a model of kind {found}; known here: {', '.join(kinds)}")
    return str(found)


def from_folder(kind: Any, folder: Path, **options: Any) -> nn.Module:
    """The model of a folder in evaluation mode. Raises UserError: weights are missing, unreadable, or do not fit."""
    try:
        model, loaded = kind.from_pretrained(str(folder), local_files_only=True, output_loading_info=True, **options)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{folder}: cannot be read as {kind.__name__} ({reason})") from error
    lacking = sorted(set(loaded["missing_keys"]) | {str(key[0]) for key in loaded["mismatched_keys"]})
    if lacking:
        raise UserError(
            f"{folder}: lacks {len(lacking)} weights of {kind.__name__} ({lacking[0]}, ...); they would be random"
        )
    network: nn.Module = model.eval().requires_grad_(False)
    return network


def load_vae(folder: Path) -> nn.Module:
    """The pretrained video autoencoder of a folder. Raises UserError: there is none, or it is of an unknown kind."""
    return from_folder(getattr(diffusers, check_pretrained(folder, AUTOENCODERS)), folder)


def ratio_of(vae: Any) -> Ratio:
    """How many frames, rows and columns one latent stands for."""
    config = vae.config
    match type(vae).__name__:
        case "AutoencoderKLWan":
            frames, side = config.scale_factor_temporal, config.scale_factor_spatial
        case "AutoencoderKLLTXVideo":
            frames, side = vae.temporal_compression_ratio, vae.spatial_compression_ratio
        case "AutoencoderKLCosmos":
            frames, side = config.temporal_compression_ratio, config.spatial_compression_ratio
        case "AutoencoderKLCogVideoX":
            frames, side = config.temporal_compression_ratio, 2 ** (len(config.block_out_channels) - 1)
        case "AutoencoderVidTok":
            frames, side = vae.temporal_compression_ratio, 2 ** len(vae.encoder.spatial_ds)
        case other:
            raise UserError(f"{other}: no video autoencoder that is known here; known: {', '.join(AUTOENCODERS)}")
    return Ratio(int(frames), int(side), int(side))


def channels_of(vae: Any) -> int:
    """How many numbers a latent has."""
    names = ("z_dim", "latent_channels", "z_channels")
    return int(next(vae.config[name] for name in names if name in vae.config))


def encode_latents(vae: Any, pictures: VideoTensor) -> Latents:
    """The latents of clips of 1 + n * ratio frames: the mode of the posterior, or the codes of a quantiser."""
    frames = ratio_of(vae).frames
    assert pictures.shape[2] % frames == 1 % frames, pictures.shape
    if type(vae).__name__ == "AutoencoderVidTok":
        # It counts the first frame `frames` times; its own forward pads so before it encodes.
        pictures = torch.cat((pictures[:, :, :1].expand(-1, -1, frames - 1, -1, -1), pictures), dim=2)
    if type(vae).__name__ == "AutoencoderKLCogVideoX":
        # Its group norms average over all frames of a slice: slices of one latent keep the future out of the past
        # (the first slice is two latents long).
        vae.num_sample_frames_batch_size = frames
    encoded = vae.encode(pictures.to(vae.dtype))
    latents: Tensor = encoded[0] if isinstance(encoded, tuple) else encoded.latent_dist.mode()
    return latents.float()


def decode_latents(vae: Any, latents: Latents) -> VideoTensor:
    """The 1 + n * ratio frames of n + 1 latents, about [-1, 1]."""
    frames, count = ratio_of(vae).frames, latents.shape[2]
    latents = latents.to(vae.dtype)
    doubled = type(vae).__name__ == "AutoencoderKLCogVideoX" and count % 2 == 0
    if doubled:
        # It takes the first latent for one frame only where their number is odd.
        latents = torch.cat((latents[:, :, :1], latents), dim=2)
    timed = getattr(vae.config, "timestep_conditioning", False)  # LTX from 0.9.1 on: without noise, at its time
    decoded = vae.decode(latents, **{"temb": latents.new_zeros(len(latents))} if timed else {})
    pictures: Tensor = decoded if isinstance(decoded, Tensor) else decoded.sample
    return pictures[:, :, frames if doubled else 0 :].float()


def scaling_of(vae: Any) -> tuple[Tensor, Tensor]:
    """Mean and deviation, (1, latent, t or 1, 1, 1), that the model's own pipeline normalises latents with."""
    config, channels = vae.config, channels_of(vae)
    buffers = dict(vae.named_buffers())  # LTX has its statistics there, the others in the config
    mean, std = (buffers.get(name, config.get(name)) for name in ("latents_mean", "latents_std"))
    shape = (1, channels, -1, 1, 1)
    if mean is None or std is None:
        mean, std = torch.zeros(channels), torch.ones(channels)
    factor = float(getattr(config, "scaling_factor", None) or 1.0)
    if getattr(config, "invert_scale_latents", False):
        factor = 1 / factor
    return torch.as_tensor(mean).view(shape).float(), torch.as_tensor(std).view(shape).float() / factor


def as_pictures(frames: Tensor) -> VideoTensor:
    """uint8 frames (clip, time, channel, height, width) as an autoencoder takes them."""
    return frames.transpose(1, 2).float() / 127.5 - 1


def as_frames(pictures: VideoTensor) -> Tensor:
    """uint8 frames (clip, time, channel, height, width) of what an autoencoder gave."""
    return ((pictures.transpose(1, 2) + 1) * 127.5).clamp(0, 255).round().to(torch.uint8)


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
        """The autoencoder of a local folder, without statistics yet. Raises UserError: as `load_vae`."""
        vae: Any = load_vae(folder)
        settings = {k: v for k, v in vae.config.items() if not k.startswith("_")}
        tokenizer = PretrainedAutoencoder(type(vae).__name__, settings)
        tokenizer.vae.load_state_dict(vae.state_dict())
        return tokenizer.eval().requires_grad_(False)  # type: ignore[no-any-return]

    def grid_of(self, num_frames: int, height_px: int, width_px: int) -> tuple[int, int, int]:
        """The latent grid (t, h, w) of a clip of this shape. Raises UserError: it does not divide into these."""
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
        return fingerprint_of(self)

    def _latents(self, frames: Frames) -> Tensor:
        """Latents (clip, t, h, w, channel), not normalised."""
        self.grid_of(frames.shape[1], frames.shape[3], frames.shape[4])
        pictures = as_pictures(frames[:, self.unseen_frames :].to(self.latent_mean.device))
        return encode_latents(self.vae, pictures).permute(0, 2, 3, 4, 1)
