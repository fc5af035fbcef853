"""Checks of one forward and one backward pass: attention backends and gradient checkpointing."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gpu_checks.isolation import Failed, Finding, Setup, Skipped, first_line
from gpu_checks.trainings import ROOT, SMALL
from speed.cases import CHANNELS, CHUNKS, GRID, autocast
from speed.timing import peak_mb
from vidworld.core.config import load
from vidworld.core.counter_rng import generators
from vidworld.models.families import FAMILIES, config_schema
from vidworld.models.schema import WorldModelConfig

CLIPS = 16
# Two kernels of attention round differently, and what follows them rounds on. On a CPU, at the base size and with the
# weights of `redraw`, bf16 moves the loss by 0.04% and the gradient by 1.8% from float32's, and values that are shifted
# by one place move them by 1.0% and 22% (small networks: by 0.01% and 1.2%, and by 0.14% and 35%).
MAX_LOSS_DIFFERENCE = 0.002
MAX_GRADIENT_DIFFERENCE = 0.06
MAX_REPEATED_LOSS_DIFFERENCE = 1e-6
MAX_REPEATED_GRADIENT_DIFFERENCE = 0.01
"""The same where one kernel runs twice: forward to the bit, while backward some add up in any order."""


class Pass(NamedTuple):
    """One forward and one backward pass of a family's network."""

    loss: float
    gradient: Tensor
    peak_mb: float | None
    """At the height of both, without weights and inputs."""


def attention_backend(setup: Setup, backend: str) -> Finding:
    """The loss and its gradient with an attention backend, beside the native one's."""
    native = one_pass(setup, "diffusion")
    try:
        other = one_pass(setup, "diffusion", f"model.attention_backend={backend}")
    except (RuntimeError, ValueError, ImportError, NotImplementedError) as error:
        if backend.startswith("_"):  # a variant for some hardware or for some layouts: not to be had on every card
            raise Skipped(first_line(error)) from error
        raise
    # sage multiplies in 8 bits and has no backward pass
    max_gradient = None if "sage" in backend else MAX_GRADIENT_DIFFERENCE
    return compare("native", native, backend, other, MAX_LOSS_DIFFERENCE, max_gradient)


def gradient_checkpointing(setup: Setup, family: str) -> Finding:
    """The loss, the gradient and the memory with gradient checkpointing, beside those without."""
    plain = one_pass(setup, family)
    checkpointed = one_pass(setup, family, "gradient_checkpointing=true")
    bounds = MAX_REPEATED_LOSS_DIFFERENCE, MAX_REPEATED_GRADIENT_DIFFERENCE
    finding = compare("plain", plain, "checkpointed", checkpointed, *bounds)
    if plain.peak_mb is None or checkpointed.peak_mb is None:
        return finding
    numbers = {**finding.numbers, "peak_mb": plain.peak_mb, "checkpointed_peak_mb": checkpointed.peak_mb}
    memory = f"{plain.peak_mb:.0f} MB at the peak, {checkpointed.peak_mb:.0f} checkpointed"
    if checkpointed.peak_mb >= plain.peak_mb:
        raise Failed(f"takes no less memory: {memory}", numbers)
    return Finding(f"{finding.detail}; {memory}", numbers)


def one_pass(setup: Setup, family_name: str, *overrides: str) -> Pass:
    """A forward and a backward pass in the device's precision, on the same tokens and noise every time."""
    device = device_of(setup)
    family, config = FAMILIES[family_name], family_config(setup, family_name, *overrides)
    torch.manual_seed(0)
    network: Any = family.network(config, CHANNELS)
    redraw(network)
    nn.Module.to(network, device).train()
    if config.gradient_checkpointing:
        network.enable_gradient_checkpointing()
    tokens = torch.randn(CLIPS, CHUNKS, *GRID, CHANNELS)
    drawn = [x.to(device) for x in family.draw(config, generators(0, 0, range(CLIPS)), tokens)]
    tokens = tokens.to(device)
    losses: list[Tensor] = []

    def job() -> None:
        network.zero_grad(set_to_none=True)
        with autocast(device):
            loss = family.loss(config, network, tokens, *drawn).total
        loss.backward()
        losses.append(loss.detach())

    job()  # kernels are loaded and workspaces made, which are not counted
    peak = peak_mb(job)
    gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    return Pass(float(losses[-1]), torch.cat(gradients).float(), peak)


def redraw(network: nn.Module) -> None:
    """Draw weights with which attention matters: an untrained network's means over many values hardly move the loss."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            scale = 4.0 if "attention" in name else 1.0
            parameter.normal_(std=scale * parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.1)


def family_config(
    setup: Setup, family: str, *overrides: str, scales: Sequence[str] = ("base", "demo")
) -> WorldModelConfig:
    """The configuration of a family at the first of the scales that has one; of a small network, where asked."""
    paths = [ROOT / "configs" / scale / f"{family}.yaml" for scale in scales]
    found = [path for path in paths if path.exists()]
    if not found:  # a family of another package
        raise Skipped(f"{paths[-1].relative_to(ROOT)}: there is none")
    small = SMALL.get(family, ()) if setup.small else ()
    return load(WorldModelConfig, found[0], [*small, *overrides], config_schema)


def compare(name: str, one: Pass, other_name: str, other: Pass, max_loss: float, max_gradient: float | None) -> Finding:
    """That two passes have about the same loss, and the same gradient where one bounds it. Raises Failed."""
    loss = abs(other.loss / one.loss - 1)
    numbers = {"loss": one.loss, "other_loss": other.loss, "loss_difference": loss}
    detail = f"loss {one.loss:.6g} {name}, {other.loss:.6g} {other_name}"
    if not loss <= max_loss:
        raise Failed(f"{detail}: {loss:.2%} apart", numbers)
    if max_gradient is None:
        return Finding(f"{detail}; has no gradient: not for training", numbers)
    if one.gradient.shape != other.gradient.shape:
        raise Failed(f"some weights of one have no gradient; {detail}", numbers)
    gradient = float((one.gradient - other.gradient).norm() / one.gradient.norm())
    numbers["gradient_difference"] = gradient
    if not gradient <= max_gradient:
        raise Failed(f"the gradients are {gradient:.2%} apart; {detail}", numbers)
    return Finding(f"{detail}; gradients {gradient:.2%} apart", numbers)


def device_of(setup: Setup) -> torch.device:
    accelerator = None if setup.cpu else torch.accelerator.current_accelerator(check_available=True)
    return accelerator or torch.device("cpu")
