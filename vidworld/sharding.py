"""Tensors of which each process may hold a part (FSDP2), and the whole of them."""

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(value: Tensor) -> Tensor:
    """The tensor itself, gathered where its parts lie with several processes, all of which must then call it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def spread_as(value: Tensor, sample: Tensor) -> Tensor:
    """A whole tensor, the same on all processes, cut in the way that `sample` is."""
    value = value.to(sample.device)
    if isinstance(sample, DTensor):
        return distribute_tensor(value, sample.device_mesh, sample.placements, src_data_rank=None)
    return value
