"""Checks of whole trainings: the scripts of train/ with the demo's configurations, shortened."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, get_args, get_type_hints

from gpu_checks.isolation import Failed, Finding, Setup, Skipped
from vidworld.core.records import read_jsonl
from vidworld.models.families import FAMILIES

ROOT = Path(__file__).parents[2]
CLIPS = 512
"""Of the training set: more than 50 steps of 8 draw, and one shard of cached tokens."""
TIMEOUT_S = 120
"""Of a step. A worker of torchrun that hangs outlives a check that is killed, and ends itself after so long."""
LAST = 10
"""Steps whose mean loss is compared: that of a single one depends on its batch."""

# Two trainings in other roundings see the same clips and the same noise, so that their losses differ by rounding: at
# the first step, whose weights are equal, by that of one forward pass, and later by what has grown of it in the
# weights. With small networks on a CPU, bf16 and float32 were apart by at most 0.08% at the first step and 0.97% over
# the last ten of 50 (vcreg and sigreg; the other networks 0.2%). What is looked for (a layer in the wrong precision, a
# stale buffer of a graph, a gradient that is not reduced) changes the loss by tens of percent or keeps it from falling.
MAX_FIRST_DIFFERENCE = 0.01
MAX_LAST_DIFFERENCE = 0.05

_SMALL_PREDICTOR = ("model.width=32", "model.encoder_depth=1", "model.predictor_depth=1", "model.heads=2")
SMALL = {
    "tokenizer": ("model.channels=8", "model.width=32", "model.depth=1", "model.heads=1"),
    "diffusion": ("model.width=32", "model.depth=2", "model.heads=2"),
    "jepa": _SMALL_PREDICTOR,
    "regression": _SMALL_PREDICTOR,
    "probe": ("width=32",),
}
SMALL_DATA = ("data.clips=64", "data.shape.height_px=32", "data.shape.width_px=32", "global_batch_size=4")
_LAUNCHER = ("-m", "accelerate.commands.launch", "--num_processes", "1", "--main_process_port", "0")  # 0: any free
FSDP2 = (*_LAUNCHER, "--config_file", str(ROOT / "configs/accelerate/fsdp2.yaml"))


@dataclass(frozen=True)
class Trained:
    """A finished training."""

    folder: Path
    output: str
    ran: dict[str, str]
    """Device, kind of distribution, and precision that it ran with, as accelerate says."""

    @property
    def losses(self) -> list[float]:
        """Of each step; a loss that is not finite is NaN."""
        rows = read_jsonl(self.folder / "metrics.jsonl")
        return [float("nan") if row["loss"] is None else row["loss"] for row in rows]


# --- the checks --------------------------------------------------------------------------------------------


def prepare(setup: Setup) -> Finding:
    """Train the tokenizer of all other trainings, in float32, and make the tokens that they share."""
    tokenizer = train(setup, "tokenizer", "tokenizer", "mixed_precision=no")
    train(setup, "diffusion", "preparation", "steps=1")
    return Finding(f"a tokenizer on {tokenizer.ran['device']}", {"loss": tokenizer.losses[-1]})


def networks() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Everything that can be trained, by label: its configuration's name and overrides."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {"tokenizer": ("tokenizer", ())}
    for family in FAMILIES:
        hints = get_type_hints(FAMILIES[family].config)
        targets = get_args(get_type_hints(hints["model"]).get("target")) if "model" in hints else ()
        found |= {f"{family}, {t}": (family, (f"model.target={t}",)) for t in targets}
        if not targets:
            found[family] = (family, ())
    return found | {"probe": ("probe", ())}


def precisions(setup: Setup, network: str, overrides: Sequence[str]) -> Finding:
    """Train in float32 and in bf16."""
    name = "_".join(("precision", network, *overrides)).replace("=", "_")
    plain, bf16 = (
        train(setup, network, f"{name}_{precision}", f"mixed_precision={precision}", *overrides)
        for precision in ("no", "bf16")
    )
    if (plain.ran["precision"], bf16.ran["precision"]) != ("no", "bf16"):
        raise Failed(f"trained in {plain.ran['precision']} and {bf16.ran['precision']}")
    return agree("float32", plain, "bf16", bf16)


def compiling(setup: Setup, network: str, mode: str) -> Finding:
    """Train with compiled blocks and without."""
    name = f"compile_{network}_{mode}"
    plain = train(setup, network, f"{name}_plain")
    # inductor says only there why it records no CUDA graphs
    environment = {"TORCH_LOGS": "perf_hints"}
    line = command(setup, network, name, "compile=true", f"compile_mode={mode}")
    compiled = finished(setup, line, setup.folder / name, environment)
    said = [line for line in compiled.output.splitlines() if "compile: not possible" in line]
    if said:
        raise Skipped(said[0])
    finding = agree("not compiled", plain, "compiled", compiled)
    skips = [line for line in compiled.output.splitlines() if "skipping cudagraphs due to" in line]
    graphs = f"; {skips[0][skips[0].index('skipping') :]}" if skips and mode == "reduce-overhead" else ""
    return Finding(finding.detail + graphs, finding.numbers)


def resuming(setup: Setup) -> Finding:
    """Kill a training after a checkpoint and let it go on: it must come to the bits of one that was not disturbed.

    Both run with torch.use_deterministic_algorithms: without it, kernels that add up in the order in which threads come
    (the backward pass of fused attention) give other bits in every run, killed or not.
    """
    environment = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}  # the same of cuBLAS
    overrides = ("steps=30", "save_every=5")
    whole, killed = (setup.folder / f"resume_{name}" for name in ("whole", "killed"))
    lines = [command(setup, "diffusion", out.name, *overrides, exact=True) for out in (whole, killed)]
    try:
        finished(setup, lines[0], whole, environment)
    except Failed as fault:
        if "deterministic" in str(fault):
            raise Skipped(f"the device cannot repeat a training to the bit: {fault}") from fault
        raise
    step = kill_after_checkpoint(lines[1], killed, environment)
    resumed = finished(setup, lines[1], killed, environment)
    if f"going on from step {step}" not in resumed.output:
        raise Failed(f"killed after step {step}, but did not go on from there: {resumed.output[-300:]}")
    from safetensors.torch import load_file

    weights = [load_file(out / "model" / "diffusion_pytorch_model.safetensors") for out in (whole, killed)]
    apart = {name: float((value - weights[1][name]).abs().max()) for name, value in weights[0].items()}
    numbers = {"killed_after_step": step, "largest_difference": max(apart.values())}
    if numbers["largest_difference"] > 0:
        different = sum(value > 0 for value in apart.values())
        raise Failed(f"{different} of {len(apart)} tensors differ from an undisturbed run's", numbers)
    return Finding(f"killed after step {step}; bit-equal with deterministic algorithms", numbers)


def sharding(setup: Setup) -> Finding:
    """Train one process under FSDP2, and without."""
    overrides = ("steps=20", "save_every=10")
    plain = train(setup, "diffusion", "fsdp2_plain", *overrides)
    line = command(setup, "diffusion", "fsdp2", *overrides, launcher=FSDP2)
    sharded = finished(setup, line, setup.folder / "fsdp2")
    if sharded.ran["distributed"] != "FSDP":
        raise Failed(f"ran as {sharded.ran['distributed']}, not as FSDP")
    return agree("plain", plain, "FSDP2", sharded)


# --- what they are made of ---------------------------------------------------------------------------------


def train(setup: Setup, network: str, name: str, *overrides: str) -> Trained:
    """A short training of a network in the folder `name`, its blocks not compiled unless an override says so."""
    return finished(setup, command(setup, network, name, *overrides), setup.folder / name)


def command(
    setup: Setup, network: str, name: str, *overrides: str, launcher: Sequence[str] = (), exact: bool = False
) -> list[str]:
    """The command line of a short training."""
    config = ROOT / "configs" / "demo" / f"{network}.yaml"
    if not config.exists():  # a family of another package
        raise Skipped(f"{config.relative_to(ROOT)}: there is none")
    script = ROOT / "train" / f"train_{network if network in ('tokenizer', 'probe') else 'world_model'}.py"
    settings = [f"out={setup.folder / name}", f"steps={setup.steps}", f"data.clips={CLIPS}", "compile=false"]
    settings += ["log_every=1", "save_every=1000", f"timeout_s={TIMEOUT_S}"]
    if network != "tokenizer":
        settings.append(f"tokenizer={setup.folder / 'tokenizer'}")
    if setup.small:
        settings += [*SMALL_DATA, *SMALL.get(network, ())]
    run = [*launcher, str(Path(__file__).with_name("run_training.py"))]
    run += [*(["--exact"] if exact else []), str(script)]
    return [sys.executable, *run, "--config", str(config), *settings, *overrides]


def finished(setup: Setup, line: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> Trained:
    """The training of a command line, run to its end on the device that is checked. Raises Failed."""
    variables, out, err = os.environ | (environment or {}), subprocess.PIPE, subprocess.STDOUT
    process = subprocess.run(line, env=variables, cwd=ROOT, stdout=out, stderr=err, text=True, check=False)
    print(process.stdout, flush=True)
    said = process.stdout.strip().splitlines() or ["nothing was printed"]
    if process.returncode:
        fault = next((text for text in reversed(said) if "rror" in text), said[-1])
        raise Failed(f"{folder.name}: exit code {process.returncode}: {fault.strip()}")
    ran: dict[str, Any] = json.loads(next(text for text in reversed(said) if text.startswith('{"device"')))
    if (ran["device"] == "cpu") != setup.cpu:
        raise Failed(f"{folder.name}: ran on {ran['device']}")
    return Trained(folder, process.stdout, ran)


def kill_after_checkpoint(line: Sequence[str], folder: Path, environment: dict[str, str]) -> int:
    """Start a training and kill it after its first checkpoint; the step of the newest whole one. Raises Failed."""
    process = subprocess.Popen(line, env=os.environ | environment, cwd=ROOT)
    while process.poll() is None and not list(folder.glob("checkpoints/step_*/manifest.json")):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        raise Failed(f"{folder.name}: ended with exit code {process.returncode} before it could be killed")
    whole = folder.glob("checkpoints/step_*/manifest.json")
    return max(int(path.parent.name.removeprefix("step_")) for path in whole)


def agree(name: str, reference: Trained, other_name: str, other: Trained) -> Finding:
    """That two trainings of the same clips and noise have about the same losses, all of them finite. Raises Failed."""
    losses, others = reference.losses, other.losses
    last, other_last = fmean(losses[-LAST:]), fmean(others[-LAST:])
    first_apart, last_apart = abs(others[0] / losses[0] - 1), abs(other_last / last - 1)
    numbers = {"loss": last, "other_loss": other_last, "first_difference": first_apart, "last_difference": last_apart}
    detail = f"loss {last:.4g} {name}, {other_last:.4g} {other_name}: {last_apart:.2%} apart"
    if not all(math.isfinite(value) for value in (*losses, *others)):
        raise Failed(f"a loss is not finite; {detail}", numbers)
    if len(losses) != len(others):
        raise Failed(f"{len(losses)} steps {name}, {len(others)} {other_name}", numbers)
    if first_apart > MAX_FIRST_DIFFERENCE:
        raise Failed(f"the first losses are {first_apart:.2%} apart; {detail}", numbers)
    if last_apart > MAX_LAST_DIFFERENCE:
        raise Failed(f"{detail}, more than {MAX_LAST_DIFFERENCE:.0%}", numbers)
    return Finding(detail, numbers)
