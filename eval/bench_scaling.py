"""Clips a second of one process and of two, one thread each: python eval/bench_scaling.py [--steps 30].

Weak scaling: every process has as many clips as the one alone. The diffusion world of the demo, on noise for tokens;
data parallel over gloo as in a training, gradients exchanged, the optimiser included. One and two take turns, and the
best turn of each counts: what else the machine does slows two, which wait for one another, more than one.
"""

import os
import subprocess
import sys
import time
from itertools import pairwise
from statistics import median

import torch
from accelerate import Accelerator

from vidworld.errors import ArgumentParser, run_script
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
    best = {1: 0.0, 2: 0.0}
    for processes in [*best] * TURNS:
        launch = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        line = [sys.executable, "-m", *launch, __file__, "--steps", str(steps)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
        said = subprocess.run(line, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
        rate = float(said.split()[-1])
        best[processes] = max(best[processes], rate)
        print(f"{processes} process{'es'[: 2 * processes - 2]}: {rate:.1f} clips/s", flush=True)
    print(f"weak scaling from one to two: {best[2] / best[1]:.2f} times")


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
