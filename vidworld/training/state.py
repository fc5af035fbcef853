"""The state of a training as tensors and numbers by name: whole, however it is spread over processes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vidworld.training.sharding import spread_as, whole


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
        yield name, shadow


def state_of(
    network: nn.Module, ema: EMAModel, optimisers: Sequence[Optimizer], schedules: Sequence[LambdaLR]
) -> State:
    """A copy in main memory, so that the training may go on while it is written. All processes must call it."""
    tensors: dict[str, dict[str, Tensor]] = {
        "network": network.state_dict(),
        "average": dict(averages(network, ema)),
        "optimiser": {
            f"{name}.{key}": value
            for name, _, state in _of_optimisers(network, optimisers)
            for key, value in state.items()
        },
    }
    copies = {
        file: {
            name: whole(value.detach()).to("cpu", copy=True).contiguous() for name, value in of_file.items()
        }
        for file, of_file in tensors.items()
    }
    groups = [[{k: v for k, v in g.items() if k != "params"} for g in o.param_groups] for o in optimisers]
    numbers = {
        "average_steps": ema.optimization_step,
        "groups": groups,
        "schedules": [schedule.state_dict() for schedule in schedules],
    }
    return State(copies, numbers)


@torch.no_grad()
def restore(
    state: State,
    network: nn.Module,
    ema: EMAModel,
    optimisers: Sequence[Optimizer],
    schedules: Sequence[LambdaLR],
) -> None:
    """Sets everything to what `state_of` gave, on any number of processes. All processes must call it."""
    for name, value in network.state_dict().items():
        value.copy_(spread_as(state.tensors["network"][name], value))
    for name, shadow in averages(network, ema):
        shadow.copy_(spread_as(state.tensors["average"][name], shadow))
    ema.optimization_step = state.numbers["average_steps"]
    for name, parameter, kept in _of_optimisers(network, optimisers):
        for key, value in _under(state.tensors["optimiser"], name).items():
            # What has the parameter's shape is spread as it is; else it is a count of steps.
            kept[key] = spread_as(value, parameter) if value.ndim else value.to(parameter.device)
    for optimiser, groups in zip(optimisers, state.numbers["groups"], strict=True):
        for group, numbers in zip(optimiser.param_groups, groups, strict=True):
            group.update({k: tuple(v) if isinstance(v, list) else v for k, v in numbers.items()})
    for schedule, numbers in zip(schedules, state.numbers["schedules"], strict=True):
        schedule.load_state_dict(numbers)


def _of_optimisers(
    network: nn.Module, optimisers: Sequence[Optimizer]
) -> Iterator[tuple[str, Tensor, dict[str, Tensor]]]:
    """Each parameter that an optimiser moves: its name, itself, and what the optimiser keeps of it."""
    names = {parameter: name for name, parameter in network.named_parameters()}
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                yield names[parameter], parameter, optimiser.state[parameter]


def _under(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of one parameter, by what they are."""
    return {key.rpartition(".")[2]: value for key, value in tensors.items() if key.rpartition(".")[0] == name}
