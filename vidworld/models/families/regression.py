"""Regression: the next chunk's tokens, by their mean. The common root of diffusion and JEPA."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vidworld.core.config import Positive, PositiveFloat, schema
from vidworld.models.families.family import Alarm, Family, Loss, Sampling
from vidworld.models.families.jepa import stop_if_nothing_is_predicted
from vidworld.models.schema import WorldModelConfig

if TYPE_CHECKING:
    import torch

    from vidworld.models.world_model import WorldModel


@schema
class RegressionModel:
    width: Positive = 192
    encoder_depth: Positive = 4
    predictor_depth: Positive = 2
    heads: Positive = 3
    attention_backend: str = "native"


@schema
class RegressionConfig(WorldModelConfig):
    """Keys of `family: regression`."""

    family: str = "regression"
    model: RegressionModel = RegressionModel()
    collapse_ratio: PositiveFloat = 1.2
    """The run stops where prediction loss over copy-last loss stays above this after the warm-up."""


class Regression(Family[RegressionConfig]):
    """The network of JEPA with the shared tokens, which are frozen, for targets (models/jepa.py)."""

    name, label, config = "regression", "Regression", RegressionConfig

    def network_class(self) -> Any:
        from vidworld.models.jepa import JointEmbeddingPredictor

        return JointEmbeddingPredictor

    def network(self, config: RegressionConfig, channels: int) -> Any:
        return self.network_class()(channels, **vars(config.model), target="frozen")

    def loss(
        self,
        config: RegressionConfig,
        model: Callable[..., Any],
        tokens: "torch.Tensor",
        *drawn: "torch.Tensor",
    ) -> Loss:
        loss = model(tokens)
        return Loss(loss.total, {"copy_last_ratio": loss.copy_last_ratio})

    def alarm(self, config: RegressionConfig, tokens: "torch.Tensor") -> Alarm:
        """The alarm of a network that predicts no better than the last chunk does."""

        def check(step: int, logged: Mapping[str, float]) -> None:
            if logged and step >= 2 * config.optimiser.warmup_steps:
                ratio = logged["copy_last_ratio"]
                stop_if_nothing_is_predicted(config.out, step, ratio, config.collapse_ratio)

        return check

    def world_model(self, network: Any, name: str, settings: Sampling, decoder: Any = None) -> "WorldModel":
        """What it predicts are tokens, which need no decoder."""
        from vidworld.models.predictive import PredictiveModel

        return PredictiveModel(network, name)


REGRESSION = Regression()
