"""Verify on a GPU what only a GPU shows: python eval/check_gpu.py [--out runs/check_gpu/check_gpu.json]

Precisions, compiled blocks, attention backends, gradient checkpointing, resuming, FSDP2, speed and memory: about eight
minutes on one GPU, without the network. Each check runs in a process of its own. Exit code 1: a check failed.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

from gpu_checks.isolation import Check, Outcome, Setup, run_checks
from gpu_checks.trainings import networks
from vidworld.core.errors import ArgumentParser, UserError, run_script
from vidworld.core.records import clear_folder, prepare_folder, provenance, write_json, write_text
from vidworld.models.families import FAMILIES

STEPS, QUICK_STEPS = 50, 8
MAX_JOBS = 4
"""Checks at a time, where there are four cores for each: their trainings start slowly and hardly fill a GPU."""
CPU_PATIENCE = 4.0
"""Times the limits of a GPU."""
TRAININGS, PASSES, RATES = (f"gpu_checks.{name}" for name in ("trainings", "networks", "rates"))
PREPARATION = Check("preparation", f"{TRAININGS}:prepare")
MODES = ("default", "reduce-overhead")
COMPARED = ("diffusion", "jepa")
"""Networks whose blocks are of different kinds, modulated and plain."""


def main() -> None:
    arguments = parse()
    import torch

    device = torch.accelerator.current_accelerator(check_available=True)
    if device is None and not arguments.cpu:
        raise UserError("torch sees no GPU here; on a machine without one, --cpu checks the little that a CPU can")
    out = arguments.out
    logs = prepare_folder(out.parent) / "logs"
    clear_folder(logs)
    prepare_folder(logs)
    cores = os.cpu_count() or 1
    jobs = max(1, min(MAX_JOBS, cores // 4))
    small = arguments.cpu or arguments.quick
    environment = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1" if small else str(max(1, cores // jobs))}
    if arguments.cpu:
        environment |= {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        steps, patience = QUICK_STEPS if arguments.quick else STEPS, CPU_PATIENCE if arguments.cpu else 1.0
        setup = Setup(Path(folder), logs.resolve(), arguments.cpu, small, steps, patience, environment)
        outcomes: list[Outcome] = []
        for checks, at_once in stages(arguments.only, arguments.cpu):
            for outcome in run_checks(checks, setup, at_once or jobs):
                outcomes.append(outcome)
                print(line(outcome), flush=True)
    count = {status: sum(o.status == status for o in outcomes) for status in ("passed", "failed", "skipped")}
    settings = {"cpu": setup.cpu, "small": setup.small, "steps": setup.steps}
    found = {"seconds": round(time.monotonic() - began, 1), **count, "checks": [asdict(each) for each in outcomes]}
    write_json(out, {"schema": 1, "provenance": provenance(0), **settings, **found})
    write_text(out.with_suffix(".md"), table(outcomes))
    print(f"{out}: " + ", ".join(f"{number} {status}" for status, number in count.items()))
    if count["failed"]:
        raise SystemExit(1)


def stages(only: Sequence[str], cpu: bool) -> list[tuple[list[Check], int | None]]:
    """The checks that are wanted, each stage after the one before, and how many of it run at a time (None: several)."""
    trainings, passes, alone = training_checks(cpu), pass_checks(cpu), rate_checks()
    names = [check.name for check in (PREPARATION, *trainings, *passes, *alone)]
    for pattern in only:
        if not any(fnmatch(name, pattern) for name in names):
            raise UserError(f"--only {pattern!r}: fits none of {'; '.join(names)}")

    def wanted(checks: Sequence[Check]) -> list[Check]:
        return [c for c in checks if not only or any(fnmatch(c.name, pattern) for pattern in only)]

    needs = [PREPARATION] if wanted([PREPARATION, *trainings]) else []
    # what is timed has the machine for itself
    return [(needs, 1), (wanted([*trainings, *passes]), None), (wanted(alone), 1)]


def training_checks(cpu: bool) -> list[Check]:
    """Those that train, of which all need the preparation. The longest come first."""
    compiling = [
        Check(f"compiled, {network}, {mode}", f"{TRAININGS}:compiling", (network, mode), limit_s=240)
        for network, mode in product(COMPARED, MODES)
    ]
    function = f"{TRAININGS}:precisions"
    precisions = [Check(f"bf16 and float32, {label}", function, each) for label, each in networks().items()]
    resumed = Check("killed and resumed", f"{TRAININGS}:resuming")
    why_not = "on a CPU accelerate takes FSDP for plain data parallel" if cpu else ""
    sharded = Check("FSDP2 of one process", f"{TRAININGS}:sharding", skip=why_not)
    return [*compiling, resumed, sharded, *precisions]


def pass_checks(cpu: bool) -> list[Check]:
    """Those of a single forward and backward pass."""
    function, memory = f"{PASSES}:attention_backend", f"{PASSES}:gradient_checkpointing"
    why_none = "on a CPU attention is plain matrix products, whatever the backend"
    backends = [Check("attention, all backends", function, skip=why_none)]
    if not cpu:
        known = attention_backends()
        backends = [Check(f"attention, {name}", function, (name,), skip=reason) for name, reason in known.items()]
    return backends + [Check(f"gradient checkpointing, {name}", memory, (name,)) for name in FAMILIES]


def attention_backends() -> dict[str, str]:
    """Every attention backend of diffusers but the native one, and why it cannot be used here; empty where it can."""
    from diffusers.models import attention_dispatch

    found = {}
    for backend in attention_dispatch.AttentionBackendName:
        reason = "fetches its kernel from the network" if "hub" in backend.value else ""
        try:  # nowhere else does diffusers say which packages a backend needs
            attention_dispatch._check_attention_backend_requirements(backend)
        except RuntimeError as missing:
            reason = reason or str(missing).partition(". ")[0]
        found[backend.value] = reason
    del found["native"]
    return found


def rate_checks() -> list[Check]:
    """Those that are timed."""
    steps = [Check(f"training step, {name}", f"{RATES}:training_step", (name,), limit_s=240) for name in COMPARED]
    return steps + [Check(f"world model, {name}", f"{RATES}:world_model", (name,)) for name in FAMILIES]


def line(outcome: Outcome) -> str:
    """An outcome for the terminal."""
    return f"{outcome.status:7} {outcome.seconds:6.1f} s  {outcome.name}: {outcome.detail}"


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as Markdown, those that failed first."""
    order = {"failed": 0, "passed": 1, "skipped": 2}
    found = sorted(outcomes, key=lambda o: order[o.status])
    rows = [f"| {o.name} | {o.status} | {o.seconds:.1f} | {o.detail.replace('|', '/')} |" for o in found]
    return "\n".join(["| check | status | seconds | found |", "|---|---|---|---|", *rows]) + "\n"


def parse() -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--out", type=Path, default=Path("runs/check_gpu/check_gpu.json"), help="(default: %(default)s)")
    add("--cpu", action="store_true", help="check small networks on the CPU")
    add("--quick", action="store_true", help=f"small networks, and {QUICK_STEPS} steps instead of {STEPS}")
    add("--only", action="append", default=[], metavar="PATTERN", help="only checks of such a name ('*jepa*')")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
