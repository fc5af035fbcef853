"""How each video transformer of diffusers is called: a clean past, a noisy future, one noise level.

Each follows its own pipeline, and differs in how it is told what is clean:

LTX           times by token, 0 for the past (LTXConditionPipeline)
Wan           times by token where the pipeline has `expand_timesteps` (2.2 5B); a mask and the past's latents as
              further channels where it has them (image-to-video); else replacement
CogVideoX     the first latent as further channels where it has them (image-to-video), and replacement
Cosmos        a mask as a further channel where it has one (video-to-world), with times by frame from Cosmos 2 on; else
              replacement

Replacement: the past stands in the sequence with as much noise as the future (arXiv 2204.03458, section 3.1). A model
that was trained on text alone can be given a past in no other way without training it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vidworld.core.errors import UserError
from vidworld.models.external.levels import Levels, NoiseLevel
from vidworld.models.tokenizers.video_vae import Latents, Ratio

Past = Float[Tensor, "clip latent past h w"]
Future = Float[Tensor, "clip latent future h w"]


@dataclass(frozen=True)
class Parts:
    """What a pipeline's folder holds, as far as asking its transformer needs it."""

    folder: Path
    transformer: Any
    pipeline: dict[str, Any]  # the content of model_index.json; empty where there is none
    ratio: Ratio  # of the autoencoder
    levels: Levels
    prompt: Tensor  # embeddings of the empty prompt, (1, word, width)
    prompt_mask: Tensor  # which of them are words, (1, word)

    def answer(self, x: Tensor, **inputs: Any) -> Tensor:
        """The transformer's answer to what it is shown, beside the empty prompt."""
        prompt, x = self.prompt.expand(len(x), -1, -1), x.to(self.transformer.dtype)
        answer: Tensor
        (answer,) = self.transformer(hidden_states=x, encoder_hidden_states=prompt, **inputs, return_dict=False)
        return answer

    def unknown(self) -> UserError:
        """The error of a transformer whose input channels fit none of the ways to give it a past."""
        kind, channels = type(self.transformer).__name__, self.transformer.config.in_channels
        return UserError(f"{self.folder}: a {kind} of {channels} input channels is not known here")


@dataclass(frozen=True)
class Question:
    """Latents (clip, latent, t, h, w) of a clean past and a noisy future."""

    past: Past
    past_noise: Past  # what the past is mixed with where it has to be as noisy as the future
    future: Future  # noisy, not yet scaled
    level: NoiseLevel
    fps: float

    @property
    def replaced(self) -> Latents:
        """Past and future equally noisy, scaled as the network wants them."""
        past = self.level.noisy(self.past, self.past_noise)
        return torch.cat((past, self.future), dim=2) * self.level.scale

    def clean(self, past_scale: float = 1.0) -> Latents:
        return torch.cat((self.past * past_scale, self.future * self.level.scale), dim=2)

    def times(self, past: float, future: float) -> Tensor:
        """A time for each latent frame, (clip, t)."""
        b, t, k = len(self.past), self.past.shape[2] + self.future.shape[2], self.past.shape[2]
        times = self.future.new_full((b, t), future)
        times[:, :k] = past
        return times

    @property
    def time(self) -> Tensor:
        """One time for each clip."""
        return self.future.new_full((len(self.past),), self.level.timestep)

    def known(self) -> Tensor:
        """1 for the past and 0 for the future, (clip, 1, t, h, w)."""
        return torch.cat((torch.ones_like(self.past[:, :1]), torch.zeros_like(self.future[:, :1])), dim=2)


def ask_ltx(parts: Parts, question: Question) -> Tensor:
    """LTXVideoTransformer3DModel: tokens of packed patches, with places in seconds and pixels."""
    config, x = parts.transformer.config, question.clean()
    p, q = config.patch_size_t, config.patch_size
    _, _, t, h, w = x.shape
    grid = (t // p, h // q, w // q)
    tokens = rearrange(x, "b c (t p) (h q) (w r) -> b (t h w) (c p q r)", p=p, q=q, r=q)
    times = question.times(0.0, question.level.timestep)[:, ::p].repeat_interleave(grid[1] * grid[2], dim=1)
    places = torch.stack(torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij")).flatten(1).float()
    places = places * torch.tensor([p * parts.ratio.frames, q * parts.ratio.rows, q * parts.ratio.columns])[:, None]
    if parts.pipeline.get("_class_name") == "LTXConditionPipeline":  # its first latent is one frame long
        places[0] = (places[0] + 1 - parts.ratio.frames).clamp_min(0)
    places[0] /= question.fps
    mask, places = parts.prompt_mask.expand(len(x), -1), places.to(x.device).expand(len(x), -1, -1)
    answer = parts.answer(tokens, timestep=times, encoder_attention_mask=mask, video_coords=places)
    sides = dict(zip("thw", grid, strict=True)) | {"p": p, "q": q, "r": q}
    latents: Tensor = rearrange(answer, "b (t h w) (c p q r) -> b c (t p) (h q) (w r)", **sides)
    return latents


def ask_wan(parts: Parts, question: Question) -> Tensor:
    """WanTransformer3DModel: text-to-video, image-to-video by channels, or times by token."""
    config = parts.transformer.config
    channels = question.past.shape[1]
    if config.image_dim is not None or "transformer_2" in _named(parts.pipeline):
        raise UserError(
            f"{parts.folder}: a Wan model with an image encoder or with two transformers is not supported; "
            "Wan text-to-video, Wan 2.2 5B and image-to-video without an image encoder are"
        )
    times = question.time
    if parts.pipeline.get("expand_timesteps"):
        x = question.clean()
        cells = (x.shape[3] // config.patch_size[1]) * (x.shape[4] // config.patch_size[2])
        times = question.times(0.0, question.level.timestep).repeat_interleave(cells, dim=1)
    elif config.in_channels == channels:
        x = question.replaced
    elif config.in_channels == 2 * channels + parts.ratio.frames:
        known = question.known()
        past = torch.cat((question.past, torch.zeros_like(question.future)), dim=2)
        x = torch.cat((question.replaced, known.expand(-1, parts.ratio.frames, -1, -1, -1), past), dim=1)
    else:
        raise parts.unknown()
    return parts.answer(x, timestep=times)


def ask_cogvideox(parts: Parts, question: Question) -> Tensor:
    """CogVideoXTransformer3DModel: time before channels; version 1.5 takes pairs of latents."""
    from diffusers import CogVideoXPipeline

    config, x = parts.transformer.config, question.replaced
    if config.in_channels == 2 * x.shape[1]:
        first = torch.cat((question.past[:, :, :1], torch.zeros_like(x[:, :, 1:])), dim=2)
        x = torch.cat((x, first), dim=1)
    elif config.in_channels != x.shape[1]:
        raise parts.unknown()
    x = x.transpose(1, 2)
    padding = -x.shape[1] % (config.patch_size_t or 1)
    x = torch.cat((x[:, :1].expand(-1, padding, -1, -1, -1), x), dim=1)
    rotary = None
    if config.use_rotary_positional_embeddings:
        pipeline = SimpleNamespace(transformer=parts.transformer, vae_scale_factor_spatial=parts.ratio.rows)
        size = (x.shape[3] * parts.ratio.rows, x.shape[4] * parts.ratio.columns)
        rotary = CogVideoXPipeline._prepare_rotary_positional_embeddings(pipeline, *size, x.shape[1], x.device)
    ofs = None if config.ofs_embed_dim is None else x.new_full((1,), 2.0)
    answer = parts.answer(x, timestep=question.time.long(), ofs=ofs, image_rotary_emb=rotary)
    return answer[:, padding:].transpose(1, 2)


def ask_cosmos(parts: Parts, question: Question) -> Tensor:
    """CosmosTransformer3DModel: Cosmos 1 (EDM), 2 and 2.5 (flow)."""
    config, channels = parts.transformer.config, question.past.shape[1]
    b, _, t, _, _ = question.known().shape
    times = question.time
    if config.in_channels == channels:
        x = question.replaced
    elif config.in_channels == channels + 1:
        if parts.levels.form == "edm":
            # as it is at hardly any noise, where EDM divides by the data's deviation
            x = question.clean(1 / parts.levels.latent_scale)
        else:
            x = question.clean()
            # Cosmos 2 tells the past's frames a time of 1e-4, Cosmos 2.5 (the one with projected text) of 0.1
            past = 0.1 if config.use_crossattn_projection else 1e-4
            times = question.times(past, question.level.timestep).view(b, 1, t, 1, 1)
        x = torch.cat((x, question.known()), dim=1)
    else:
        raise parts.unknown()
    # The last channel, where there is one, is 1 in a border that only fills the picture up: there is none here.
    # Given as channels, the forward need not make it (which takes torchvision).
    missing = parts.transformer.patch_embed.proj.in_features // math.prod(config.patch_size) - x.shape[1]
    parts.transformer.register_to_config(concat_padding_mask=False)
    x = torch.cat((x, x.new_zeros(b, missing, *x.shape[2:])), dim=1)
    fps = None if config.use_crossattn_projection else question.fps
    return parts.answer(x, timestep=times, fps=fps)


@dataclass(frozen=True)
class TransformerKind:
    """What one kind of transformer needs beside its weights."""

    ask: Callable[[Parts, Question], Tensor]  # gives the network's answer about all latents, past and future
    words: int  # length of its prompts
    text_width: Callable[[Any], int]  # of its prompts' embeddings, from its config
    pads_with_zeros: bool  # whether the embeddings after the prompt's end are zeroed
    patch: Callable[[Any], tuple[int, int]]  # latent frames and rows (columns) of a patch, from its config
    unit_time: Callable[[Any], bool] = lambda config: False  # whether it is told times in [0, 1]


TRANSFORMERS: dict[str, TransformerKind] = {
    "LTXVideoTransformer3DModel": TransformerKind(
        ask_ltx, 128, lambda c: c.caption_channels, False, lambda c: (c.patch_size_t, c.patch_size)
    ),
    "WanTransformer3DModel": TransformerKind(
        ask_wan, 512, lambda c: c.text_dim, True, lambda c: (c.patch_size[0], c.patch_size[1])
    ),
    "CogVideoXTransformer3DModel": TransformerKind(
        ask_cogvideox, 226, lambda c: c.text_embed_dim, False, lambda c: (1, c.patch_size)
    ),
    "CosmosTransformer3DModel": TransformerKind(
        ask_cosmos,
        512,
        lambda c: c.crossattn_proj_in_channels if c.use_crossattn_projection else c.text_embed_dim,
        True,
        lambda c: (c.patch_size[0], c.patch_size[1]),
        lambda c: True,
    ),
}
"""By the class that transformer/config.json names."""


def _named(pipeline: dict[str, Any]) -> list[str]:
    """The components that a model_index.json really has (a list of nulls stands for none)."""
    return [name for name, value in pipeline.items() if isinstance(value, list) and any(value[:1])]
