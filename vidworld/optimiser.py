"""The optimisers of a network and their learning rate over the steps."""

from torch import nn
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_wsd_schedule

from vidworld.schema import OptimiserConfig


def make_optimisers(model: nn.Module, config: OptimiserConfig) -> list[Optimizer]:
    """Muon for the matrices and AdamW for all else, or AdamW alone.

    Source: Muon (arXiv 2502.16982), whose updates are scaled to AdamW's so that one learning rate serves both. It
    halves the steps to a loss here (DECISIONS.md, 2026-11-22).
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim == 2 and config.name == "muon"]
    others = [p for p in trained if p.ndim != 2 or config.name != "muon"]
    optimisers: list[Optimizer] = [
        AdamW(others, lr=config.lr, betas=(0.9, 0.95), weight_decay=config.weight_decay, fused=True)
    ]
    if matrices:
        optimisers.append(
            Muon(matrices, lr=config.lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw")
        )
    return optimisers


def make_schedule(optimiser: Optimizer, config: OptimiserConfig, steps: int) -> LambdaLR:
    """Warm-up, a plateau, and a fall to zero over the last `decay_share` of the steps."""
    warmup = min(config.warmup_steps, steps // 10)
    decay = int(config.decay_share * steps)
    schedule: LambdaLR = get_wsd_schedule(
        optimiser,
        num_warmup_steps=warmup,
        num_decay_steps=max(1, decay),
        num_stable_steps=max(0, steps - warmup - max(1, decay)),
        decay_type="linear",
        min_lr_ratio=0.0,
    )
    return schedule


def count_parameters(model: nn.Module) -> int:
    """Parameters that are trained."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
