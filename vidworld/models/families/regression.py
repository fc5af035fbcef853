"""Regression: the next chunk's tokens, by their mean. The common root of diffusion and JEPA."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vidworld.core.config import Positive, PositiveFloat, schema
from vidworld.models.families import Alarm, Family, Loss, Sampling
from vidworld.models.schema import WorldModelConfig

if TYPE_CHECKING:
    import torch

    from vidworld.models.world_model import WorldModel


@schema
class RegressionModel:
    width: Positive = 192
    encoder_depth: Positive = 4
    predictor_depth: Positive = 2
    heads: Positive = 6
    """Of 32 channels each: heads of 64 hid what was to be remembered (DECISIONS.md, 2026-11-23)."""
    attention_backend: str = "native"


@schema
class RegressionConfig(WorldModelConfig):
    """Keys of `family: regression`."""

    family: str = "regression"
    model: RegressionModel = RegressionModel()
    collapse_ratio: PositiveFloat = 1.0
    """The run stops if prediction loss over copy-last loss stays above this: three logged steps after the warm-up."""


class Regression(Family[RegressionConfig]):
    """The network of JEPA with the shared tokens, which are frozen, for targets (models/jepa.py)."""

    name, label, config = "regression", "Regression", RegressionConfig

    def network_class(self) -> Any:
        from vidworld.models.jepa import JointEmbeddingPredictor

        return JointEmbeddingPredictor

    def network(self, config: RegressionConfig, channels: int) -> Any:
        return self.network_class()(channels, **vars(config.model), target="frozen")

    def loss(
        self, config: RegressionConfig, model: Callable[..., Any], tokens: "torch.Tensor", *drawn: "torch.Tensor"
    ) -> Loss:
        loss = model(tokens)
        return Loss(loss.total, {"copy_last_ratio": loss.copy_last_ratio})

    def alarm(self, config: RegressionConfig, network: Any, tokens: "torch.Tensor") -> Alarm:
        """The alarm of a network that predicts no better than the last chunk does."""
        from vidworld.models.collapse import CollapseAlarm

        return CollapseAlarm(config.out, config.optimiser.warmup_steps, config.collapse_ratio)

    def world_model(self, network: Any, name: str, settings: Sampling, decoder: Any = None) -> "WorldModel":
        """What it predicts are tokens, which need no decoder."""
        from vidworld.models.jepa import PredictiveModel

        return PredictiveModel(network, name)


REGRESSION = Regression()
