"""Pretrained video autoencoders of diffusers, by their frame convention and behind the interface of our tokenizers.

All of them give one latent to the first frame and one to every `frames` after it, so a clip has 1 + n * frames frames
and n + 1 latents, and all of them encode causally in time.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import torch
from diffusers.configuration_utils import register_to_config
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Frames, Tokens
from vidworld.core.errors import UserError
from vidworld.core.records import read_json
from vidworld.models.tokenizers import LatentTokenizer

AUTOENCODERS: dict[str, Callable[[Any], tuple[int, int]]] = {
    "AutoencoderKLWan": lambda vae: (vae.config.scale_factor_temporal, vae.config.scale_factor_spatial),
    "AutoencoderKLLTXVideo": lambda vae: (vae.temporal_compression_ratio, vae.spatial_compression_ratio),
    "AutoencoderKLCosmos": lambda vae: (vae.config.temporal_compression_ratio, vae.config.spatial_compression_ratio),
    "AutoencoderKLCogVideoX": lambda vae: (
        vae.config.temporal_compression_ratio,
        2 ** (len(vae.config.block_out_channels) - 1),
    ),
    "AutoencoderVidTok": lambda vae: (vae.temporal_compression_ratio, 2 ** len(vae.encoder.spatial_ds)),
}
"""By class: how many frames, and how many rows and columns, one latent stands for."""
Latents = Float[Tensor, "clip latent t h w"]
"""As the autoencoder gives them, not normalised."""


class Ratio(NamedTuple):
    frames: int
    side: int  # rows, and columns


def load_pretrained(
    folder: Path, kinds: Collection[str], kind: Any = None, key: str = "_class_name", **options: Any
) -> Any:
    """The model of a local folder in evaluation mode: of `kind`, or of the class of diffusers that it names.

    Raises UserError: config.json names none of `kinds`, or weights are missing, unreadable, or do not fit.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; name the local folder of a pretrained model")
    if not (folder / "config.json").exists():
        raise UserError(f"{folder}: holds no config.json; name the folder that save_pretrained wrote")
    content = read_json(folder / "config.json")
    found = str(content.get(key) if isinstance(content, dict) else None)
    if found not in kinds:
        raise UserError(f"{folder}: holds a model of kind {found}; known here: {', '.join(kinds)}")
    kind = kind or getattr(diffusers, found)
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
    return model.eval().requires_grad_(False)


def ratio_of(vae: Any) -> Ratio:
    """How many frames, rows and columns one latent stands for."""
    return Ratio(*map(int, AUTOENCODERS[type(vae).__name__](vae)))


def channels_of(vae: Any) -> int:
    """How many numbers a latent has."""
    names = ("z_dim", "latent_channels", "z_channels")
    return int(next(vae.config[name] for name in names if name in vae.config))


def encode_latents(vae: Any, frames: Frames) -> Latents:
    """The latents of clips of 1 + n * ratio frames: the mode of the posterior, or the codes of a quantiser."""
    ratio = ratio_of(vae).frames
    assert frames.shape[1] % ratio == 1 % ratio, frames.shape
    pictures = frames.to(vae.device).transpose(1, 2).float() / 127.5 - 1
    if type(vae).__name__ == "AutoencoderVidTok":
        # It counts the first frame `ratio` times; its own forward pads so before it encodes.
        pictures = torch.cat((pictures[:, :, :1].expand(-1, -1, ratio - 1, -1, -1), pictures), dim=2)
    if type(vae).__name__ == "AutoencoderKLCogVideoX":
        # Its group norms average over all frames of a slice: slices of one latent keep the future out of the past
        # (the first slice is two latents long).
        vae.num_sample_frames_batch_size = ratio
    encoded = vae.encode(pictures.to(vae.dtype))
    latents: Tensor = encoded[0] if isinstance(encoded, tuple) else encoded.latent_dist.mode()
    return latents.float()


def decode_latents(vae: Any, latents: Latents) -> Frames:
    """The 1 + n * ratio frames of n + 1 latents."""
    latents = latents.to(vae.dtype)
    doubled = type(vae).__name__ == "AutoencoderKLCogVideoX" and latents.shape[2] % 2 == 0
    if doubled:
        # It takes the first latent for one frame only where their number is odd.
        latents = torch.cat((latents[:, :, :1], latents), dim=2)
    timed = getattr(vae.config, "timestep_conditioning", False)  # LTX from 0.9.1 on: without noise, at its time
    decoded = vae.decode(latents, **{"temb": latents.new_zeros(len(latents))} if timed else {})
    pictures: Tensor = decoded if isinstance(decoded, Tensor) else decoded.sample
    values = (pictures[:, :, ratio_of(vae).frames if doubled else 0 :].float().transpose(1, 2) + 1) * 127.5
    return values.clamp(0, 255).round().to(torch.uint8)


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


class PretrainedAutoencoder(LatentTokenizer):
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
        if kind not in AUTOENCODERS:
            raise UserError(f"{kind}: no video autoencoder that is known here; known: {', '.join(AUTOENCODERS)}")
        vae = getattr(diffusers, kind).from_config(dict(settings or {}))
        frames, side = ratio_of(vae)
        super().__init__((frames, side, side), channels_of(vae))
        self.vae, self.unseen_frames = vae, frames - 1

    @staticmethod
    def adopt(folder: Path) -> "PretrainedAutoencoder":
        """The autoencoder of a local folder, without statistics yet. Raises UserError: as `load_pretrained`."""
        vae = load_pretrained(folder, AUTOENCODERS)
        settings = {k: v for k, v in vae.config.items() if not k.startswith("_")}
        tokenizer = PretrainedAutoencoder(type(vae).__name__, settings)
        tokenizer.vae.load_state_dict(vae.state_dict())
        return tokenizer.eval().requires_grad_(False)  # type: ignore[no-any-return]

    @torch.no_grad()
    def decode(self, tokens: Tokens) -> Frames:
        """The clips that these tokens stand for, the first chunk as so many copies of its frame."""
        latents = (tokens * self.latent_std + self.latent_mean).permute(0, 4, 1, 2, 3)
        frames = decode_latents(self.vae, latents)
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

    def _latents(self, frames: Frames) -> Tokens:
        """The latents in the order of tokens, not normalised."""
        self.grid_of(frames.shape[1], *frames.shape[3:])
        return encode_latents(self.vae, frames[:, self.unseen_frames :]).permute(0, 2, 3, 4, 1)
