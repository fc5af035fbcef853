"""The precision of matrix products: bf16 where the processor multiplies it."""

from typing import Literal

import torch
from accelerate.utils import parse_flag_from_env

from vidworld.core.config import Precision


def precision(requested: Precision = "auto") -> Literal["no", "bf16", "fp16"]:
    """What accelerate calls it: `no` is float32.

    `auto` is bf16 on a processor that has instructions for it and float32 on any other, where a product in bf16 takes
    up to sixty times as long (DECISIONS.md, 2026-11-23).
    """
    if requested != "auto":
        return requested
    if torch.cuda.is_available() and not parse_flag_from_env("ACCELERATE_USE_CPU"):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported()
    return "bf16" if native else "no"


def product_dtype(requested: Precision = "auto") -> torch.dtype:
    """That of the products which autocast leaves alone, an optimiser's for one: never fp16, whose range is small."""
    return torch.float32 if precision(requested) == "no" else torch.bfloat16
