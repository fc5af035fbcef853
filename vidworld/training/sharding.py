"""Tensors of which each process may hold a part (FSDP2), the whole of them, and work that each does a part of."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


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
