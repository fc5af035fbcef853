"""Families of world models: what there is to train and to compare, one line here each."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from vidworld.core.errors import UserError
from vidworld.core.registry import Registry
from vidworld.models.schema import WorldModelConfig

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from vidworld.models.world_model import WorldModel

C = TypeVar("C", bound=WorldModelConfig)

Alarm = Callable[[int, Mapping[str, float]], None]
"""Raises UserError if what was logged after a step shows that a training has failed."""


class Loss(NamedTuple):
    """What is minimised, and what else is logged."""

    total: "torch.Tensor"
    logged: "Mapping[str, torch.Tensor]"


@runtime_checkable
class Sampling(Protocol):
    """How a trained model is used: the evaluation's configuration, of which a family takes what concerns it."""

    @property
    def sampling_steps(self) -> int: ...

    @property
    def shift(self) -> float: ...

    @property
    def levels(self) -> tuple[float, ...]: ...


class Family(ABC, Generic[C]):
    """A family of world models. `configs/*/NAME.yaml` with `family: NAME` trains one (train/train_world_model.py)."""

    name: str
    label: str  # in tables and charts
    config: type[C]  # the keys of its training

    @abstractmethod
    def network_class(self) -> Any:
        """The class of its network."""

    @abstractmethod
    def network(self, config: C, channels: int) -> Any:
        """An untrained network (a ModelMixin of diffusers) for tokens of so many channels."""

    def draw(
        self, config: C, streams: "Sequence[torch.Generator]", tokens: "torch.Tensor"
    ) -> "tuple[torch.Tensor, ...]":
        """What a batch is given at random: tensors with a row a clip, each drawn from the clip's own stream."""
        return ()

    @abstractmethod
    def loss(self, config: C, model: Callable[..., Any], tokens: "torch.Tensor", *drawn: "torch.Tensor") -> Loss:
        """The loss of a micro-batch. `model` is the network, possibly wrapped for several processes: it is called."""

    def after_step(self, config: C, network: Any) -> None:
        """Change whatever follows the weights; nothing by default."""

    def alarm(self, config: C, network: Any, tokens: "torch.Tensor") -> Alarm:
        """What to call whenever a step is logged. `tokens` are some that the training reads."""
        return lambda step, logged: None

    @abstractmethod
    def world_model(self, network: Any, name: str, settings: Sampling, decoder: Any = None) -> "WorldModel":
        """The trained network as the evaluation takes it; `decoder` turns embeddings that are none into tokens."""

    def load(self, run_folder: "Path") -> Any:
        """The finished network of a run folder, in evaluation mode. Raises UserError: none, or of another kind."""
        from vidworld.models.files import load_model

        return load_model(self.network_class(), run_folder)

    def untrained(self, network: Any) -> Any:
        """A network of the same configuration whose weights are drawn anew, from torch's generator."""
        # Not from_config, which takes a default for whatever the network was given by position.
        arguments = {name: value for name, value in network.config.items() if not name.startswith("_")}
        return type(network)(**arguments)


FAMILIES: Registry[Family[Any]] = Registry(
    "model family",
    "vidworld.families",
    {
        "diffusion": "vidworld.models.families.diffusion:DIFFUSION",
        "regression": "vidworld.models.families.jepa:REGRESSION",
        "jepa": "vidworld.models.families.jepa:JEPA",
    },
)


def config_schema(data: Mapping[str, Any]) -> type[WorldModelConfig]:
    """The keys of a training of the family that a configuration names. Raises UserError: it names no known one."""
    if "family" not in data:
        raise UserError(f"family is missing; it is one of {', '.join(FAMILIES)}")
    schema: type[WorldModelConfig] = FAMILIES[str(data["family"])].config
    return schema
