"""Three steps of a small diffusion world: python sharded_steps.py OUT [under torchrun, sharded by fsdp2.yaml's policy].

OUT gets the weights, and those of a second network that was restored from the first one's state. All in float64: AdamW
divides a gradient by its own size, so that one of hardly any size would be all rounding in float32.
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate.utils.fsdp_utils import fsdp2_prepare_auto_wrap_policy
from diffusers.training_utils import EMAModel
from safetensors.torch import save_file
from small_runs import fsdp2_plugin
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from vidworld.models.diffusion import DiffusionTransformer, flow_loss
from vidworld.models.schema import OptimiserConfig
from vidworld.training.checkpoint import restore, state_of
from vidworld.training.optimiser import make_optimisers, make_schedule


def network_of(seed, model):
    """A network, its average, optimisers and schedules; sharded over the processes of the world."""
    torch.manual_seed(seed)
    network = DiffusionTransformer(8, width=32, depth=3, heads=2).double()
    if model > 1:
        mesh = init_device_mesh("cpu", (model,))
        policy = fsdp2_prepare_auto_wrap_policy(fsdp2_plugin(), network)
        for module in [module for module in network.modules() if policy(module)]:
            fully_shard(module, mesh=mesh)
        fully_shard(network, mesh=mesh)
    config = OptimiserConfig(lr=1e-2, warmup_steps=0)
    optimisers = make_optimisers(network, config, torch.float64)
    schedules = [make_schedule(optimiser, config, 10) for optimiser in optimisers]
    return network, EMAModel(network.parameters(), decay=0.9, foreach=True), optimisers, schedules


def main():
    model = 1
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
        model = dist.get_world_size()
    rank = dist.get_rank() if model > 1 else 0
    everything = network, ema, optimisers, schedules = network_of(0, model)
    for step in range(3):
        torch.manual_seed(step)
        batch = torch.randn(4, 4, 2, 2, 8), torch.randn(4, 3, 2, 2, 8), torch.rand(4, 3)
        flow_loss(network, *(whole[rank::model].double() for whole in batch)).backward()
        for optimiser, schedule in zip(optimisers, schedules, strict=True):
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
        ema.step(network.parameters())
    state = state_of(*everything)
    again = network_of(1, model)
    restore(state, *again)
    restored = state_of(*again)
    assert restored.numbers == state.numbers
    if rank == 0:
        out = Path(sys.argv[1])
        out.mkdir()
        for name, tensors in state.tensors.items():
            save_file(tensors, out / f"{name}.safetensors")
            save_file(restored.tensors[name], out / f"restored_{name}.safetensors")
    if model > 1:
        dist.barrier()  # gloo's end may wait for ever on the tensors of the last collective
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
