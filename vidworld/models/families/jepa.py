"""JEPA, the learned embedding of the next chunk, predicted in representation space; and regression, its tokens' mean.

Regression is the common root of diffusion and JEPA.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from vidworld.core.config import Positive, PositiveFloat, Share, schema
from vidworld.models.families import Alarm, Family, Loss, Sampling
from vidworld.models.schema import WorldModelConfig

if TYPE_CHECKING:
    import torch

    from vidworld.models.world_model import WorldModel


def _learned(target: object) -> object:
    if target == "frozen":
        raise ValueError("a model that predicts frozen tokens is of the family regression (family: regression)")
    return target


@schema
class JepaModel:
    width: Positive = 192
    encoder_depth: Positive = 4
    predictor_depth: Positive = 2
    heads: Positive = 6
    """Of 32 channels each: heads of 64 hid what was to be remembered (DECISIONS.md, 2026-11-23)."""
    target: Annotated[Literal["vcreg", "sigreg", "ema"], BeforeValidator(_learned)] = "vcreg"
    """What is predicted, and what keeps it from collapsing: see JointEmbeddingPredictor."""
    regulariser_weight: Annotated[float, Field(ge=0)] = 10.0
    attention_backend: str = "native"


@schema
class JepaConfig(WorldModelConfig):
    family: str = "jepa"
    model: JepaModel = JepaModel()
    target_decay: Share = 0.998
    """How slowly the target encoder follows, in mode ema."""
    collapse_std: Share = 0.2
    """The run stops if the embeddings' std across clips stays under this part of an untrained network's."""
    collapse_ratio: PositiveFloat = 1.0
    """The run stops if prediction loss over copy-last loss stays above this: three logged steps after the warm-up."""


class Jepa(Family[JepaConfig]):
    """An encoder and a predictor, trained on the distance of embeddings (models/jepa.py)."""

    name, label, config = "jepa", "JEPA", JepaConfig

    def network_class(self) -> Any:
        from vidworld.models.jepa import JointEmbeddingPredictor

        return JointEmbeddingPredictor

    def network(self, config: JepaConfig, channels: int) -> Any:
        return self.network_class()(channels, **vars(config.model))

    def loss(
        self, config: JepaConfig, model: Callable[..., Any], tokens: "torch.Tensor", *drawn: "torch.Tensor"
    ) -> Loss:
        loss = model(tokens)
        return Loss(loss.total, loss.logged())

    def after_step(self, config: JepaConfig, network: Any) -> None:
        """Move the target encoder of mode ema."""
        network.update_target(config.target_decay)

    def alarm(self, config: JepaConfig, network: Any, tokens: "torch.Tensor") -> Alarm:
        """The alarm of a collapse, against the embeddings of an untrained network."""
        import torch
        from accelerate.utils import set_seed

        from vidworld.models.jepa import CLIPS, CollapseAlarm, std_across_clips

        some = tokens[:CLIPS]
        set_seed(config.seed)
        with torch.no_grad():
            first_std = std_across_clips(self.network(config, tokens.shape[-1]).to(some).embeddings(some))
        warmup, ratio, min_std = config.optimiser.warmup_steps, config.collapse_ratio, config.collapse_std * first_std
        return CollapseAlarm(config.out, warmup, ratio, min_std, lambda: network.embeddings(some))

    def world_model(self, network: Any, name: str, settings: Sampling, decoder: Any = None) -> "WorldModel":
        from vidworld.models.jepa import PredictiveModel

        return PredictiveModel(network, name, decoder)


JEPA = Jepa()


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
        from vidworld.models.jepa import CollapseAlarm

        return CollapseAlarm(config.out, config.optimiser.warmup_steps, config.collapse_ratio)

    def world_model(self, network: Any, name: str, settings: Sampling, decoder: Any = None) -> "WorldModel":
        """What it predicts are tokens, which need no decoder."""
        from vidworld.models.jepa import PredictiveModel

        return PredictiveModel(network, name)


REGRESSION = Regression()
