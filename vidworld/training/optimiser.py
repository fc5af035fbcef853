"""The optimisers of a network and their learning rate over the steps."""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_wsd_schedule

from vidworld.core.errors import UserError
from vidworld.models.schema import OptimiserConfig

MUON_MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the odd polynomial that is applied five times (Source: Muon's first publication)."""


class Muon(Optimizer):
    """Momentum whose every matrix is made orthogonal before it is applied, one shape after another, by all processes.

    Source: Muon (arXiv 2502.16982), with updates scaled to AdamW's. Equals torch.optim.Muon with `match_rms_adamw` to
    the rounding of bf16, which takes the matrices one by one.

    `precision` is that in which they are made orthogonal: in bf16 what two processes round otherwise than one grows to
    3e-4 of the loss within 50 steps, in float32 it stays under 1e-6 (DECISIONS.md, 2026-11-22).
    """

    def __init__(
        self, matrices: Iterable[Any], lr: float, weight_decay: float, precision: torch.dtype = torch.bfloat16
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})
        self.precision = precision

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        assert closure is None
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            moving: Callable[[], None] | None = None
            for matrices in alike.values():
                directions = self._directions(matrices)
                # What others have made of one shape comes in while this process makes its share of the next; no more
                # than two shapes are on their way, as a network that is spread over processes may not fit into one.
                if moving is not None:
                    moving()
                moving = partial(_move, matrices, directions, group["lr"], group["weight_decay"])
            if moving is not None:
                moving()

    def _directions(self, matrices: list[nn.Parameter]) -> Callable[[], Tensor]:
        """Where matrices of one shape are to go; one after another where they are not multiplied, for the cache."""
        aims = torch.empty((len(matrices), *matrices[0].shape), dtype=self.precision, device=matrices[0].device)
        for aim, matrix in zip(aims, matrices, strict=True):
            assert matrix.grad is not None
            state = self.state[matrix]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(matrix)
            momentum = state["momentum_buffer"].lerp_(matrix.grad, 1 - MUON_MOMENTUM)
            aim.copy_(full_tensor(matrix.grad.lerp(momentum, MUON_MOMENTUM)))  # Nesterov's
        return sharded_map(orthogonalised, aims)


def _move(matrices: list[nn.Parameter], directions: Callable[[], Tensor], lr: float, weight_decay: float) -> None:
    """A step of matrices of one shape, as long as AdamW's."""
    scale = 0.2 * max(matrices[0].shape) ** 0.5  # arXiv 2502.16982, eq. 4
    for direction, matrix in zip(directions(), matrices, strict=True):
        matrix.mul_(1 - lr * weight_decay).add_(shard_like(direction, matrix), alpha=-lr * scale)


def orthogonalised(matrices: Float[Tensor, "matrix row column"]) -> Float[Tensor, "matrix row column"]:
    """Each matrix with its singular values moved to about one (0.7 to 1.2), in its own precision."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def make_optimisers(
    model: nn.Module, config: OptimiserConfig, precision: torch.dtype = torch.bfloat16
) -> list[Optimizer]:
    """Muon for matrices (half the steps to a loss: DECISIONS.md, 2026-11-22) and AdamW for the rest, or AdamW alone.

    Matrices are those of embeddings and heads, too, and all weights decay, biases and places included.

    Raises UserError: `lr_factors` names a part that the network has not.
    """
    parts = [name for name, part in model.named_children() if any(p.requires_grad for p in part.parameters())]
    if unknown := [name for name in config.lr_factors if name not in parts]:
        raise UserError(f"optimiser.lr_factors: {unknown[0]} is no part of this network; {', '.join(parts)} are")
    matrices, others = list[dict[str, Any]](), list[dict[str, Any]]()
    for factor in dict.fromkeys((1.0, *config.lr_factors.values())):
        trained = [
            p for name, p in model.named_parameters()
            if p.requires_grad and config.lr_factors.get(name.split(".")[0], 1.0) == factor
        ]  # fmt: skip
        for groups, is_matrix in ((matrices, True), (others, False)):
            chosen = [p for p in trained if (p.ndim == 2 and config.name == "muon") == is_matrix]
            if chosen:
                groups.append({"params": chosen, "lr": factor * config.lr})
    adam = AdamW(others, lr=config.lr, betas=(0.9, 0.95), weight_decay=config.weight_decay, fused=True)
    return [adam, Muon(matrices, config.lr, config.weight_decay, precision)] if matrices else [adam]


def make_schedule(optimiser: Optimizer, config: OptimiserConfig, steps: int) -> LambdaLR:
    """Warm-up, a plateau, and a fall to zero over the last `warmdown_ratio` of the steps."""
    warmup = min(config.warmup_steps, steps // 10)
    decay = max(1, int(config.warmdown_ratio * steps))
    schedule: LambdaLR = get_wsd_schedule(
        optimiser, warmup, decay, num_stable_steps=max(0, steps - warmup - decay), decay_type="linear"
    )
    return schedule


class Optimisers:
    """Several optimisers as one."""

    def __init__(self, each: Sequence[Optimizer]) -> None:
        self.each = each

    def step(self) -> None:
        for optimiser in self.each:
            optimiser.step()

    def zero_grad(self) -> None:
        for optimiser in self.each:
            optimiser.zero_grad()

    @property
    def plain(self) -> list[Optimizer]:
        """Each without what accelerate wraps it in."""
        return [getattr(optimiser, "optimizer", optimiser) for optimiser in self.each]


class Schedules:
    """The learning rates of several optimisers as one: the same at each step."""

    def __init__(self, each: Sequence[LambdaLR]) -> None:
        self.each = each

    def step(self) -> None:
        with warnings.catch_warnings(action="ignore"):  # torch expects that optimisers have moved
            for schedule in self.each:
                schedule.step()

    @property
    def lr(self) -> float:
        """The rate of the next step."""
        return float(self.each[0].get_last_lr()[0])


def count_parameters(model: nn.Module) -> int:
    """Parameters that are trained."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


# --- tensors of which each process may hold a part (FSDP2), and work that each does a part of ---


def full_tensor(value: Tensor) -> Tensor:
    """The tensor itself, gathered where its parts lie with several processes, all of which must then call it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def shard_like(value: Tensor, sample: Tensor) -> Tensor:
    """A whole tensor, the same on all processes, cut in the way that `sample` is."""
    value = value.to(sample.device)
    if not isinstance(sample, DTensor):
        return value
    return distribute_tensor(value, sample.device_mesh, sample.placements, src_data_rank=None)


def sharded_map(
    function: Callable[[Tensor], Tensor], items: Float[Tensor, "item *rest"]
) -> Callable[[], Float[Tensor, "item *rest"]]:
    """The function of a stack of things that it treats one by one, of which each process does its share now.

    What is returned waits for the others' shares and gives all, the same on every process; all must call both alike.
    """
    processes = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
    count = len(items)
    if not 1 < processes <= count:
        done = function(items)
        return lambda: done
    size = -(-count // processes)
    mine = items.new_zeros(size, *items.shape[1:])
    share = items[dist.get_rank() * size :][:size]
    if len(share):
        mine[: len(share)] = function(share)
    shares = [torch.empty_like(mine) for _ in range(processes)]
    gathering = dist.all_gather(shares, mine, async_op=True)

    def gathered() -> Tensor:
        gathering.wait()
        return torch.cat(shares)[:count]

    return gathered
