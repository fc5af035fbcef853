"""Clips a second of one process and of two, one thread each: python eval/bench_scaling.py [--rounds 12].

Weak scaling: every process has as many clips as the one alone. The diffusion model of the demo, on noise for tokens;
data parallel over gloo as in a training, gradients exchanged, the optimiser included. Beside it stand two processes at
once that exchange nothing: more than they get out of two cores nobody can. All stay alive and take short turns, so
that a core that is slow for a minute is slow for each of them; ratios are medians over the rounds.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from accelerate import Accelerator

from vidworld.core.config import load
from vidworld.core.errors import ArgumentParser, UserError, run_script
from vidworld.core.hardware import precision, product_dtype
from vidworld.models.diffusion import DiffusionTransformer, flow_loss
from vidworld.models.families import DiffusionConfig
from vidworld.models.schema import OptimiserConfig, TokenizerConfig
from vidworld.models.tokenizers import grid_shape
from vidworld.training.optimiser import make_optimisers

CONFIGS = Path(__file__).parents[1] / "configs" / "demo"
CLIPS = 8
"""Of one process' step, as in the demo."""
STEPS = 6
"""Of a turn; one more before it is not timed."""


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="turns of each kind")
    rounds = parser.parse_args().rounds
    if "RANK" in os.environ:
        take_turns()
        return
    first, second = start(1), start(1)
    kinds = {"one process": first, "two together": start(2), "two that exchange nothing": [*first, *second]}
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(rounds):
        for name, processes in kinds.items():
            rates[name].append(rate_of(processes))
        shown = ", ".join(f"{name} {of_kind[-1]:.1f}" for name, of_kind in rates.items())
        print(f"round {number + 1} of {rounds}, clips/s: {shown}", flush=True)
    everyone = (*first, *second, *kinds["two together"])
    for process in everyone:  # of all before any is waited for: those of one group wait for each other
        assert process.stdin is not None
        process.stdin.close()
    for process in everyone:
        process.wait()
    one, two, apart = rates.values()
    together, bound = (median(b / a for a, b in zip(one, both, strict=True)) for both in (two, apart))
    print(f"medians, clips/s: {', '.join(f'{name} {median(of_kind):.1f}' for name, of_kind in rates.items())}")
    print(f"weak scaling from one to two: {together:.2f} times (exchanging nothing: {bound:.2f})")


def start(count: int) -> list[subprocess.Popen[str]]:
    """So many processes of one group, which wait for their turn."""
    with socket.socket() as any_port:
        any_port.bind(("localhost", 0))
        port = any_port.getsockname()[1]
    common = {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "WORLD_SIZE": str(count)}
    common |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    environments = [os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
    line, pipe = [sys.executable, __file__], subprocess.PIPE
    return [subprocess.Popen(line, env=each, stdin=pipe, stdout=pipe, text=True) for each in environments]


def rate_of(processes: Sequence[subprocess.Popen[str]]) -> float:
    """Clips a second of these processes in one turn. Raises UserError: one of them failed."""
    for process in processes:
        assert process.stdin is not None
        print("go", file=process.stdin, flush=True)
    answers = []
    for process in processes:
        assert process.stdout is not None
        answers.append(process.stdout.readline())
    if not all(answers):
        raise UserError("a process of the measurement failed; what it said stands above")
    return sum(map(float, answers))


def network_of_demo() -> tuple[DiffusionTransformer, tuple[int, int, int]]:
    """The demo's diffusion model, untrained, and the grid (t, h, w) of a clip's tokens, from its configurations."""
    tokenizer = load(TokenizerConfig, CONFIGS / "tokenizer.yaml").model
    config = load(DiffusionConfig, CONFIGS / "diffusion.yaml")
    shape = config.data.shape
    grid = grid_shape(shape.num_frames, shape.height_px, shape.width_px, tokenizer.patch_size)
    return DiffusionTransformer(tokenizer.channels, **vars(config.model)), grid


def take_turns() -> None:
    """Some steps for every line of the input, whose clips a second are said, to the input's end."""
    accelerator = Accelerator(mixed_precision=precision())
    torch.manual_seed(0)
    network, tokens = network_of_demo()
    model, *optimisers = accelerator.prepare(network, *make_optimisers(network, OptimiserConfig(), product_dtype()))
    t, h, w = tokens
    channels = network.config.channels
    clean, noise = torch.randn(CLIPS, t, h, w, channels), torch.randn(CLIPS, t - 1, h, w, channels)
    batch = clean, noise, torch.rand(CLIPS, t - 1)

    def step() -> None:
        with accelerator.autocast():
            accelerator.backward(flow_loss(model, *batch))
        accelerator.clip_grad_norm_(network.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()

    for _ in sys.stdin:
        step()
        started = time.monotonic()
        for _ in range(STEPS):
            step()
        print(CLIPS * STEPS / (time.monotonic() - started), flush=True)
    # The end of a process group may wait for ever where a thread of gloo's still lets go of the last tensors.
    accelerator.wait_for_everyone()
    accelerator.end_training()


if __name__ == "__main__":
    run_script(main)
