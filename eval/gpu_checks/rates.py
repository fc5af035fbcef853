"""Checks of speed and memory: they pass where the numbers can be true, and the numbers are what is wanted."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gpu_checks.isolation import Failed, Finding, Setup
from gpu_checks.networks import device_of, family_config
from speed.bench import measure
from speed.cases import BASE, CELLS, CHANNELS, CHUNKS, CONTEXT, GRID, Size, training_cases, without_gradients
from speed.timing import medians_s, rates, square_product
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.models.families import FAMILIES
from vidworld.models.world_model import Encoded
from vidworld.simulation.simulated import SimulatedClips
from vidworld.training.run import why_not_compile

SIDE, SMALL_SIDE = 8192, 512
"""Of the product that stands for the card's best rate: large enough that no launch shows."""
CLIPS, SMALL_CLIPS = 32, 2
"""Of a step: a card's share of the 256 of configs/base on eight. And of what is rolled out at a time."""
SECONDS, SMALL_SECONDS = 8.0, 0.3
"""About how long a case is measured."""
MAX_SHARE = 1.05
"""Of the large product's rate, a step's: above, beyond what two measurements scatter, the timing is wrong."""


def training_step(setup: Setup, network: str) -> Finding:
    """Rate and peak memory of a training step at the base size, beside the peer and the rate of a large product."""
    device = device_of(setup)
    size = Size("small", 32, 3, 2) if setup.small else BASE
    clips, seconds = (SMALL_CLIPS, SMALL_SECONDS) if setup.small else (CLIPS, SECONDS)
    compiled = not setup.small and why_not_compile(device) is None
    torch.manual_seed(0)
    product = square_product(device, SMALL_SIDE if setup.small else SIDE)
    best = rates({"product": product}, seconds / 4)["product"]
    case = next(c for c in training_cases(size, clips, device, compiled) if f", {network}," in c.name)
    rate, *memory = measure([case], seconds)
    flops_per_s = case.needed / case.amount * rate.ours
    numbers = {
        "tokens_per_s": rate.ours * CHUNKS * CELLS,
        "tflops_per_s": flops_per_s / 1e12,
        "product_tflops_per_s": best / 1e12,
        "share_of_product": flops_per_s / best,
    }
    detail = (
        f"{numbers['tokens_per_s']:.3g} tokens/s{', compiled' if compiled else ''}, "
        f"{numbers['share_of_product']:.1%} of the {best / 1e12:.3g} TFLOP/s of a large product"
    )
    if rate.ratio is not None:
        numbers["speed_over_peer"] = rate.ratio
        detail += f", {rate.ratio:.2f} x {rate.peer_name}"
    if memory:
        numbers["peak_mb"] = memory[0].ours
        detail += f"; {memory[0].ours:.0f} MB at the peak"
        if memory[0].peer is not None:
            numbers["peer_peak_mb"] = memory[0].peer
    if numbers["share_of_product"] > MAX_SHARE:
        raise Failed(f"faster than the device multiplies: {detail}", numbers)
    return Finding(detail, numbers)


SAMPLING = PhysicsConfig(out=Path(), models={}, levels=(0.5, 0.7, 0.8, 0.9, 1.0))
"""How a world model is used: in the usual sampling steps, its surprise over five noise levels."""


def world_model(setup: Setup, family_name: str) -> Finding:
    """Seconds that a clip's rollout and its surprise take, untrained and at the demo's size."""
    device = device_of(setup)
    count = SMALL_CLIPS if setup.small else CLIPS
    torch.manual_seed(0)
    family = FAMILIES[family_name]
    config = family_config(setup, family_name, scales=("demo",))
    network: Any = family.network(config, CHANNELS)
    world = family.world_model(nn.Module.to(network, device), family_name, SAMPLING)
    clips = SimulatedClips("collision", "id").clips(range(count))
    seen = Encoded(clips, torch.randn(count, CHUNKS, *GRID, CHANNELS).to(device))
    context, seeds = seen.chunks(0, CONTEXT), list(range(count))
    results: dict[str, Tensor] = {}

    def roll_out() -> None:
        results["rollout"] = world.rollout(context, CHUNKS - CONTEXT, 1, seeds).tokens

    def surprise() -> None:
        results["surprise"] = world.surprise(seen, CONTEXT, seeds)

    jobs = {"rollout_s_per_clip": roll_out, "surprise_s_per_clip": surprise}
    done = {name: without_gradients(job, device) for name, job in jobs.items()}
    times = medians_s(done, SMALL_SECONDS if setup.small else SECONDS)
    numbers = {name: seconds / count for name, seconds in times.items()}
    detail = f"rollout {numbers['rollout_s_per_clip']:.2g} s a clip, surprise {numbers['surprise_s_per_clip']:.2g}"
    if wrong := [name for name, values in results.items() if not bool(values.isfinite().all())]:
        raise Failed(f"not finite: {', '.join(wrong)}; {detail}", numbers)
    return Finding(detail, numbers)
