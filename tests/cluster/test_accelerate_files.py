"""The files of configs/accelerate: they parse, say what their names say, and FSDP2 shards what it should."""

import subprocess
import sys

import pytest
import torch
from accelerate.utils.fsdp_utils import fsdp2_prepare_auto_wrap_policy
from safetensors.torch import load_file
from small_runs import ENVIRONMENT, ROOT, fsdp2_plugin, launched_with

from vidworld.models.diffusion import DiffusionTransformer
from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.layers import Block
from vidworld.models.probe import Probe
from vidworld.models.tokenizers.autoencoder import Autoencoder

FILES = {  # machines, processes
    "one_gpu.yaml": (1, 1),
    "eight_gpus.yaml": (1, 8),
    "two_nodes.yaml": (2, 16),
    "two_cpu_processes.yaml": (1, 2),
    "fsdp2.yaml": (1, 8),
}


def test_every_file_is_looked_at_here():
    assert {path.name for path in (ROOT / "configs" / "accelerate").iterdir()} == set(FILES)


@pytest.mark.parametrize("file", FILES)
def test_accelerate_launch_understands_it(file):
    arguments, environment = launched_with(file)
    assert (arguments.num_machines, arguments.num_processes) == FILES[file]
    assert arguments.use_fsdp == (file == "fsdp2.yaml")
    assert arguments.multi_gpu == (arguments.num_processes > 1 and file != "fsdp2.yaml")
    assert (environment.get("ACCELERATE_USE_FSDP") == "true") == (file == "fsdp2.yaml")


@pytest.mark.parametrize(
    ("network", "blocks"),
    [
        (lambda: DiffusionTransformer(8, width=32, depth=3, heads=2), 3),
        (lambda: JointEmbeddingPredictor(8, width=32, encoder_depth=2, predictor_depth=1, heads=2), 3),
        (lambda: Autoencoder(channels=8, width=32, depth=2, heads=2), 4),
        (lambda: Probe(8, 8, width=32, depth=2), 2),
    ],
)
def test_fsdp2_shards_every_block_by_itself_and_nothing_else(network, blocks):
    network, plugin = network(), fsdp2_plugin()
    assert plugin.fsdp_version == 2
    plugin.set_auto_wrap_policy(network)
    policy = fsdp2_prepare_auto_wrap_policy(plugin, network)
    chosen = [module for module in network.modules() if policy(module)]
    assert len(chosen) == blocks
    assert all(type(module) is Block for module in chosen)


@pytest.mark.slow
def test_a_sharded_run_comes_to_the_weights_of_one_that_is_not(tmp_path):
    """Muon and AdamW on two processes over gloo, by torch's fully_shard; the state goes into another and back."""
    script = str(ROOT / "tests" / "support" / "sharded_steps.py")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for name, of in (("one", []), ("two", launcher)):
        line = [sys.executable, *of, script, str(tmp_path / name)]
        done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr
    for kind in ("network", "average", "optimiser"):
        one, two = (load_file(tmp_path / name / f"{kind}.safetensors") for name in ("one", "two"))
        again = load_file(tmp_path / "two" / f"restored_{kind}.safetensors")
        assert one.keys() == two.keys() == again.keys()
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-9, atol=1e-12)
            assert torch.equal(two[name], again[name]), name
