"""The spacetime-patch autoencoder: frames to a grid of few-channel tokens, each chunk on its own."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from jaxtyping import Float
from torch import Tensor, nn

from vidworld.core.clip import Frames, Tokens
from vidworld.models.layers import Block, initialise, norm
from vidworld.models.tokenizers import LatentTokenizer, patchify, unpatchify

SPREAD = 2.0  # where the last codes lie
MARGIN = 1e-3  # how far the bound lies outside the last levels, so that these can be reached (as in the paper's code)
UnitPatches = Float[Tensor, "clip t h w values"]  # about [-1, 1]


def quantised(latents: Tensor, levels: int) -> Tensor:
    """The code of each latent on a few levels: finite scalar quantisation, with no codebook to learn.

    Source: Mentzer et al., arXiv 2309.15505, section 3. A latent is bounded by tanh and rounded, and the rounding is
    passed over by the gradient. Codes are evenly spaced; with an even number of levels one more lies below zero than
    above, as there. They lie in [-2, 2] and not in [-1, 1], so that a latent of unit deviation stays about as large.
    """
    half = (levels - 1) * (1 + MARGIN) / 2
    offset = 0.5 if levels % 2 == 0 else 0.0
    bounded = (latents / SPREAD + math.atanh(offset / half)).tanh() * half - offset
    code = bounded + (bounded.round() - bounded).detach()
    return code / (levels // 2) * SPREAD


def nearest_code(latents: Tensor, levels: int) -> Tensor:
    """The code nearest to each latent: for latents that a model predicted."""
    half = levels // 2
    return torch.round(latents / SPREAD * half).clamp(-half, half - 1 + levels % 2) / half * SPREAD


class TokenizerLoss(NamedTuple):
    total: Tensor
    reconstruction: Tensor
    kl: Tensor


class Autoencoder(LatentTokenizer):
    """A variational autoencoder over spacetime patches (Source: the latents of Sora and of Stable Diffusion).

    A chunk is encoded and decoded without its neighbours, so a token knows nothing of the future, nor of the past.
    With `levels` its latents are quantised (finite scalar quantisation), and it is no longer variational.
    """

    _repeated_blocks = ["Block"]  # noqa: RUF012  (diffusers reads it; its own classes have it so)

    @register_to_config
    def __init__(
        self,
        patch_size: Sequence[int] = (4, 8, 8),
        channels: int = 32,
        width: int = 192,
        depth: int = 2,
        heads: int = 3,
        grid: Sequence[int] = (8, 8),
        picture_channels: int = 3,
        attention_backend: str = "native",
        levels: int | None = None,
    ) -> None:
        frames, rows, columns = patch_size  # a list where they come from a file
        super().__init__((frames, rows, columns), channels)
        self.levels = levels
        values = frames * rows * columns * picture_channels

        def blocks() -> nn.ModuleList:
            return nn.ModuleList(Block(width, heads, attention_backend) for _ in range(depth))

        self.encoder_place = nn.Parameter(torch.zeros(*grid, width))
        self.decoder_place = nn.Parameter(torch.zeros(*grid, width))
        self.embed = nn.Linear(values, width)
        self.encoder = blocks()
        self.to_latent = nn.Linear(width, 2 * channels)
        self.from_latent = nn.Linear(channels, width)
        self.decoder = blocks()
        self.to_patch = nn.Linear(width, values)
        self.analysis = nn.Linear(values, channels)
        self.synthesis = nn.Linear(channels, values)
        nn.ModuleList((self.analysis, self.synthesis)).requires_grad_(False)
        initialise(self, 2 * depth)
        nn.init.zeros_(self.to_latent.weight)
        nn.init.zeros_(self.to_patch.weight)

    def forward(self, frames: Frames, noise: Tokens, kl_weight: float) -> TokenizerLoss:
        """Squared error of a reconstruction, sampled by unit normal `noise`, values in [0, 1], and KL from N(0, 1)."""
        patches = self._patches(frames)
        mean, log_variance = (x.float() for x in self.posterior(patches))
        log_variance = log_variance.clamp(-12, 4)
        latents = mean + noise * (log_variance / 2).exp() if self.levels is None else quantised(mean, self.levels)
        reconstruction = F.mse_loss(self.reconstruct(latents).float(), patches) / 4
        if self.levels is not None:
            return TokenizerLoss(reconstruction, reconstruction, torch.zeros_like(reconstruction))
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return TokenizerLoss(reconstruction + kl_weight * kl, reconstruction, kl)

    @torch.no_grad()
    def decode(self, tokens: Tokens) -> Frames:
        """The clips that these tokens stand for; of a quantiser's, those that the nearest codes stand for."""
        latents = tokens * self.latent_std + self.latent_mean
        if self.levels is not None:
            latents = nearest_code(latents, self.levels)
        values = (self.reconstruct(latents).float() + 1) * 127.5
        return unpatchify(values.clamp(0, 255).round().to(torch.uint8), self.patch_size)

    def posterior(self, patches: UnitPatches) -> tuple[Tokens, Tokens]:
        """Mean and log-variance of the latents, not normalised, of patches whose values lie in [-1, 1]."""
        x = self._transform(self.embed(patches), self.encoder, self.encoder_place)
        change, log_variance = self.to_latent(x).chunk(2, dim=-1)
        return self.analysis(patches) + change, log_variance - 6

    def reconstruct(self, latents: Tokens) -> UnitPatches:
        """The patches of latents that are not normalised."""
        x = self._transform(self.from_latent(latents), self.decoder, self.decoder_place)
        patches: UnitPatches = self.synthesis(latents) + self.to_patch(x)
        return patches

    def _patches(self, frames: Frames) -> UnitPatches:
        """The frames' patches in [-1, 1]; cut as bytes, which is a quarter of the copying."""
        return patchify(frames, self.patch_size).to(self.latent_mean).div_(127.5).sub_(1)

    def _transform(self, x: Tensor, blocks: nn.ModuleList, place: Tensor) -> Tensor:
        """The normalised stream after these blocks, every chunk a batch entry of its own."""
        b, t, h, w, width = x.shape
        if (h, w) != place.shape[:2]:  # another picture size than trained on
            place = F.interpolate(place.permute(2, 0, 1)[None], (h, w), mode="bilinear")[0].permute(1, 2, 0)
        x = (x + place.to(x.dtype)).view(b * t, 1, h * w, width)
        for block in blocks:
            x, _ = block(x)
        return norm(x).view(b, t, h, w, width)

    @torch.no_grad()
    def fit_components(self, frames: Frames) -> None:
        """Sets the linear path to the principal components of these clips' patches; the blocks add what it misses.

        That alone is within a few decibels of the trained network, so that training starts where it would take
        hundreds of steps to come (DECISIONS.md, 2026-11-22). They are turned at random, lest channels differ in weight.
        """
        patches = self._patches(frames).flatten(0, 3).float()  # (n, values)
        mean = patches.mean(dim=0)
        centred = patches - mean
        variance, components = torch.linalg.eigh(centred.T @ centred / len(centred))
        turn = torch.linalg.qr(torch.randn(self.channels, self.channels)).Q.to(components)
        scale = variance[-self.channels :].mean().sqrt()  # latents of about unit deviation
        basis = turn @ components[:, -self.channels :].T
        self.analysis.weight.copy_(basis / scale)
        self.analysis.bias.copy_(-basis @ mean / scale)
        self.synthesis.weight.copy_(basis.T * scale)
        self.synthesis.bias.copy_(mean)

    @torch.no_grad()
    def fit_statistics(self, frames: Frames) -> None:
        """Sets the per-channel mean and deviation that tokens are normalised with, from these clips."""
        latents = self._latents(frames)
        self.latent_mean.copy_(latents.mean(dim=(0, 1, 2, 3)))
        self.latent_std.copy_(latents.std(dim=(0, 1, 2, 3)).clamp_min(1e-6))

    def _latents(self, frames: Frames) -> Tokens:
        """The posterior's mean, or the code nearest to it, not normalised."""
        mean = self.posterior(self._patches(frames))[0].float()
        return mean if self.levels is None else quantised(mean, self.levels)
