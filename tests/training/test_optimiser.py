"""What was made faster trains as what it stands for does."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from vidworld.core.errors import UserError
from vidworld.models.diffusion import DiffusionTransformer, flow_loss, shifted
from vidworld.models.schema import OptimiserConfig
from vidworld.training.optimiser import Muon, make_optimisers, orthogonalised
from vidworld.training.run import compile_blocks

LR, DECAY = 0.02, 0.1


def torchs(matrices):
    return torch.optim.Muon(matrices, lr=LR, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw")


def test_muon_moves_each_matrix_as_torchs_own_does():
    torch.manual_seed(0)
    start = [torch.randn(shape) for shape in ((24, 8), (8, 24), (24, 8), (16, 16))]
    found = []
    for kind in (lambda matrices: Muon(matrices, LR, DECAY), torchs):
        matrices = [torch.nn.Parameter(matrix.clone()) for matrix in start]
        optimiser = kind(matrices)
        generator = torch.Generator().manual_seed(1)
        for _ in range(4):
            for matrix in matrices:
                matrix.grad = torch.randn(matrix.shape, generator=generator)
            optimiser.step()
        found.append(matrices)
    for ours, theirs, before in zip(*found, start, strict=True):
        assert (ours - theirs).norm() < 0.02 * (theirs - before).norm()  # what bf16 rounds in five iterations


@pytest.mark.parametrize("shape", [(3, 8, 24), (3, 24, 8), (3, 16, 16), (1, 2, 3)])
def test_matrices_are_orthogonalised_by_the_published_polynomial(shape):
    """In float32; torch's own rounds to bf16."""
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    values = values / values.norm(dim=1, keepdim=True)
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    assert torch.allclose(orthogonalised(matrices), left * values[:, None] @ right, atol=1e-4)


def test_faint_directions_do_not_blow_up_in_bf16():
    torch.manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(2, side, 64))[0] for side in (64, 256))
    matrices = left / torch.arange(1, 65) @ right.mT
    values = torch.linalg.svdvals(orthogonalised(matrices.bfloat16()).float())
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_muon_leaves_a_matrix_without_gradient_alone():
    matrix = torch.nn.Parameter(torch.ones(3, 3))
    Muon([matrix], LR, DECAY).step()
    assert torch.equal(matrix, torch.ones(3, 3))


def test_a_part_of_the_network_moves_by_its_own_rate():
    network = torch.nn.ModuleDict({"encoder": torch.nn.Linear(4, 4), "head": torch.nn.Linear(4, 4)})
    optimisers = make_optimisers(network, OptimiserConfig(lr=LR, weight_decay=0, lr_factors={"encoder": 0.1}))
    for each in network.values():
        torch.nn.init.eye_(each.weight)
        torch.nn.init.zeros_(each.bias)
        each.weight.grad, each.bias.grad = torch.eye(4), torch.ones(4)
    for optimiser in optimisers:
        optimiser.step()
    for name, change in (("weight", lambda value: value - torch.eye(4)), ("bias", lambda value: value)):
        slow, fast = (change(getattr(network[part], name)) for part in ("encoder", "head"))
        assert fast.abs().max() > 0 and torch.allclose(slow, 0.1 * fast, rtol=1e-2), name
    with pytest.raises(UserError, match="lr_factors: encode is no part of this network; encoder, head are"):
        make_optimisers(network, OptimiserConfig(lr_factors={"encode": 0.1}))


def losses(make, prepare=lambda network: None, steps=100):
    """Of a small diffusion world on the same clips, noise and first weights."""
    torch.manual_seed(0)
    network = DiffusionTransformer(8, width=32, depth=2, heads=2)
    prepare(network)
    optimisers = make(network)
    clips = torch.randn(1, 4, 2, 2, 8).cumsum(dim=1).expand(8, -1, -1, -1, -1)
    found = []
    for _ in range(steps):
        with torch.autocast("cpu", torch.bfloat16):
            loss = flow_loss(network, clips, torch.randn(8, 3, 2, 2, 8), shifted(torch.rand(8, 3), 3.0))
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        found.append(loss.item())
    return torch.tensor(found)


def ours(network):
    return make_optimisers(network, OptimiserConfig(lr=3e-3))


def with_torchs_muon(network):
    adamw, muon = ours(network)
    matrices = muon.param_groups[0]["params"]
    return adamw, torch.optim.Muon(matrices, lr=3e-3, weight_decay=0.02, adjust_lr_fn="match_rms_adamw")


@pytest.mark.slow
def test_a_hundred_losses_are_those_with_torchs_muon():
    """To 3% of each: bf16 rounds differently where matrices are multiplied together, and steps add that up."""
    found, expected = losses(ours), losses(with_torchs_muon)
    assert expected[-10:].mean() < 0.5 * expected[:10].mean()
    assert ((found - expected).abs() < 0.03 * expected).all()


@pytest.mark.slow
def test_a_hundred_losses_with_compiled_blocks_are_those_without():
    """In a process of its own: what checks shapes during the tests cannot be compiled."""
    script = (
        "from test_optimiser import *\n"
        "found = losses(ours, lambda network: compile_blocks(network, Accelerator(cpu=True)))\n"
        "print(((found - losses(ours)).abs() / found).max().item())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "going on without" not in done.stdout
    assert float(done.stdout.split()[-1]) < 0.03


def test_without_a_compiler_that_is_said_and_the_blocks_stay(monkeypatch, capsys):
    def compiled(function):
        def call(*_):
            raise RuntimeError("No working C++ compiler found\nand more")

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    network = DiffusionTransformer(8, width=32, depth=1, heads=2)
    compile_blocks(network, Accelerator(cpu=True))
    assert "going on without (No working C++ compiler found)" in capsys.readouterr().out
    assert network.blocks[0]._compiled_call_impl is None
