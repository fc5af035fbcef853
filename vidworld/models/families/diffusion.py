"""Diffusion: the distribution of the next chunk's tokens, learned by removing noise from it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vidworld.core.config import Positive, PositiveFloat, Share, schema
from vidworld.models.families import Family, Loss, Sampling
from vidworld.models.schema import WorldModelConfig

if TYPE_CHECKING:
    import torch

    from vidworld.models.world_model import WorldModel


@schema
class DiffusionModel:
    width: Positive = 192
    depth: Positive = 6
    heads: Positive = 6
    """Of 32 channels each: heads of 64 hid what was to be remembered (DECISIONS.md, 2026-11-23)."""
    modulation_rank: Positive = 32
    attention_backend: str = "native"


@schema
class DiffusionConfig(WorldModelConfig):
    family: str = "diffusion"
    model: DiffusionModel = DiffusionModel()
    shift: PositiveFloat = 8.0
    """How far training noise leans to the noisy end (1: evenly spread)."""
    p_full_noise: Share = 0.0
    """Share of chunks that are trained at noise level 1, where only memory helps: half of them for a short training."""


class Diffusion(Family[DiffusionConfig]):
    """A transformer that denoises each chunk given the clean ones before it (models/dit.py, models/flow.py)."""

    name, label, config = "diffusion", "Diffusion", DiffusionConfig

    def network_class(self) -> Any:
        from vidworld.models.dit import DiffusionTransformer

        return DiffusionTransformer

    def network(self, config: DiffusionConfig, channels: int) -> Any:
        return self.network_class()(channels, **vars(config.model))

    def draw(
        self, config: DiffusionConfig, streams: "Sequence[torch.Generator]", tokens: "torch.Tensor"
    ) -> "tuple[torch.Tensor, ...]":
        """Noise for every chunk but the first, and its level."""
        from vidworld.core.counter_rng import normal_of, uniform_of
        from vidworld.models.flow import training_levels

        level = training_levels(uniform_of(streams, tokens.shape[1] - 1), config.shift, config.p_full_noise)
        return normal_of(streams, *tokens[0, 1:].shape), level

    def loss(
        self, config: DiffusionConfig, model: Callable[..., Any], tokens: "torch.Tensor", *drawn: "torch.Tensor"
    ) -> Loss:
        from vidworld.models.flow import flow_loss

        noise, level = drawn
        return Loss(flow_loss(model, tokens, noise, level), {})

    def world_model(self, network: Any, name: str, settings: Sampling, decoder: Any = None) -> "WorldModel":
        """Its samples are tokens, which need no decoder."""
        from vidworld.models.dit import GenerativeModel

        return GenerativeModel(network, name, settings.sampling_steps, settings.shift, settings.levels)


DIFFUSION = Diffusion()
