"""Video diffusion models of diffusers: rollouts given clean latents, surprise as their own denoising error."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from einops import repeat
from jaxtyping import Float, UInt8
from torch import Tensor

from vidworld.core.clip import Clips
from vidworld.core.errors import UserError
from vidworld.core.records import read_json
from vidworld.core.shapes import Frames
from vidworld.models.external.levels import Levels, NoiseLevel, sampled
from vidworld.models.external.transformers_of_video import TRANSFORMERS, Future, Parts, Past, Question, TransformerKind
from vidworld.models.tokenizers.video_vae import (
    Latents,
    as_frames,
    as_pictures,
    check_pretrained,
    decode_latents,
    encode_latents,
    from_folder,
    load_vae,
    ratio_of,
    scaling_of,
)

SHARES = (0.3, 0.5, 0.7, 0.9)
"""Noise shares that surprise is the mean over; at the ends a target is trivial or cannot be predicted."""
USUAL_FPS = 24.0  # for clips of no known rate


class DiffusersVideo:
    """A pipeline's transformer, autoencoder and scheduler, with the empty prompt and without guidance.

    Frames. These models take 1 + n * r frames. Of a context of another length the oldest frames are left out, or the
    oldest is repeated, whichever changes fewer frames. The future is encoded after the context, its last latent filled
    up with copies of the last frame.

    Rollout. The future's latents are sampled together, from noise, by a deterministic sampler (DDIM, which is Euler's
    method for a flow), each step given the past as the model can take it (transformers_of_video).

    Surprise. Latent after latent: each is noised to a few levels and denoised given the true latents before it; its
    surprise is the squared error in the model's own parametrisation (noise, v, flow, EDM's residual). What comes later
    is not in the sequence, and every latent is encoded from the frames up to its own end, so that neither the
    transformer's attention nor the autoencoder can look ahead. It counts for every frame of the latent.
    """

    def __init__(self, folder: Path, device: torch.device, steps: int) -> None:
        """Raises UserError: the folder lacks a component, or one of an unknown kind."""
        self.folder, self.device, self.steps = folder, device, steps
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; name that of a diffusers pipeline")
        lacking = [name for name in ("transformer", "vae", "scheduler") if not (folder / name).is_dir()]
        if lacking:
            raise UserError(f"{folder}: has no {' nor '.join(lacking)}/ in it; it is no folder of a video pipeline")
        # As these are used: the network in bf16 where it is fast, the autoencoder in full.
        kept = torch.float32 if device.type == "cpu" else torch.bfloat16
        kind = check_pretrained(folder / "transformer", tuple(TRANSFORMERS))
        self.family: TransformerKind = TRANSFORMERS[kind]
        loaded: Any = from_folder(getattr(diffusers, kind), folder / "transformer", torch_dtype=kept)
        transformer = loaded.to(device)
        self.vae: Any = load_vae(folder / "vae").to(device)
        levels = Levels(_scheduler(folder / "scheduler"), unit_time=self.family.unit_time(transformer.config))
        index = folder / "model_index.json"
        pipeline = read_json(index) if index.exists() else {}
        words = getattr(transformer.config, "max_text_seq_length", self.family.words)
        width = self.family.text_width(transformer.config)
        prompt, mask = _empty_prompt(folder, words, width, self.family.pads_with_zeros)
        empty = (prompt.to(device, kept), mask.to(device))
        self.parts = Parts(folder, transformer, pipeline, ratio_of(self.vae), levels, *empty)
        mean, std = (each.to(device) for each in scaling_of(self.vae))
        self._mean, self._std = mean, std / levels.latent_scale

    @torch.no_grad()
    def predict(self, context: Clips, num_frames: int, seeds: Sequence[int]) -> Frames:
        fitted = self._fitted(context.frames)
        past = self._encode(fitted)
        count = math.ceil(num_frames / self.parts.ratio.frames)
        noise = self._noise(seeds, count, past)
        past_noise = self._noise([seed + 1 for seed in seeds], past.shape[2], past)

        def ask(noisy: Future, level: NoiseLevel) -> Tensor:
            question = Question(past, past_noise, noisy, level, _rate(context.fps))
            return self.family.ask(self.parts, question)[:, :, past.shape[2] :]

        future = sampled(self.parts.levels.descending(self.steps), noise, ask)
        frames = self._decode(torch.cat((past, future), dim=2))
        return frames[:, fitted.shape[1] :][:, :num_frames]

    @torch.no_grad()
    def surprise(self, clips: Clips, context_frames: int, seeds: Sequence[int]) -> Float[Tensor, "clip future"]:
        """The squared error of each frame's latent, the mean over a few levels."""
        fitted = self._fitted(clips.frames[:, :context_frames])
        future = clips.frames[:, context_frames:]
        ratio, num_frames = self.parts.ratio.frames, future.shape[1]
        missing = -num_frames % ratio
        future = torch.cat((future, future[:, -1:].expand(-1, missing, -1, -1, -1)), dim=1)
        levels = [self.parts.levels.at(share) for share in SHARES]
        past, errors = self._encode(fitted), []
        draws = self._noise(seeds, future.shape[1] // ratio, past)
        past_draws = self._noise([seed + 1 for seed in seeds], past.shape[2] + future.shape[1] // ratio, past)
        for number, noise in enumerate(draws.split(1, dim=2), start=1):
            upto = self._encode(torch.cat((fitted, future[:, : number * ratio]), dim=1))
            clean, past_noise = upto[:, :, -1:], past_draws[:, :, : past.shape[2]]
            of_level = []
            for level in levels:
                question = Question(past, past_noise, level.noisy(clean, noise), level, _rate(clips.fps))
                answer = self.family.ask(self.parts, question)[:, :, past.shape[2] :].float()
                of_level.append((answer - level.target(clean, noise)).square().mean(dim=(1, 2, 3, 4)))
            errors.append(torch.stack(of_level).mean(dim=0))
            past = upto
        return repeat(torch.stack(errors, dim=1), "b t -> b (t r)", r=ratio)[:, :num_frames].cpu()

    def _fitted(self, frames: Frames) -> UInt8[Tensor, "clip fitted channel height width"]:
        """The frames from the start of a clip, as 1 + n * r of them."""
        ratio, (_, patch) = self.parts.ratio, self.family.patch(self.parts.transformer.config)
        sides = (ratio.rows * patch, ratio.columns * patch)
        for name, pixels, side in zip(("height", "width"), frames.shape[-2:], sides, strict=True):
            if pixels % side:
                raise UserError(f"{self.folder}: pictures of {name} {pixels} px do not divide into its {side} px")
        surplus = (frames.shape[1] - 1) % ratio.frames
        if surplus <= ratio.frames // 2:
            return frames[:, surplus:]
        return torch.cat((frames[:, :1].expand(-1, ratio.frames - surplus, -1, -1, -1), frames), dim=1)

    def _encode(self, frames: Frames) -> Latents:
        latents = encode_latents(self.vae, as_pictures(frames.to(self.device)))
        count = latents.shape[2]
        return (latents - self._mean[:, :, :count]) / self._std[:, :, :count]

    def _decode(self, latents: Latents) -> Frames:
        count = latents.shape[2]
        latents = latents * self._std[:, :, :count] + self._mean[:, :, :count]
        return as_frames(decode_latents(self.vae, latents)).cpu()

    def _noise(self, seeds: Sequence[int], count: int, like: Past) -> Future:
        """Noise for `count` latent frames, each clip's from its own seed, drawn frame after frame on the CPU."""
        shape = (count, like.shape[1], *like.shape[3:])
        draws = {s: torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in set(seeds)}
        return torch.stack([draws[seed] for seed in seeds]).transpose(1, 2).to(like)


def _rate(fps: float) -> float:
    return fps if fps > 0 else USUAL_FPS


def _scheduler(folder: Path) -> Any:
    path = folder / "scheduler_config.json"
    if not path.exists():
        raise UserError(f"{folder}: holds no scheduler_config.json")
    name = read_json(path).get("_class_name")
    kind = getattr(diffusers, str(name), None)
    if kind is None:
        raise UserError(f"{folder}: names the scheduler {name}, which diffusers has not")
    return kind.from_pretrained(str(folder), local_files_only=True)


def _empty_prompt(folder: Path, words: int, width: int, pads_with_zeros: bool) -> tuple[Tensor, Tensor]:
    """Embeddings of "" by the folder's text encoder, or zeros where there is none, and which of them are words.

    Zeros are what a model sees whose training dropped the prompt to zeros, and are far from what others saw.
    """
    mask = torch.zeros(1, words)
    mask[:, 0] = 1
    if not (folder / "text_encoder").is_dir() or not (folder / "tokenizer").is_dir():
        return torch.zeros(1, words, width), mask
    from transformers import AutoModelForTextEncoding, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
        encoder = AutoModelForTextEncoding.from_pretrained(str(folder / "text_encoder"), local_files_only=True)
        tokens = tokenizer("", padding="max_length", max_length=words, truncation=True, return_tensors="pt")
        with torch.no_grad():
            hidden = encoder.eval()(tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{folder}/text_encoder: cannot be used for the empty prompt ({reason})") from error
    if hidden.shape[-1] != width:
        raise UserError(
            f"{folder}/text_encoder: gives {hidden.shape[-1]} numbers a word; the transformer wants {width}"
        )
    mask = tokens.attention_mask.float()
    return (hidden * mask[..., None] if pads_with_zeros else hidden), mask


def load_diffusers(path: str, device: torch.device, steps: int) -> DiffusersVideo:
    return DiffusersVideo(Path(path), device, steps)
