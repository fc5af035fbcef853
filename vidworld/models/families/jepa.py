"""JEPA: the embedding of the next chunk, predicted in representation space."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from vidworld.core.config import Positive, PositiveFloat, Share, schema
from vidworld.core.errors import UserError
from vidworld.models.families.family import Alarm, Family, Loss, Sampling
from vidworld.models.schema import WorldModelConfig

if TYPE_CHECKING:
    import torch

    from vidworld.models.world_model import WorldModel


@schema
class JepaModel:
    width: Positive = 192
    encoder_depth: Positive = 4
    predictor_depth: Positive = 2
    heads: Positive = 3
    target: Literal["frozen", "vcreg", "sigreg", "ema"] = "frozen"
    regulariser_weight: Annotated[float, Field(ge=0)] = 10.0
    action_channels: Annotated[int, Field(ge=0)] = 0
    attention_backend: str = "native"


@schema
class JepaConfig(WorldModelConfig):
    """Keys of `family: jepa`."""

    family: str = "jepa"
    model: JepaModel = JepaModel()
    target_decay: Share = 0.998
    """How slowly the target encoder follows, in mode ema."""
    collapse_deviation: Share = 0.2
    """The run stops where the embeddings' deviation across clips falls under this part of its first value."""
    collapse_ratio: PositiveFloat = 1.2
    """The run stops where prediction loss over copy-last loss stays above this after the warm-up."""


class Jepa(Family[JepaConfig]):
    """An encoder and a predictor, trained on the distance of embeddings (models/jepa.py, models/regularisers.py)."""

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
        return Loss(loss.total, {name: value for name, value in loss._asdict().items() if name != "total"})

    def after_step(self, config: JepaConfig, network: Any) -> None:
        """Move the target encoder of mode ema."""
        network.update_target(config.target_decay)

    def alarm(self, config: JepaConfig, tokens: "torch.Tensor") -> Alarm:
        """The alarm of a collapse, against the deviation of embeddings before the first step."""
        import torch
        from accelerate.utils import set_seed

        set_seed(config.seed)
        untrained = self.network(config, tokens.shape[-1]).to(tokens.device)
        with torch.no_grad():
            first_deviation = float(untrained(tokens).deviation)
        return lambda step, logged: stop_if_collapsed(config, logged, step, first_deviation)

    def world_model(self, network: Any, name: str, settings: Sampling, decoder: Any = None) -> "WorldModel":
        from vidworld.models.predictive import PredictiveModel

        return PredictiveModel(network, name, decoder)


def stop_if_collapsed(
    config: JepaConfig, logged: Mapping[str, float], step: int, first_deviation: float
) -> None:
    """Raise if the embeddings no longer distinguish clips, at a logged step after the warm-up.

    Raises:
        UserError: the deviation across clips, or prediction loss over copy-last loss, has crossed its bound.
    """
    if not logged or step < 2 * config.optimiser.warmup_steps:
        return
    deviation, least = logged["deviation"], config.collapse_deviation * first_deviation
    if deviation < least:
        raise UserError(
            f"{config.out}: collapsed at step {step}: the embeddings' deviation across clips is {deviation:.3g}, under "
            f"{least:.3g}; a larger model.regulariser_weight, or model.target=frozen, prevents it"
        )
    stop_if_nothing_is_predicted(config.out, step, logged["copy_last_ratio"], config.collapse_ratio)


def stop_if_nothing_is_predicted(out: Path, step: int, ratio: float, most: float) -> None:
    """Raise if the prediction loss is more than `most` times that of repeating the last embedding."""
    if ratio > most:
        raise UserError(
            f"{out}: predicts nothing at step {step}: its loss is {ratio:.2f} times that of repeating the last "
            "embedding; a lower optimiser.lr may help"
        )


JEPA = Jepa()
