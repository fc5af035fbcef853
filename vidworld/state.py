"""The state of a training as tensors and numbers by name, whole on the first process however it is spread."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vidworld.sharding import spread_as, whole

WHOLE = StateDictOptions(full_state_dict=True, flatten_optimizer_state_dict=True)


@dataclass(frozen=True)
class State:
    """What a checkpoint holds."""

    tensors: dict[str, dict[str, Tensor]]
    """A file each: network, average, optimiser."""
    numbers: dict[str, Any]
    """Whatever else, as JSON has it."""


def averages(network: nn.Module, ema: EMAModel) -> Iterator[tuple[str, Tensor]]:
    """The averaged parameters by name."""
    for (name, _), shadow in zip(network.named_parameters(), ema.shadow_params, strict=True):
        yield name, whole(shadow)


def state_of(
    network: nn.Module, ema: EMAModel, optimisers: Iterable[Optimizer], schedules: Iterable[LambdaLR]
) -> State:
    """A copy in main memory, so that the training may go on while it is written. All processes must call it."""
    # Flattened: a tensor or a plain value by each name.
    of_optimisers = cast(dict[str, Any], get_optimizer_state_dict(network, tuple(optimisers), options=WHOLE))
    tensors: dict[str, dict[str, Tensor]] = {
        "network": cast(dict[str, Tensor], get_model_state_dict(network, options=WHOLE)),
        "average": dict(averages(network, ema)),
        "optimiser": {k: v for k, v in of_optimisers.items() if isinstance(v, Tensor)},
    }
    copies = {
        file: {name: value.detach().to("cpu", copy=True).contiguous() for name, value in group.items()}
        for file, group in tensors.items()
    }
    numbers = {
        "average_steps": ema.optimization_step,
        "optimiser": {k: v for k, v in of_optimisers.items() if not isinstance(v, Tensor)},
        "schedules": [schedule.state_dict() for schedule in schedules],
    }
    return State(copies, numbers)


@torch.no_grad()
def restore(
    state: State,
    network: nn.Module,
    ema: EMAModel,
    optimisers: Iterable[Optimizer],
    schedules: Iterable[LambdaLR],
) -> None:
    """Sets everything to what `state_of` gave, on any number of processes. All processes must call it.

    Raises:
        RuntimeError, KeyError, ValueError: the state is of another network.
    """
    set_model_state_dict(network, dict(state.tensors["network"]), options=WHOLE)
    for (name, _), shadow in zip(network.named_parameters(), ema.shadow_params, strict=True):
        shadow.copy_(spread_as(state.tensors["average"][name], shadow))
    ema.optimization_step = state.numbers["average_steps"]
    of_optimisers = state.tensors["optimiser"] | _tuples(state.numbers["optimiser"])
    set_optimizer_state_dict(network, tuple(optimisers), of_optimisers, options=WHOLE)
    for schedule, numbers in zip(schedules, state.numbers["schedules"], strict=True):
        schedule.load_state_dict(numbers)


def _tuples(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that they were (the betas of Adam)."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in numbers.items()}
