"""Small runs in processes of their own, as a cluster starts and kills them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
SMALL = {
    "tokenizer": ["model.channels=8", "model.width=32", "model.depth=1", "model.heads=1"],
    "diffusion": ["model.width=32", "model.depth=2", "model.heads=2"],
    "regression": ["model.width=32", "model.encoder_depth=1", "model.predictor_depth=1", "model.heads=2"],
    "probe": ["width=32"],
}
SMALL |= {"jepa": SMALL["regression"], "few_step": []}
SETTINGS = [
    "steps=6",
    "global_batch_size=4",
    "log_every=1",
    "save_every=2",
    "mixed_precision=no",
    "compile=false",
    "data.clips=64",
    "data.shape.height_px=32",
    "data.shape.width_px=32",
]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "ACCELERATE_USE_CPU": "true",
}


def command(name, out, *overrides, processes=1, launcher=()):
    """The command line of a small training: the last of a key's values counts."""
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    sources = [] if name == "tokenizer" else [f"tokenizer={out.parent / 'tokenizer'}"]
    config = ["--config", str(ROOT / "configs" / "demo" / f"{name}.yaml"), f"out={out}"]
    script = ROOT / "train" / f"train_{name}.py"
    script = str(script if script.exists() else script.with_name("train_world_model.py"))
    return [sys.executable, *launcher, script, *config, *sources, *SETTINGS, *SMALL[name], *overrides]


def train(name, out, *overrides, processes=1):
    """What a finished process of a small training is: its exit code and what it said."""
    line = command(name, out, *overrides, processes=processes)
    return subprocess.run(line, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def train_here(name, out, *overrides):
    """The exit code of a small training in this very process."""
    _, script, *arguments = command(name, out, *overrides)
    from scripts import run  # not where processes of their own import this

    return run(script, *arguments)


def rows(run_folder):
    """What a run has logged."""
    return [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]


def weights(run_folder):
    """The tensors of a finished model."""
    return load_file(run_folder / "model" / "diffusion_pytorch_model.safetensors")


def evaluation(runs, out, processes=1):
    """The command line of a small evaluation of these runs."""
    models = [f"tokenizer={runs / 'tokenizer'}", f"probe={runs / 'probe'}"]
    models += [f"models.{name}={runs / name}" for name in ("regression", "diffusion")]
    few = ["clips=3", "quadruplets=4", "further_quadruplets=2", "ood_quadruplets=2", "shown=1", "sampling_steps=2"]
    size = ["shape.height_px=32", "shape.width_px=32", "mixed_precision=no", "levels=[0.7,1.0]", "scenarios=[uniform]"]
    config = ["--config", str(ROOT / "configs" / "short" / "physics.yaml"), f"out={out}"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [
        sys.executable,
        *launcher[: 5 * (processes > 1)],
        str(ROOT / "eval" / "run_physics.py"),
        *config,
        *models,
        *few,
        *size,
    ]


def launched_with(file):
    """The environment that `accelerate launch --config_file configs/accelerate/FILE` gives its processes."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env, prepare_simple_launcher_cmd_env

    path = ROOT / "configs" / "accelerate" / file
    arguments = launch_command_parser().parse_args(["--config_file", str(path), "script.py"])
    arguments, _, _ = _validate_launch_command(arguments)
    if arguments.multi_gpu or arguments.use_fsdp:
        return arguments, prepare_multi_gpu_env(arguments)
    return arguments, prepare_simple_launcher_cmd_env(arguments)[1]


def fsdp2_plugin():
    """Accelerate's plugin as configs/accelerate/fsdp2.yaml sets it up."""
    from accelerate import FullyShardedDataParallelPlugin

    _, environment = launched_with("fsdp2.yaml")
    os.environ.update({k: v for k, v in environment.items() if k.startswith("FSDP_")})
    return FullyShardedDataParallelPlugin()
