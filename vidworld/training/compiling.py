"""Compiled blocks, where the machine can compile."""

import torch
from accelerate import Accelerator
from diffusers.models.modeling_utils import ModelMixin


def compile_blocks(network: ModelMixin, accelerator: Accelerator, mode: str = "default") -> None:
    """Compiles one transformer block for all of a kind, a fraction of the time that a whole network takes.

    Where nothing can be compiled, that is said and the blocks stay as they are.
    """
    reason = why_not_compile(accelerator.device)
    if reason is None:
        network.compile_repeated_blocks(mode=mode)
    else:
        accelerator.print(f"compile: not possible here, going on without ({reason})")


def why_not_compile(device: torch.device) -> str | None:
    """Why torch.compile does not work here, where it does not: on a CPU it takes a C++ compiler."""
    try:
        torch.compile(torch.square)(torch.ones(16, device=device))
    except RuntimeError as error:  # torch's for a backend that failed
        return str(error).strip().splitlines()[0]
    return None
