"""How each video transformer of diffusers is called: a clean past, a noisy future, one noise level.

Each follows its own pipeline, and differs in how it marks what is clean:

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
from typing import Any, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vidworld.core.errors import UserError
from vidworld.models.tokenizers.video_vae import Latents, Ratio

Past = Float[Tensor, "clip latent past h w"]


class NoiseLevel(NamedTuple):
    """What a diffusion model is shown, x = clean * x0 + noise * n, and what it predicts, a mixture of x0 and n.

    So the noise n (epsilon), v (arXiv 2202.00512), the velocity of a flow (arXiv 2209.03003), the clean sample and the
    residual of EDM (arXiv 2206.00364, table 1) are five choices of four numbers, and one formula inverts them all.
    """

    timestep: float  # what the network is given
    clean: float
    noise: float  # the noisy sample is clean * x0 + noise * n
    target_clean: float
    target_noise: float  # the network predicts target_clean * x0 + target_noise * n
    scale: float = 1.0  # the noisy sample is multiplied by this before the network sees it

    def noisy(self, clean: Tensor, noise: Tensor) -> Tensor:
        return self.clean * clean + self.noise * noise

    def target(self, clean: Tensor, noise: Tensor) -> Tensor:
        """What the network should answer: its own parametrisation."""
        return self.target_clean * clean + self.target_noise * noise

    def solved(self, noisy: Tensor, answer: Tensor) -> tuple[Tensor, Tensor]:
        """The clean sample and the noise that an answer to a noisy sample means."""
        determinant = self.target_noise * self.clean - self.noise * self.target_clean
        clean = (self.target_noise * noisy - self.noise * answer) / determinant
        return clean, (self.clean * answer - self.target_clean * noisy) / determinant


class Levels:
    """The noise levels that a folder's scheduler knows, by their share from 0 (clean) to 1 (noise).

    A share is the flow's time; the share of the training steps where those are discrete; sigma over sigma and the
    data's deviation for EDM.
    """

    def __init__(self, scheduler: Any, unit_time: bool = False) -> None:
        """`unit_time`: a flow whose network takes times in [0, 1] and not in training steps (Cosmos 2)."""
        self.scheduler, self.config, self.unit_time = scheduler, scheduler.config, unit_time
        self.prediction = str(self.config.get("prediction_type", ""))
        name = type(scheduler).__name__
        if name == "EDMEulerScheduler":
            self.form = "edm"
        elif name.startswith("FlowMatch") or self.prediction == "flow_prediction":
            self.form = "flow"
        elif hasattr(scheduler, "alphas_cumprod") and self.prediction in ("epsilon", "v_prediction", "sample"):
            self.form = "steps"
        else:
            raise UserError(
                f"{name} with prediction_type {self.prediction or None}: how it adds noise is not known here; a flow "
                "match, an EDM or a DDIM-like scheduler (epsilon, v_prediction, sample) would be"
            )
        self.latent_scale = float(self.config.sigma_data) if self.form == "edm" else 1.0  # deviation of its latents

    def at(self, share: float) -> NoiseLevel:
        if self.form == "flow":
            time = share if self.unit_time else share * self.config.num_train_timesteps
            return NoiseLevel(time, 1 - share, share, -1.0, 1.0)
        if self.form == "edm":
            data, most = self.config.sigma_data, self.config.sigma_max
            sigma = min(data * share / (1 - share), most) if share < 1 else most
            total, sign = math.hypot(sigma, data), -1 if self.prediction == "v_prediction" else 1
            skip, out = data**2 / total**2, sign * (sigma * data / total)
            return NoiseLevel(0.25 * math.log(sigma), 1.0, sigma, (1 - skip) / out, -skip * sigma / out, 1 / total)
        step = max(0, round(share * self.config.num_train_timesteps) - 1)
        kept = float(self.scheduler.alphas_cumprod[step])
        clean, noise = math.sqrt(kept), math.sqrt(1 - kept)
        targets = {"epsilon": (0.0, 1.0), "v_prediction": (-noise, clean), "sample": (1.0, 0.0)}
        return NoiseLevel(float(step), clean, noise, *targets[self.prediction])

    def descending(self, steps: int) -> list[NoiseLevel]:
        """The levels of a sampler of so many steps, from noise on, with the scheduler's own shift towards noise."""
        shares = torch.linspace(1, 1 / steps, steps)
        if self.form == "flow":
            shift = float(self.config.get("flow_shift") or self.config.get("shift") or 1.0)
            if self.config.get("use_dynamic_shifting"):  # grows with the length, and the bench's clips are short
                shift = math.exp(self.config.get("base_shift", 0.5))
            shares = shift * shares / (1 + (shift - 1) * shares)
        return [self.at(float(share)) for share in shares]


def sampled(levels: list[NoiseLevel], noise: Tensor, ask: Any) -> Tensor:
    """The clean sample at the end of a deterministic sampler: DDIM without noise, which is Euler's method for a flow.

    `ask(noisy, level)` is the network's answer. Source: arXiv 2010.02502, eq. 12 with sigma 0.
    """
    # a discrete schedule's last step need not be pure noise: what it leaves of the clean sample is taken as zero
    noisy = levels[0].noise * noise
    for level, following in zip(levels, [*levels[1:], None], strict=True):
        clean, noise = level.solved(noisy, ask(noisy, level).float())
        noisy = clean if following is None else following.noisy(clean, noise)
    return noisy


@dataclass(frozen=True)
class Parts:
    """What a pipeline's folder holds, as far as calling its transformer needs it."""

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
        answer: Tensor = self.transformer(hidden_states=x, encoder_hidden_states=prompt, **inputs, return_dict=False)[0]
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
    fps: float
    future: Float[Tensor, "clip latent future h w"]  # noisy, not yet scaled
    level: NoiseLevel

    @property
    def replaced(self) -> Latents:
        """Past and future equally noisy, scaled as the network wants them."""
        past = self.level.noisy(self.past, self.past_noise)
        return torch.cat((past, self.future), dim=2) * self.level.scale

    def clean(self, past_scale: float = 1.0) -> Latents:
        return torch.cat((self.past * past_scale, self.future * self.level.scale), dim=2)

    def times(self, past: float) -> Tensor:
        """A time for each latent frame, (clip, t): the level's, but this for the past."""
        return torch.where(self.known()[:, 0, :, 0, 0] > 0, past, self.level.timestep)

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
    grid = (x.shape[2] // p, x.shape[3] // q, x.shape[4] // q)
    tokens = rearrange(x, "b c (t p) (h q) (w r) -> b (t h w) (c p q r)", p=p, q=q, r=q)
    times = question.times(0.0)[:, ::p].repeat_interleave(grid[1] * grid[2], dim=1)
    places = torch.stack(torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij")).flatten(1).float()
    places = places * torch.tensor([p * parts.ratio.frames, q * parts.ratio.side, q * parts.ratio.side])[:, None]
    if parts.pipeline.get("_class_name") == "LTXConditionPipeline":  # its first latent is one frame long
        places[0] = (places[0] + 1 - parts.ratio.frames).clamp_min(0)
    places[0] /= question.fps
    mask, places = parts.prompt_mask.expand(len(x), -1), places.to(x.device).expand(len(x), -1, -1)
    answer = parts.answer(tokens, timestep=times, encoder_attention_mask=mask, video_coords=places)
    return rearrange(answer, "b (t h w) (c p q r) -> b c (t p) (h q) (w r)", t=grid[0], h=grid[1], p=p, q=q, r=q)


def ask_wan(parts: Parts, question: Question) -> Tensor:
    """WanTransformer3DModel: text-to-video, image-to-video by channels, or times by token."""
    config, channels = parts.transformer.config, question.past.shape[1]
    second = parts.pipeline.get("transformer_2")  # a list of nulls stands for none
    if config.image_dim is not None or (isinstance(second, list) and any(second[:1])):
        raise UserError(
            f"{parts.folder}: a Wan model with an image encoder or with two transformers is not supported; "
            "Wan text-to-video, Wan 2.2 5B and image-to-video without an image encoder are"
        )
    times = question.time
    if parts.pipeline.get("expand_timesteps"):
        x = question.clean()
        cells = (x.shape[3] // config.patch_size[1]) * (x.shape[4] // config.patch_size[2])
        times = question.times(0.0).repeat_interleave(cells, dim=1)
    elif config.in_channels == channels:
        x = question.replaced
    elif config.in_channels == 2 * channels + parts.ratio.frames:
        known = question.known().expand(-1, parts.ratio.frames, -1, -1, -1)
        past = torch.cat((question.past, torch.zeros_like(question.future)), dim=2)
        x = torch.cat((question.replaced, known, past), dim=1)
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
        pipeline = SimpleNamespace(transformer=parts.transformer, vae_scale_factor_spatial=parts.ratio.side)
        size = (x.shape[3] * parts.ratio.side, x.shape[4] * parts.ratio.side)
        rotary = CogVideoXPipeline._prepare_rotary_positional_embeddings(pipeline, *size, x.shape[1], x.device)
    ofs = None if config.ofs_embed_dim is None else x.new_full((1,), 2.0)
    answer = parts.answer(x, timestep=question.time.long(), ofs=ofs, image_rotary_emb=rotary)
    return answer[:, padding:].transpose(1, 2)


def ask_cosmos(parts: Parts, question: Question) -> Tensor:
    """CosmosTransformer3DModel: Cosmos 1 (EDM), 2 and 2.5 (flow)."""
    config, channels = parts.transformer.config, question.past.shape[1]
    times = question.time
    if config.in_channels == channels:
        x = question.replaced
    elif config.in_channels == channels + 1:
        if parts.levels.form == "edm":
            # as it is at hardly any noise, where EDM divides by the data's deviation
            x = question.clean(1 / parts.levels.latent_scale)
        else:
            x = question.clean()
            # Cosmos 2 gives the past's frames a time of 1e-4, Cosmos 2.5 (the one with projected text) of 0.1
            past = 0.1 if config.use_crossattn_projection else 1e-4
            times = question.times(past)[:, None, :, None, None]
        x = torch.cat((x, question.known()), dim=1)
    else:
        raise parts.unknown()
    # The last channel, where there is one, is 1 in a border that only fills the picture up: there is none here.
    # Given as channels, the forward need not make it (which takes torchvision).
    missing = parts.transformer.patch_embed.proj.in_features // math.prod(config.patch_size) - x.shape[1]
    parts.transformer.register_to_config(concat_padding_mask=False)
    x = torch.cat((x, x.new_zeros(len(x), missing, *x.shape[2:])), dim=1)
    fps = None if config.use_crossattn_projection else question.fps
    return parts.answer(x, timestep=times, fps=fps)


@dataclass(frozen=True)
class TransformerKind:
    """What one kind of transformer needs beside its weights."""

    ask: Callable[[Parts, Question], Tensor]  # gives the network's answer about all latents, past and future
    words: int  # length of its prompts
    text_width: Callable[[Any], int]  # of its prompts' embeddings, from its config
    pads_with_zeros: bool = False  # whether the embeddings after the prompt's end are zeroed
    unit_time: bool = False  # whether its times are in [0, 1]


TRANSFORMERS: dict[str, TransformerKind] = {
    "LTXVideoTransformer3DModel": TransformerKind(ask_ltx, 128, lambda c: c.caption_channels),
    "WanTransformer3DModel": TransformerKind(ask_wan, 512, lambda c: c.text_dim, pads_with_zeros=True),
    "CogVideoXTransformer3DModel": TransformerKind(ask_cogvideox, 226, lambda c: c.text_embed_dim),
    "CosmosTransformer3DModel": TransformerKind(
        ask_cosmos,
        512,
        lambda c: c.crossattn_proj_in_channels if c.use_crossattn_projection else c.text_embed_dim,
        pads_with_zeros=True,
        unit_time=True,
    ),
}
"""By the class that transformer/config.json names."""
