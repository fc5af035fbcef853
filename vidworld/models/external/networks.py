"""Other people's networks: the video diffusion models of diffusers, and V-JEPA 2 of transformers."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
import torch.nn.functional as F
from einops import repeat
from jaxtyping import Float, UInt8
from torch import Tensor

from vidworld.core.clip import Clips, Frames
from vidworld.core.errors import UserError
from vidworld.core.records import read_json
from vidworld.models.external.transformers_of_video import TRANSFORMERS, Levels, Parts, Question, sampled
from vidworld.models.layers import watched
from vidworld.models.tokenizers import video_vae
from vidworld.models.tokenizers.video_vae import Latents, load_pretrained

SHARES = (0.3, 0.5, 0.7, 0.9)
"""Noise shares that surprise is the mean over; at the ends a target is trivial or cannot be predicted."""
STATES_SHARE = 0.1
"""Noise share at which states are read."""
USUAL_FPS = 24.0  # for clips of no known rate
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Source: ImageNet's statistics, as in V-JEPA 2's own video processor."""


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

    def __init__(self, folder: str | Path, device: torch.device, steps: int) -> None:
        """Raises UserError: the folder lacks a component, or one of an unknown kind."""
        folder, self.steps = Path(folder), steps
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; name that of a diffusers pipeline")
        lacking = [name for name in ("transformer", "vae", "scheduler") if not (folder / name).is_dir()]
        if lacking:
            raise UserError(f"{folder}: has no {' nor '.join(lacking)}/ in it; it is no folder of a video pipeline")
        # As these are used: the network in bf16 where it is fast, the autoencoder in full.
        kept = torch.float32 if device.type == "cpu" else torch.bfloat16
        transformer = load_pretrained(folder / "transformer", TRANSFORMERS, torch_dtype=kept).to(device)
        self.family, config = TRANSFORMERS[type(transformer).__name__], transformer.config
        self.vae = load_pretrained(folder / "vae", video_vae.AUTOENCODERS).to(device)
        levels = Levels(_scheduler(folder / "scheduler"), self.family.unit_time)
        index = folder / "model_index.json"
        pipeline = read_json(index) if index.exists() else {}
        words = getattr(config, "max_text_seq_length", self.family.words)
        prompt, mask = _empty_prompt(folder, words, self.family.text_width(config), self.family.pads_with_zeros)
        empty, ratio = (prompt.to(device, kept), mask.to(device)), video_vae.ratio_of(self.vae)
        self.parts = Parts(folder, transformer, pipeline, ratio, levels, *empty)
        mean, std = (each.to(device) for each in video_vae.scaling_of(self.vae))
        self._mean, self._std = mean, std / levels.latent_scale

    @torch.no_grad()
    def predict(self, context: Clips, num_frames: int, seeds: Sequence[int]) -> Frames:
        fitted = self._fitted(context.frames)
        past = self._encode(fitted)
        noise = self._noise(seeds, math.ceil(num_frames / self.parts.ratio.frames), past)
        known = past, self._noise([seed + 1 for seed in seeds], past.shape[2], past), _rate(context)
        levels = self.parts.levels.descending(self.steps)
        future = sampled(levels, noise, lambda noisy, level: self._answer(Question(*known, noisy, level)))
        frames = self._decode(torch.cat((past, future), dim=2))
        return frames[:, fitted.shape[1] :][:, :num_frames]

    @torch.no_grad()
    def surprise(self, clips: Clips, context_frames: int, seeds: Sequence[int]) -> Float[Tensor, "clip future"]:
        """The squared error of each frame's latent, the mean over a few levels."""
        fitted, future = self._fitted(clips.frames[:, :context_frames]), clips.frames[:, context_frames:]
        ratio, num_frames = self.parts.ratio.frames, future.shape[1]
        future = torch.cat((future, future[:, -1:].expand(-1, -num_frames % ratio, -1, -1, -1)), dim=1)
        levels = [self.parts.levels.at(share) for share in SHARES]
        past, errors = self._encode(fitted), []
        draws = self._noise(seeds, future.shape[1] // ratio, past)
        past_draws = self._noise([seed + 1 for seed in seeds], past.shape[2] + future.shape[1] // ratio, past)
        for number, noise in enumerate(draws.split(1, dim=2), start=1):
            upto = self._encode(torch.cat((fitted, future[:, : number * ratio]), dim=1))
            clean, known = upto[:, :, -1:], (past, past_draws[:, :, : past.shape[2]], _rate(clips))
            answers = (self._answer(Question(*known, level.noisy(clean, noise), level)) for level in levels)
            wrong = [answer - level.target(clean, noise) for answer, level in zip(answers, levels, strict=True)]
            errors.append(torch.stack([each.square().mean(dim=(1, 2, 3, 4)) for each in wrong]).mean(dim=0))
            past = upto
        return repeat(torch.stack(errors, dim=1), "b t -> b (t r)", r=ratio)[:, :num_frames].cpu()

    @torch.no_grad()
    def hidden_states(self, clips: Clips, chunk_frames: int) -> Float[Tensor, "clip chunk layer row column channel"]:
        """After each block, of the last latent of each chunk, as it is denoised from little noise, after those before.

        It is shown the frames up to there alone; the noise is the same for all clips. Source of states at little noise:
        DIFT (arXiv 2306.03881). Raises UserError: a first chunk is a single latent, which has none before it.
        """
        transformer, level, states = self.parts.transformer, self.parts.levels.at(STATES_SHARE), []
        blocks = transformer.transformer_blocks if hasattr(transformer, "transformer_blocks") else transformer.blocks
        for stop in range(chunk_frames, clips.frames.shape[1] + 1, chunk_frames):
            seen = self._encode(self._fitted(clips.frames[:, :stop]))
            if seen.shape[2] < 2:
                raise UserError(
                    f"{self.parts.folder}: chunks of {chunk_frames} frames are one latent; longer ones would do"
                )
            past, last = seen[:, :, :-1], seen[:, :, -1:]
            noise, past_noise = self._noise([0] * len(last), 1, last), self._noise([1] * len(last), past.shape[2], past)
            with watched(blocks) as found:
                self._answer(Question(past, past_noise, _rate(clips), level.noisy(last, noise), level))
            h, w = (size // side for size, side in zip(seen.shape[3:], self._patch()[1:], strict=True))
            states.append(torch.stack([each.float().unflatten(1, (-1, h, w))[:, -1] for each in found], dim=1))
        return torch.stack(states, dim=1)

    def _patch(self) -> tuple[int, int, int]:
        """Latents in time, rows and columns of a token."""
        config = self.parts.transformer.config
        if isinstance(config.patch_size, int):
            return getattr(config, "patch_size_t", None) or 1, config.patch_size, config.patch_size
        frames, rows, columns = config.patch_size
        return frames, rows, columns

    def _answer(self, question: Question) -> Latents:
        """The network's answer about the future."""
        return self.family.ask(self.parts, question)[:, :, question.past.shape[2] :].float()

    def _fitted(self, frames: Frames) -> UInt8[Tensor, "clip fitted channel height width"]:
        """The frames from the start of a clip, as 1 + n * r of them."""
        ratio, patch = self.parts.ratio, self.parts.transformer.config.patch_size
        side = ratio.side * (patch if isinstance(patch, int) else patch[1])  # of a patch of (time, rows, columns)
        for name, pixels in zip(("height", "width"), frames.shape[-2:], strict=True):
            if pixels % side:
                raise UserError(f"{self.parts.folder}: pictures of {name} {pixels} px do not divide into its {side} px")
        surplus = (frames.shape[1] - 1) % ratio.frames
        if surplus <= ratio.frames // 2:
            return frames[:, surplus:]
        return torch.cat((frames[:, :1].expand(-1, ratio.frames - surplus, -1, -1, -1), frames), dim=1)

    def _encode(self, frames: Frames) -> Latents:
        latents = video_vae.encode_latents(self.vae, frames)
        count = latents.shape[2]
        return (latents - self._mean[:, :, :count]) / self._std[:, :, :count]

    def _decode(self, latents: Latents) -> Frames:
        count = latents.shape[2]
        latents = latents * self._std[:, :, :count] + self._mean[:, :, :count]
        return video_vae.decode_latents(self.vae, latents).cpu()

    def _noise(self, seeds: Sequence[int], count: int, like: Latents) -> Float[Tensor, "clip latent count h w"]:
        """Noise for `count` latent frames, each clip's from its own seed, drawn frame after frame on the CPU."""
        shape = (count, like.shape[1], *like.shape[3:])
        draws = {s: torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in set(seeds)}
        return torch.stack([draws[seed] for seed in seeds]).transpose(1, 2).to(like)


def _rate(clips: Clips) -> float:
    return clips.fps if clips.fps > 0 else USUAL_FPS


def _scheduler(folder: Path) -> Any:
    path = folder / "scheduler_config.json"
    if not path.exists():
        raise UserError(f"{folder}: holds no scheduler_config.json")
    name = read_json(path).get("_class_name")
    if (kind := getattr(diffusers, str(name), None)) is None:
        raise UserError(f"{folder}: names the scheduler {name}, which diffusers has not")
    return kind.from_pretrained(str(folder), local_files_only=True)


def _empty_prompt(folder: Path, words: int, width: int, pads_with_zeros: bool) -> tuple[Tensor, Tensor]:
    """Embeddings of "" by the folder's text encoder, or zeros where there is none, and which of them are words.

    Zeros are what a model sees whose training dropped the prompt to zeros, and are far from what others saw.
    """
    if not (folder / "text_encoder").is_dir() or not (folder / "tokenizer").is_dir():
        return torch.zeros(1, words, width), (torch.arange(words) == 0).float()[None]
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


class VJepa2:
    """Windows whose first half is seen and whose second half is predicted, one tubelet further each.

    Source: surprise on IntPhys (arXiv 2502.11831): the mean of |predicted - layer-normed target| over a window's second
    half. The target is the encoding of the whole window. The prediction comes from the encoding of the first half
    *alone*: `VJEPA2Model.forward` would encode the whole window before its context mask, and attention would carry the
    future into the context.

    The whole picture is scaled to the size that the model was trained at (its own processor would crop the border).
    Transformers has no action-conditioned variant, so actions are not used.
    """

    def __init__(self, folder: str | Path, device: torch.device, steps: int = 0) -> None:
        """Raises UserError: the folder holds no V-JEPA 2, or not all of its weights. Steps are a sampler's."""
        from transformers import VJEPA2Model

        self.folder, self.device = Path(folder), device
        self.network = load_pretrained(self.folder, ("vjepa2",), VJEPA2Model, "model_type").to(device)
        self.cells = (self.network.config.crop_size // self.network.config.patch_size) ** 2  # of a tubelet

    @torch.no_grad()
    def surprise(self, clips: Clips, context_frames: int, seeds: Sequence[int]) -> Float[Tensor, "clip future"]:
        """The mean over the windows that predict a frame. Raises UserError: a length that the model cannot take."""
        config, total = self.network.config, clips.frames.shape[1]
        tubelet = config.tubelet_size
        window = min(2 * context_frames, total)
        for name, frames in (("context_frames", context_frames), ("num_frames", total)):
            if frames % tubelet:
                raise UserError(f"{self.folder}: {name} {frames} is no multiple of its tubelets of {tubelet}")
        if window > config.frames_per_clip:
            raise UserError(
                f"{self.folder}: was trained on clips of {config.frames_per_clip} frames, and context_frames "
                f"{context_frames} makes windows of {window}"
            )
        pictures = self._pictures(clips.frames)
        summed, count = torch.zeros(len(clips), total), torch.zeros(total)
        for start in range(context_frames, total, tubelet):
            stop = min(start + context_frames, total)
            seen = pictures[:, start - context_frames : stop]
            predicted = self.predicted(seen[:, :context_frames], stop - start)
            target = self.network.encoder(seen).last_hidden_state.float()[:, -predicted.shape[1] :]
            error = (predicted - F.layer_norm(target, target.shape[-1:])).abs().mean(dim=-1)
            of_tubelets = error.unflatten(1, (-1, self.cells)).mean(dim=-1)
            summed[:, start:stop] += of_tubelets.cpu().repeat_interleave(tubelet, dim=1)
            count[start:stop] += 1
        return (summed / count)[:, context_frames:]

    def predicted(self, pictures: Tensor, num_frames: int) -> Float[Tensor, "clip token embedding"]:
        """The embeddings of the `num_frames` frames after these pictures (clip, time, 3, height, width)."""
        encoded = self.network.encoder(pictures).last_hidden_state
        seen = encoded.shape[1]
        tokens = seen + num_frames // self.network.config.tubelet_size * self.cells
        places = torch.arange(tokens, device=pictures.device).expand(len(pictures), -1)
        predicted: Tensor = self.network.predictor(
            encoder_hidden_states=encoded, context_mask=[places[:, :seen]], target_mask=[places[:, seen:]]
        ).last_hidden_state
        return predicted.float()

    @torch.no_grad()
    def hidden_states(self, clips: Clips, chunk_frames: int) -> Float[Tensor, "clip chunk layer row column channel"]:
        """After each layer of the encoder, of the last tubelet of each chunk; it sees the frames up to there alone.

        Raises UserError: a chunk is no whole tubelets, or a clip is longer than those that it was trained on.
        """
        config, total, states = self.network.config, clips.frames.shape[1], []
        if chunk_frames % config.tubelet_size or total > config.frames_per_clip:
            raise UserError(
                f"{self.folder}: its tubelets are of {config.tubelet_size} frames and its clips of up to "
                f"{config.frames_per_clip}; chunks of {chunk_frames} and clips of {total} frames do not fit"
            )
        pictures, side = self._pictures(clips.frames), config.crop_size // config.patch_size
        for stop in range(chunk_frames, total + 1, chunk_frames):
            with watched(self.network.encoder.layer) as found:
                self.network.encoder(pictures[:, :stop])
            last = torch.stack(found, dim=1)[:, :, -self.cells :]
            states.append(last.float().unflatten(2, (side, side)))
        return torch.stack(states, dim=1)

    def _pictures(self, frames: Frames) -> Float[Tensor, "clip time 3 side side"]:
        side = self.network.config.crop_size
        flat = frames.flatten(0, 1).to(self.device).float() / 255
        if flat.shape[-2:] != (side, side):
            flat = F.interpolate(flat, (side, side), mode="bilinear", antialias=True, align_corners=False)
        mean, std = (torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in (MEAN, STD))
        return ((flat - mean) / std).view(*frames.shape[:2], *flat.shape[1:])
