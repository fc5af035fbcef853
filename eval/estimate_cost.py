"""Estimate what training a world model costs on GPUs: python eval/estimate_cost.py --config configs/base/jepa.yaml

FLOPs and the bytes that are kept for the gradient are counted on tensors that have shapes and no values (no tokenizer,
no data, seconds); time and price follow from what you say of the GPU. Nothing of it was measured on one.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from vidworld.core.config import load
from vidworld.core.counter_rng import generators
from vidworld.core.errors import ArgumentParser, run_script
from vidworld.models.families import FAMILIES, config_schema
from vidworld.models.schema import TokenizerModel, WorldModelConfig
from vidworld.training.optimiser import count_parameters, make_optimisers

TERA, GIGA = 1e12, 1e9
FEW, MORE = 2, 4  # clips that are counted: what grows between them is a clip's


class Cost(NamedTuple):
    """What a training needs, as counted."""

    parameters: int
    flops: float
    """Of all steps, forward and backward."""
    state_bytes: int
    """Weights, gradients, optimisers and average, in float32 but for Adam's; once a GPU."""
    bytes_a_clip: float
    """Kept for the gradient under bf16 autocast, for each clip of a GPU's micro-batch."""
    token_bytes: int
    """On disk, of the tokens of all clips that are trained on."""


def main() -> None:
    arguments = parse()
    config = load(WorldModelConfig, arguments.config, arguments.overrides, config_schema)
    print("\n".join(said(config, cost(config), arguments)))


def cost(config: WorldModelConfig) -> Cost:
    """The cost of a configuration, for tokens of the tokenizer's default form."""
    family, shape, (frames, rows, columns) = FAMILIES[config.family], config.data.shape, TokenizerModel.patch_size
    network, mode = family.network(config, TokenizerModel.channels), FakeTensorMode()
    _without_values(network, mode)
    grid = (shape.num_frames // frames, shape.height_px // rows, shape.width_px // columns, TokenizerModel.channels)

    def loss(clips: int) -> torch.Tensor:
        tokens = torch.randn(clips, *grid)
        return family.loss(config, network, tokens, *family.draw(config, generators(0, 0, range(clips)), tokens)).total

    with mode:
        with FlopCounterMode(display=False) as counter:
            loss(FEW).backward()
        kept = [_kept(network, loss, clips) for clips in (FEW, MORE)]
        state = sum(p.nbytes for p in network.parameters()) + _optimised_bytes(network, config)
    return Cost(
        parameters=count_parameters(network),
        flops=counter.get_total_flops() / FEW * config.global_batch_size * config.steps,
        state_bytes=state,
        bytes_a_clip=(kept[1] - kept[0]) / (MORE - FEW),
        token_bytes=config.data.clips * torch.Size(grid).numel() * torch.bfloat16.itemsize,
    )


def _without_values(network: Any, mode: FakeTensorMode) -> None:
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            fake = torch.nn.Parameter(mode.from_tensor(parameter.detach()), parameter.requires_grad)
            setattr(module, name, fake)
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, mode.from_tensor(buffer))


def _kept(network: Any, loss: Any, clips: int) -> int:
    """Bytes that lie between forward and backward, each storage once."""
    found: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        found[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor

    with torch.autocast("cpu", torch.bfloat16), torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept):
        graph = loss(clips)
    own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    del graph
    return sum(storage.nbytes() for place, storage in found.items() if place not in own)


def _optimised_bytes(network: Any, config: WorldModelConfig) -> int:
    """Of gradients, of the optimisers' states after a step, and of the average of all weights."""
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    state = 0
    for optimiser in make_optimisers(network, config.optimiser, torch.float32):
        optimiser.step()
        values = (value for each in optimiser.state.values() for value in each.values())
        state += sum(value.nbytes for value in values if torch.is_tensor(value))
    return state + sum(p.nbytes * (1 + p.requires_grad) for p in network.parameters())


def said(config: WorldModelConfig, found: Cost, given: argparse.Namespace) -> list[str]:
    """The estimate in lines."""
    clips = config.global_batch_size / config.grad_accum_steps / given.gpus
    hours = found.flops / (given.tflops * TERA * given.utilisation) / 3600
    memory = (found.state_bytes + clips * found.bytes_a_clip) / GIGA
    return [
        f"{config.family}: {found.parameters / 1e6:.1f} M parameters, {found.flops:.2e} FLOPs",
        f"time: {hours:.1f} GPU hours at {given.utilisation:.0%} of {given.tflops:g} TFLOP/s; "
        f"{hours / given.gpus:.1f} h on {given.gpus} GPUs; {hours * given.price:.0f} at {given.price:g} an hour",
        f"memory a GPU: at least {memory:.1f} GB ({found.state_bytes / GIGA:.2f} for weights, gradients and "
        f"optimisers, {found.bytes_a_clip / 1e6:.0f} MB for each of {clips:g} clips)",
        f"disk: {found.token_bytes / GIGA:.0f} GB of cached tokens",
    ]


def parse() -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--config", type=Path, required=True, metavar="FILE")
    add("--gpus", type=int, default=1, help="(default: %(default)s)")
    add("--tflops", type=float, default=989.0, help="a GPU's peak in bf16 (default: H100's %(default)g)")
    add("--utilisation", type=float, default=0.2, help="share of it that is reached (default: %(default)g)")
    add("--price", type=float, default=3.0, help="of a GPU hour, in any currency (default: %(default)g)")
    add("overrides", nargs="*", metavar="key.path=value", help="replaces the file's value")
    return parser.parse_intermixed_args()


if __name__ == "__main__":
    run_script(main)
