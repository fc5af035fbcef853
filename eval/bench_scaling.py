"""Clips a second of one process and of two, one thread each: python eval/bench_scaling.py [--steps 30].

Weak scaling: every process has as many clips as the one alone. The diffusion world of the demo, on noise for tokens;
data parallel over gloo as in a training, gradients exchanged, the optimiser included. Beside it stand two processes at
once that exchange nothing: more than they get out of two cores nobody can. All take turns; medians of the turns.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import torch
from accelerate import Accelerator

from vidworld.errors import ArgumentParser, UserError, run_script
from vidworld.models.dit import DiffusionTransformer
from vidworld.models.flow import flow_loss
from vidworld.optimiser import make_optimisers
from vidworld.schema import OptimiserConfig

CLIPS = 8
"""Of one process' step, as in the demo."""
WARM_UP = 3
TURNS = 3


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30, help="steps that are timed")
    steps = parser.parse_args().steps
    if "RANK" in os.environ:
        measure(steps)
        return
    runs = {"one process": [1], "two together": [2], "two that exchange nothing": [1, 1]}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for name in [*runs] * TURNS:
        rates[name].append(rate_of(runs[name], steps))
        print(f"{name}: {rates[name][-1]:.1f} clips/s", flush=True)
    one, two, apart = (median(of_run) for of_run in rates.values())
    print(f"weak scaling from one to two: {two / one:.2f} times (exchanging nothing: {apart / one:.2f})")


def rate_of(launches: Sequence[int], steps: int) -> float:
    """Clips a second of all launches at once, each of so many processes.

    Raises:
        UserError: one of them failed.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    started = []
    for processes in launches:
        launch = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        line = [sys.executable, "-m", *launch, __file__, "--steps", str(steps)]
        started.append(subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True))
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise UserError("a process of the measurement failed; what it said stands above")
    return sum(float(text.split()[-1]) for text in said)


def measure(steps: int) -> None:
    """Prints the clips a second of all processes together, by the median of the steps."""
    accelerator = Accelerator(mixed_precision="bf16")
    torch.manual_seed(0)
    network = DiffusionTransformer(48)
    model, *optimisers = accelerator.prepare(network, *make_optimisers(network, OptimiserConfig()))
    batch = torch.randn(CLIPS, 4, 8, 8, 48), torch.randn(CLIPS, 3, 8, 8, 48), torch.rand(CLIPS, 3)
    moments = []
    for _ in range(WARM_UP + steps):
        with accelerator.autocast():
            accelerator.backward(flow_loss(model, *batch))
        accelerator.clip_grad_norm_(network.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        moments.append(time.monotonic())
    usual_s = median(after - before for before, after in pairwise(moments[WARM_UP - 1 :]))
    accelerator.print(CLIPS * accelerator.num_processes / usual_s)
    # The end of a process group may wait for ever where a thread of gloo's still lets go of the last tensors.
    accelerator.wait_for_everyone()
    accelerator.end_training()


if __name__ == "__main__":
    run_script(main)
